//! Whose rows a transaction sees: what it names to the wall of row level security.

use policies::ids::{BootId, OrgId};
use sqlx::AssertSqlSafe;

/// What is named, once and for one transaction. What is not named is not seen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sight<'a> {
    /// The rows of one tenant.
    Org(&'a OrgId),
    /// The leases of one gateway, to read.
    Boot(&'a BootId),
    /// What is found by the SHA-256 of its secret.
    Token(&'a [u8; 32]),
    /// A table in all orgs, as far as its policies say.
    Across(&'static str),
    /// Only what holds no tenant's data.
    Nobody,
}

impl Sight<'_> {
    /// The statement that names it. It answers with one row, which is of no use.
    pub(crate) fn sql(self) -> String {
        // Digits and words of ours: nothing in them can end the quotes.
        let (setting, value) = match self {
            Self::Org(org) => ("penstock.org", hex::encode(org.as_bytes())),
            Self::Boot(boot) => ("penstock.boot", hex::encode(boot.as_bytes())),
            Self::Token(sha256) => ("penstock.token", hex::encode(sha256)),
            Self::Across(table) => ("penstock.across", table.to_owned()),
            Self::Nobody => return String::new(),
        };
        format!("SELECT set_config('{setting}', '{value}', true)")
    }

    /// The name, and then `sql` in the same round trip: several statements in one simple query are
    /// one transaction (PostgreSQL manual, "Multiple Statements in a Simple Query"), and the name
    /// ends with it. Its first row is not one of `sql`.
    pub(crate) fn before(self, sql: &str) -> AssertSqlSafe<String> {
        AssertSqlSafe(format!("{}; {sql}", self.sql()))
    }
}

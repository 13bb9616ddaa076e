//! The ledger's own rows, read from the store's file beside the product.

use rusqlite::{Connection, OpenFlags};
use std::path::Path;

/// One budget in one period, in nano-USD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pot {
    pub limit: i64,
    pub settled: i64,
    pub held: i64,
    pub leased: i64,
    pub unattributed: i64,
    pub overrun: i64,
}

impl Pot {
    /// All that counts against the limit.
    pub fn counted(&self) -> i64 {
        self.settled + self.held + self.leased + self.unattributed
    }
}

pub struct Ledger {
    connection: Connection,
}

impl Ledger {
    pub fn open(folder: &Path) -> Self {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = Connection::open_with_flags(folder.join("penstock.db"), flags);
        Self { connection: connection.expect("the store's file") }
    }

    /// Every budget's balance.
    pub fn pots(&self) -> Vec<Pot> {
        let sql = "SELECT amount, settled, held, leased, unattributed, overrun FROM budget";
        let mut query = self.connection.prepare(sql).expect("the table of budgets");
        let rows = query.query_map([], |row| {
            Ok(Pot {
                limit: row.get(0)?,
                settled: row.get(1)?,
                held: row.get(2)?,
                leased: row.get(3)?,
                unattributed: row.get(4)?,
                overrun: row.get(5)?,
            })
        });
        rows.expect("rows").collect::<Result<_, _>>().expect("integers")
    }

    /// The only budget there is.
    pub fn pot(&self) -> Pot {
        let pots = self.pots();
        assert_eq!(pots.len(), 1, "{pots:?}");
        pots.first().copied().unwrap_or_default()
    }

    /// A number that the store itself adds up.
    pub fn number(&self, sql: &str) -> i64 {
        self.connection.query_row(sql, [], |row| row.get(0)).expect("one number")
    }

    /// Leases that are neither closed nor of a gateway that lives.
    pub fn stray_leases(&self) -> i64 {
        self.number(
            "SELECT count(*) FROM lease JOIN boot ON boot.id = lease.boot
             WHERE lease.state <> 'closed' AND boot.state <> 'open'",
        )
    }

    /// Holds whose attempt has no record that says `indeterminate`.
    pub fn stray_holds(&self) -> i64 {
        self.number(
            "SELECT count(*) FROM hold WHERE NOT EXISTS (
                SELECT 1 FROM usage WHERE usage.org = hold.org AND usage.request = hold.request
                AND usage.attempt = hold.attempt AND usage.outcome = 'indeterminate')",
        )
    }
}

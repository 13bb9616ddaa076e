//! What is remembered, behind one narrow trait for each kind of memory.
//!
//! Every call that reads or writes a tenant's rows takes the [`OrgId`] first. The few that do not
//! say why: they hold no tenant's data, or they span orgs to find something by its secret's hash,
//! to sweep, or to hand a log on.

pub mod audit;
pub mod clock;
pub mod contract;
pub mod entropy;
pub mod idempotency;
pub mod last_use;
pub mod model;
pub mod postgres;
mod projection;
pub mod seal;
pub mod session;
pub mod sqlite;
pub mod ticket;
pub mod vault;

use async_trait::async_trait;
use audit::{Act, AuditLog};
use idempotency::Idempotency;
use last_use::LastUse;
use policies::{
    budget::{Balance, Chain, Pot},
    document::Object,
    ids::{BootId, BudgetId, JournalId, KeyId, OrgId, ProjectId, RequestId, Revision},
    money::NanoUsd,
    time::{Span, Timestamp},
    usage::{Decision, Tokens, UsageRecord},
};
use session::Sessions;
use sqlx::postgres::PgDatabaseError;
use std::sync::Arc;
use ticket::Tickets;
use vault::Vault;

/// The store could not answer. Never a decision about a request.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("store: {0}")]
    Engine(#[from] sqlx::Error),
    #[error("store: {0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("store: migrations: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A row that this version cannot read.
    #[error("store: {what} cannot be read: {cause}")]
    Unreadable { what: &'static str, cause: String },
    /// It does not answer in time.
    #[error("store: {0}")]
    Away(String),
    /// A row that breaks an invariant; the transaction was rolled back.
    #[error("store: invariant broken: {0}")]
    Broken(String),
}

/// The installation itself, where an act belongs to no tenant. It may have an audit chain and data
/// keys before it has any settings.
pub const INSTALLATION: OrgId = policies::authority::INSTALLATION;

/// A budget that somebody lacks is recalled at most this often.
pub const RECALL_GAP_MILLIS: i64 = 100;
/// A gateway that had no contact for this long stops new holds.
pub const SELF_FENCE_MILLIS: i64 = 15 * 60 * 1000;
/// Rows of each kind in one [`Shipment`].
pub const SHIPMENT_ROWS_MAX: usize = 1024;

/// SQLite's primary code of a refused constraint; extended codes have it in their low byte.
const SQLITE_CONSTRAINT: i64 = 19;

impl Fault {
    /// True: the rows themselves are refused, and would be again. False: the store is the problem.
    pub fn is_about_data(&self) -> bool {
        match self {
            Self::Broken(_) | Self::Unreadable { .. } => true,
            Self::Away(_) | Self::Migrate(_) => false,
            Self::Sqlite(cause) => {
                cause.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation)
            }
            Self::Engine(cause) => cause.as_database_error().is_some_and(|refused| {
                if let Some(refused) = refused.try_downcast_ref::<PgDatabaseError>() {
                    return postgres::is_about_data(refused.code());
                }
                let sqlite = refused.code().and_then(|code| code.parse::<i64>().ok());
                refused.kind() != sqlx::error::ErrorKind::Other
                    || sqlite.is_some_and(|code| code & 0xff == SQLITE_CONSTRAINT)
            }),
        }
    }
}

/// An org's settings at one revision.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub org: OrgId,
    pub revision: Revision,
    /// Ordered by kind, then by name.
    pub objects: Vec<Object>,
}

/// What the data plane reads.
#[async_trait]
pub trait Directory: Send + Sync {
    /// Every org with its revision. Holds no tenant's data.
    async fn revisions(&self) -> Result<Vec<(OrgId, Revision)>, Fault>;
    /// An org's settings; none if there is no such org.
    async fn settings(&self, org: &OrgId) -> Result<Option<Settings>, Fault>;
    /// Every key's SHA-256 with its org and id, keys for administration among them: the one index
    /// that spans orgs.
    async fn keys(&self) -> Result<Vec<([u8; 32], OrgId, KeyId)>, Fault>;
    /// Whose key, of either kind, has this SHA-256.
    async fn org_of_key(&self, sha256: &[u8; 32]) -> Result<Option<OrgId>, Fault>;
}

/// One org's part of a change of settings.
#[derive(Clone, Debug)]
pub struct Change {
    pub org: OrgId,
    /// The revision that the change was made from; [`Revision`] 0 for a new org.
    pub from: Revision,
    /// Objects to insert or replace, by id.
    pub put: Vec<Object>,
    /// Objects to remove, by id.
    pub remove: Vec<[u8; 16]>,
    /// What was done, for the org's audit chain; the new revision is filled in.
    pub acts: Vec<Act>,
}

/// Whether a change was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// The new revision of each org, in the order of the changes.
    Done(Vec<Revision>),
    /// Somebody else changed this org in between; nothing was changed.
    Conflict(OrgId),
    /// Another object of this kind has the name already, or another org has it; nothing was
    /// changed.
    NameTaken(String),
}

/// What administrators write.
#[async_trait]
pub trait Registry: Directory {
    /// Makes all changes in one transaction, or none. Each changed org's revision grows by one;
    /// key hashes and budget limits follow the documents in the same transaction: the limit of a
    /// budget's balances is that of its document from then on. The acts are added to the org's
    /// audit chain in the same transaction: no change without its trace.
    async fn commit(&self, changes: Vec<Change>) -> Result<Committed, Fault>;
}

/// A hold that waits for money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    pub chain: Chain,
    pub amount: NanoUsd,
}

/// What a gateway tells and asks the ledger. Totals, not differences: safe to repeat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncAsk {
    pub needs: Vec<Need>,
    /// The total given back so far, of each lease that gave something back.
    pub returned: Vec<(Pot, NanoUsd)>,
}

/// What became of one need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Every pot of its chain was granted enough for it.
    Granted,
    /// Money is missing but may come back. `silent`: a gateway that has some of it is not seen.
    Lack { budget: BudgetId, silent: bool },
    /// `limit - settled - overrun < need` on this budget: final for its period.
    Exhausted { budget: BudgetId, left: NanoUsd },
    /// A period of its chain has ended; nothing was granted.
    PeriodOver,
}

/// One lease as the ledger has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseState {
    pub pot: Pot,
    pub granted: NanoUsd,
    /// The pot's room: limit - settled - overrun.
    pub room: NanoUsd,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncReply {
    /// An answer for each need in order, and the state of every pot that the message named.
    Open { answers: Vec<Answer>, leases: Vec<LeaseState>, now: Timestamp },
    /// The boot, or one of its leases, is no longer open: nothing else happened.
    Closed,
}

/// What the journal brings: one org's rows.
///
/// A record with part 0 says what an attempt cost and counts: `counted` comes out of its lease.
/// A record with a later part corrects it and states differences: `cost`, `counted` and `overrun`
/// are each what the sum over the parts grows by. One whose outcome is known ends the attempt's
/// hold. Its first part must be in the store, or in the same shipment.
#[derive(Clone, Debug, Default)]
pub struct Shipment {
    pub records: Vec<Arc<UsageRecord>>,
    pub decisions: Vec<Arc<Decision>>,
}

/// A balance with its open holds, for effective-budget views.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PotState {
    pub pot: Pot,
    pub balance: Balance,
    /// Attempts whose cost is not known, each with what it counts above its cost.
    pub indeterminate: Vec<(RequestId, u32, NanoUsd)>,
}

/// Budgets. Three transactions carry all money; each is safe to repeat, reorder or lose.
///
/// All lock in one order: boot, pots by id, leases. Folds are asserted in the transactions that
/// change them: a broken one is [`Fault::Broken`] and changes nothing.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Registers an incarnation of a gateway with its journal. Repeating it changes nothing.
    async fn open_boot(&self, boot: &BootId, journal: &JournalId) -> Result<(), Fault>;
    /// Takes, gives back, renews. A pot that has no balance yet begins with `settled` = the sum of
    /// its scope's records in the span.
    async fn sync(&self, org: &OrgId, boot: &BootId, ask: SyncAsk) -> Result<SyncReply, Fault>;
    /// Journal rows, at most [`SHIPMENT_ROWS_MAX`] of each kind. Rows that are there already change
    /// nothing. All or none: a row that fits no lease is [`Fault::Broken`].
    async fn ship(&self, org: &OrgId, rows: Shipment) -> Result<(), Fault>;
    /// Ends a boot whose rows are all shipped. `complete`: what its leases still have goes back.
    /// Not complete: it becomes `unattributed`. Repeating it changes nothing.
    async fn close(&self, boot: &BootId, complete: bool) -> Result<(), Fault>;
    /// Every pot of the org that ends after `since`, ordered by budget and span.
    async fn pots(&self, org: &OrgId, since: Timestamp) -> Result<Vec<PotState>, Fault>;
}

/// A column to add usage up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum By {
    /// The lowest unit on the record's path.
    Unit,
    Project,
    Model,
    Tier,
    Deployment,
    Principal,
    Key,
    CostCentre,
    /// The UTC day of admission, as `YYYY-MM-DD`.
    Day,
}

/// One line of a usage table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageSum {
    /// The value of each column asked for, in order: ids as text; empty where the record has none.
    pub group: Vec<String>,
    /// Requests with at least one record.
    pub requests: i64,
    pub records: i64,
    pub tokens: Tokens,
    pub cost: NanoUsd,
    /// Records without a price: not in `cost`.
    pub unpriced: i64,
    /// Records whose tokens were counted by us.
    pub estimated: i64,
}

/// Where a page of records ends; opaque to callers, ordered by arrival in the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor(pub i64);

/// Usage records and decisions, read. (They are written by [`Ledger::ship`].)
#[async_trait]
pub trait UsageLog: Send + Sync {
    /// Records admitted in `span` that came after `after`, at most `limit`, each with its cursor.
    async fn page(
        &self,
        org: &OrgId,
        span: Span,
        after: Cursor,
        limit: u32,
    ) -> Result<Vec<(Cursor, UsageRecord)>, Fault>;
    /// Sums by the columns asked for, in the order of the groups.
    async fn sums(&self, org: &OrgId, span: Span, by: &[By]) -> Result<Vec<UsageSum>, Fault>;
    /// All records and the decision of one request of this project.
    async fn request(
        &self,
        org: &OrgId,
        project: &ProjectId,
        request: &RequestId,
    ) -> Result<(Vec<UsageRecord>, Option<Decision>), Fault>;
}

/// Every memory in one engine. Those of administration are each in their own module.
pub trait Store: Registry + Ledger + UsageLog + Administration {}

impl<T: Registry + Ledger + UsageLog + Administration> Store for T {}

/// What only the control plane remembers.
pub trait Administration: AuditLog + Sessions + Tickets + Vault + Idempotency + LastUse {}

impl<T: AuditLog + Sessions + Tickets + Vault + Idempotency + LastUse> Administration for T {}

/// By kind, then by name: the order of [`Settings::objects`].
fn sorted(mut objects: Vec<Object>) -> Vec<Object> {
    objects.sort_by(|left, right| {
        let kinds = left.document.kind().cmp(&right.document.kind());
        let names = left.document.name().cmp(right.document.name());
        kinds.then(names)
    });
    objects
}

//! What is remembered, behind one narrow trait for each kind of memory.
//!
//! Every call that reads or writes a tenant's rows takes the [`OrgId`] first. The few that do not
//! say why: they hold no tenant's data, or they span orgs to find something by its secret's hash,
//! to sweep, or to hand a log on.

pub mod audit;
mod books;
pub mod cells;
mod changes;
pub mod clock;
pub mod contract;
pub mod entropy;
pub mod idempotency;
pub mod last_use;
mod ledger;
pub mod model;
pub mod postgres;
mod projection;
pub mod redis;
pub mod seal;
pub mod session;
pub mod sqlite;
pub mod ticket;
pub mod vault;
mod watch;

pub use self::ledger::{
    Answer, Balances, Claimed, JOURNAL_QUIET_MILLIS, JournalClaim, LeaseState, Ledger, Lent, Need,
    PotState, RECALL_GAP_MILLIS, Recalls, Reconciliation, Released, SELF_FENCE_MILLIS,
    SHIPMENT_ROWS_MAX, Shipment, SyncAsk, SyncReply,
};
pub use self::watch::{Bell, Ring, Watch};

use async_trait::async_trait;
use audit::{Act, AuditLog};
use idempotency::Idempotency;
use last_use::LastUse;
use policies::{
    document::Object,
    ids::{KeyId, OrgId, ProjectId, RequestId, Revision},
    money::NanoUsd,
    time::Span,
    usage::{Decision, Tokens, UsageRecord},
};
use session::Sessions;
use sqlx::postgres::PgDatabaseError;
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
    /// It does not let us in.
    #[error("store: {0}")]
    Refused(String),
    /// A row that breaks an invariant; the transaction was rolled back.
    #[error("store: invariant broken: {0}")]
    Broken(String),
}

/// The installation itself, where an act belongs to no tenant. It may have an audit chain and data
/// keys before it has any settings.
pub const INSTALLATION: OrgId = policies::authority::INSTALLATION;

/// SQLite's primary code of a refused constraint; extended codes have it in their low byte.
const SQLITE_CONSTRAINT: i64 = 19;

impl Fault {
    /// True: the rows themselves are refused, and would be again. False: the store is the problem.
    pub fn is_about_data(&self) -> bool {
        match self {
            Self::Broken(_) | Self::Unreadable { .. } => true,
            Self::Away(_) | Self::Refused(_) | Self::Migrate(_) => false,
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

/// What is remembered of budgets.
pub trait Money: Ledger + Balances + Reconciliation {}

impl<T: Ledger + Balances + Reconciliation> Money for T {}

/// Every memory in one engine. Those of administration are each in their own module.
pub trait Store: Registry + Money + UsageLog + Administration + Watch {}

impl<T: Registry + Money + UsageLog + Administration + Watch> Store for T {}

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

//! Budgets: what gateways tell and ask the ledger, and what it answers.

use crate::{Fault, audit::Act};
use async_trait::async_trait;
use policies::{
    budget::{Balance, Chain, Pot},
    ids::{BootId, BudgetId, JournalId, OrgId, RequestId},
    money::NanoUsd,
    time::Timestamp,
    usage::{Decision, UsageRecord},
};
use std::sync::Arc;

/// A budget that somebody lacks is recalled at most this often.
pub const RECALL_GAP_MILLIS: i64 = 100;
/// A gateway that had no contact for this long stops new holds.
pub const SELF_FENCE_MILLIS: i64 = 15 * 60 * 1000;
/// Rows of each kind in one [`Shipment`].
pub const SHIPMENT_ROWS_MAX: usize = 1024;

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

/// A gateway that was heard this lately is alive: another one with the same journal is a copy.
pub const JOURNAL_QUIET_MILLIS: i64 = 30_000;

/// Who has a journal, and how often it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalClaim {
    /// Grows with each time that the journal is opened.
    pub generation: u64,
    /// The machine since its last start, and the file: the same for a process that was started
    /// again, another one for a copy.
    pub place: String,
}

/// Whether a journal may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    Yours,
    /// The journal was opened elsewhere, and a boot that writes it was heard lately.
    InUse,
    /// It was opened at this or a later generation before: this is an old copy.
    Old {
        known: u64,
    },
}

/// Pots that somebody lacks, and of which the boot that asks has something unused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recalls {
    pub pots: Vec<(OrgId, Pot)>,
    /// The ledger's time, from which the next call goes on.
    pub now: Timestamp,
}

/// What one boot was given of one pot, and has neither given back nor accounted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lent {
    pub boot: BootId,
    pub pot: Pot,
    pub outstanding: NanoUsd,
    /// The boot was not heard for long: this is `unattributed`.
    pub lost: bool,
    /// When the boot was heard last.
    pub last_seen: Timestamp,
}

/// What became of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// So much, summed over the pots, is no longer counted.
    Done(NanoUsd),
    /// The boot may still send until then.
    TooEarly { until: Timestamp },
    /// The org has no lost lease of such a boot.
    NothingLost,
}

/// Budgets. Three transactions carry all money; each is safe to repeat, reorder or lose.
///
/// All lock in one order: boot, pots by id, leases. Folds are asserted in the transactions that
/// change them: a broken one is [`Fault::Broken`] and changes nothing.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Takes a journal over, before anything in it is believed.
    async fn claim_journal(
        &self,
        journal: &JournalId,
        claim: &JournalClaim,
    ) -> Result<Claimed, Fault>;
    /// Registers an incarnation of a gateway with its journal. Repeating it changes nothing.
    async fn open_boot(&self, boot: &BootId, journal: &JournalId) -> Result<(), Fault>;
    /// The boot is alive. The ledger's time; none if the boot is not open.
    async fn renew(&self, boot: &BootId) -> Result<Option<Timestamp>, Fault>;
    /// Takes, gives back, renews. A pot that has no balance yet begins with `settled` = the sum of
    /// its scope's records in the span.
    async fn sync(&self, org: &OrgId, boot: &BootId, ask: SyncAsk) -> Result<SyncReply, Fault>;
    /// Journal rows, at most [`SHIPMENT_ROWS_MAX`] of each kind. Rows that are there already change
    /// nothing. All or none. What was spent of a lease that is gone is billed as an overrun.
    async fn ship(&self, org: &OrgId, rows: Shipment) -> Result<(), Fault>;
    /// Ends a boot whose rows are all shipped. `complete`: what its leases still have goes back.
    /// Not complete: it becomes `unattributed`. Repeating it changes nothing.
    async fn close(&self, boot: &BootId, complete: bool) -> Result<(), Fault>;
    /// The pots, over all orgs, that were recalled at `since` or later and of which this boot's
    /// open leases have something. It changes nothing, and does not count as hearing from the boot.
    async fn recalls(&self, boot: &BootId, since: Timestamp) -> Result<Recalls, Fault>;
    /// Open boots that were not heard for `millis`, over all orgs.
    async fn unheard(&self, millis: i64) -> Result<Vec<BootId>, Fault>;
}

/// Balances, read.
#[async_trait]
pub trait Balances: Send + Sync {
    /// Every pot of the org that ends after `since`, ordered by budget and span.
    async fn pots(&self, org: &OrgId, since: Timestamp) -> Result<Vec<PotState>, Fault>;
    /// Every lease of the org that is outstanding on a pot which ends after `since`, ordered by
    /// pot and boot.
    async fn lent(&self, org: &OrgId, since: Timestamp) -> Result<Vec<Lent>, Fault>;
}

/// Ending by an act what no journal tells: the only way in which people free money.
#[async_trait]
pub trait Reconciliation: Send + Sync {
    /// All records of one request, of whichever project, by attempt and part.
    async fn records_of(&self, org: &OrgId, request: &RequestId)
    -> Result<Vec<UsageRecord>, Fault>;
    /// An audited act: the org's lost leases of this boot go back, though nobody can prove that
    /// they were not spent. Refused until the boot was not heard for `quiet_millis`, after which
    /// it surely sends nothing any more. What it did spend can no longer be shipped.
    async fn release_boot(
        &self,
        org: &OrgId,
        boot: &BootId,
        quiet_millis: i64,
        act: Act,
    ) -> Result<Released, Fault>;
    /// An audited act: brings one correction, with its act in the same transaction. False: there
    /// is a correction of that part already, and nothing was changed.
    async fn resolve_attempt(
        &self,
        org: &OrgId,
        correction: UsageRecord,
        act: Act,
    ) -> Result<bool, Fault>;
}

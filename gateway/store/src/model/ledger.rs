//! [`Ledger`] over plain maps.

use super::{Boot, Model, PotRow, State, World};
use crate::{
    Answer, Claimed, Fault, JOURNAL_QUIET_MILLIS, JournalClaim, LeaseState, Ledger, Need, PotState,
    RECALL_GAP_MILLIS, Recalls, SELF_FENCE_MILLIS, SHIPMENT_ROWS_MAX, Shipment, SyncAsk, SyncReply,
    clock,
    projection::{self, Scope},
};
use async_trait::async_trait;
use policies::{
    budget::{self, Pot},
    document::{Document, Kind},
    ids::{BootId, JournalId, OrgId},
    money::NanoUsd,
    time::Timestamp,
    usage::{Outcome, Principal, UsageRecord},
};
use std::collections::BTreeSet;

#[async_trait]
impl Ledger for Model {
    async fn claim_journal(
        &self,
        journal: &JournalId,
        claim: &JournalClaim,
    ) -> Result<Claimed, Fault> {
        let quiet = clock::now().plus_millis(-JOURNAL_QUIET_MILLIS);
        self.write(|world| {
            if let Some(known) = world.journals.get(journal) {
                if claim.generation <= known.generation {
                    return Ok(Claimed::Old { known: known.generation });
                }
                let mut boots = world.boots.values().filter(|boot| boot.journal == *journal);
                let heard = boots.any(|boot| boot.state == State::Open && quiet < boot.last_seen);
                if heard && known.place != claim.place {
                    return Ok(Claimed::InUse);
                }
            }
            world.journals.insert(*journal, claim.clone());
            Ok(Claimed::Yours)
        })
    }

    async fn open_boot(&self, boot: &BootId, journal: &JournalId) -> Result<(), Fault> {
        let fresh = Boot { journal: *journal, last_seen: clock::now(), state: State::Open };
        self.write(|world| {
            world.boots.entry(*boot).or_insert(fresh);
            Ok(())
        })
    }

    async fn renew(&self, boot: &BootId) -> Result<Option<Timestamp>, Fault> {
        self.write(|world| {
            let open = world.boots.get_mut(boot).filter(|row| row.state == State::Open);
            Ok(open.map(|row| {
                row.last_seen = row.last_seen.max(clock::now());
                clock::now()
            }))
        })
    }

    async fn sync(&self, org: &OrgId, boot: &BootId, ask: SyncAsk) -> Result<SyncReply, Fault> {
        self.write(|world| world.sync(org, boot, &ask))
    }

    async fn ship(&self, org: &OrgId, rows: Shipment) -> Result<(), Fault> {
        self.write(|world| world.ship(org, rows))
    }

    async fn close(&self, boot: &BootId, complete: bool) -> Result<(), Fault> {
        self.write(|world| {
            world.close(boot, if complete { State::Closed } else { State::Lost });
            Ok(())
        })
    }

    async fn recalls(&self, boot: &BootId, since: Timestamp) -> Result<Recalls, Fault> {
        Ok(self.read(|world| {
            let leases = world.leases.iter().filter(|((.., by), lease)| {
                by == boot
                    && lease.state == State::Open
                    && NanoUsd::ZERO < lease.outstanding()
                    && lease.recalled.is_some_and(|at| since <= at)
            });
            let pots = leases.map(|((org, pot, _), _)| (*org, *pot)).collect();
            Recalls { pots, now: clock::now() }
        }))
    }

    async fn unheard(&self, millis: i64) -> Result<Vec<BootId>, Fault> {
        let since = clock::now().plus_millis(-millis);
        Ok(self.read(|world| {
            let open = world.boots.iter().filter(|(_, row)| row.state == State::Open);
            open.filter(|(_, row)| row.last_seen < since).map(|(boot, _)| *boot).collect()
        }))
    }
}

impl World {
    fn sync(&mut self, org: &OrgId, boot: &BootId, ask: &SyncAsk) -> Result<SyncReply, Fault> {
        let now = clock::now();
        let mut leases = self.leases.iter().filter(|((of, _, by), _)| of == org && by == boot);
        if leases.any(|(_, lease)| lease.state != State::Open) {
            return Ok(SyncReply::Closed);
        }
        match self.boots.get_mut(boot) {
            Some(row) if row.state == State::Open => row.last_seen = now,
            Some(_) | None => return Ok(SyncReply::Closed),
        }
        for (pot, told) in &ask.returned {
            let lease = self.leases.entry((*org, *pot, *boot)).or_default();
            lease.returned = lease.returned.max(*told);
        }
        let mut named: BTreeSet<Pot> = ask.returned.iter().map(|(pot, _)| *pot).collect();
        named.extend(ask.needs.iter().flat_map(|need| need.chain.iter()));
        for pot in &named {
            self.make(org, pot)?;
        }
        let needs = ask.needs.iter();
        let answers = needs.map(|need| self.need(org, boot, need, now)).collect();
        let state = |pot: Pot| LeaseState {
            pot,
            granted: self.leases.get(&(*org, pot, *boot)).map_or(NanoUsd::ZERO, |it| it.granted),
            room: self.balance(org, &pot).room(),
        };
        let leases = named.into_iter().map(state).collect();
        Ok(SyncReply::Open { answers, leases, now })
    }

    fn need(&mut self, org: &OrgId, boot: &BootId, need: &Need, now: Timestamp) -> Answer {
        if need.chain.iter().any(|pot| pot.span.ends <= now) {
            return Answer::PeriodOver;
        }
        let short = |pot: &&Pot| self.balance(org, pot).free() < need.amount;
        let lacking: Vec<Pot> = need.chain.iter().filter(short).copied().collect();
        for pot in &lacking {
            let left = self.balance(org, pot).room();
            if left < need.amount {
                return Answer::Exhausted { budget: pot.budget, left };
            }
        }
        if let Some(first) = lacking.first() {
            let silent = lacking.iter().any(|pot| self.is_silent(org, boot, pot));
            for pot in &lacking {
                let Some(row) = self.pots.get_mut(&(*org, *pot)) else { continue };
                if row.recalled.is_some_and(|at| now < at.plus_millis(RECALL_GAP_MILLIS)) {
                    continue;
                }
                row.recalled = Some(now);
                for ((of, on, by), lease) in &mut self.leases {
                    if of == org && on == pot && by != boot && lease.state == State::Open {
                        lease.recalled = Some(now);
                    }
                }
            }
            return Answer::Lack { budget: first.budget, silent };
        }
        let heard = |row: &&Boot| now.plus_millis(-SELF_FENCE_MILLIS) < row.last_seen;
        let live = self.boots.values().filter(|row| row.state == State::Open).filter(heard);
        let live = i64::try_from(live.count()).unwrap_or(i64::MAX);
        for pot in need.chain.iter().copied().collect::<BTreeSet<_>>() {
            let slice = budget::slice(self.balance(org, &pot).free(), need.amount, live);
            let lease = self.leases.entry((*org, pot, *boot)).or_default();
            lease.granted = lease.granted.plus(slice);
        }
        Answer::Granted
    }

    /// The boot that asks is heard.
    fn is_silent(&self, org: &OrgId, asking: &BootId, pot: &Pot) -> bool {
        let recalled = self.pots.get(&(*org, *pot)).and_then(|row| row.recalled);
        self.leases.iter().any(|((of, on, boot), lease)| {
            let seen = self.boots.get(boot).map(|row| row.last_seen);
            let has_some = lease.state == State::Open && NanoUsd::ZERO < lease.outstanding();
            of == org
                && on == pot
                && boot != asking
                && has_some
                && recalled.is_some()
                && seen <= recalled
        })
    }

    /// A new pot begins with what its scope's records of the span count.
    fn make(&mut self, org: &OrgId, pot: &Pot) -> Result<(), Fault> {
        let objects = self.orgs.get(org).map(|org| &org.objects);
        let document = objects.and_then(|all| all.get(pot.budget.as_bytes()));
        let Some(document) = document else { return Ok(()) };
        let Some((limit, scope)) = projection::budget(document)? else { return Ok(()) };
        let records: Vec<_> = self
            .usage
            .iter()
            .filter(|record| {
                record.stamp.org == *org
                    && pot.span.holds(record.stamp.admitted_at)
                    && self.is_in(org, &scope, record)
            })
            .collect();
        let settled: NanoUsd = records.iter().map(|record| record.ending.counted).sum();
        let overrun: NanoUsd = records.iter().map(|record| record.ending.overrun).sum();
        let row = PotRow { limit, settled, overrun, recalled: None };
        self.pots.entry((*org, *pot)).or_insert(row);
        Ok(())
    }

    fn is_in(&self, org: &OrgId, scope: &Scope, record: &UsageRecord) -> bool {
        let stamp = &record.stamp;
        let Scope::Named(kind, name) = scope else { return true };
        let Some(objects) = self.orgs.get(org).map(|org| &org.objects) else { return false };
        let is = |kind: Kind, name: &str, id: &[u8; 16]| {
            objects.get(id).is_some_and(|it| it.kind() == kind && it.name() == name)
        };
        let principal = match &stamp.principal {
            Principal::User(id) => id.as_bytes(),
            Principal::ServiceAccount(id) => id.as_bytes(),
        };
        match kind {
            Kind::Unit => stamp.unit_path.iter().any(|id| is(*kind, name, id.as_bytes())),
            Kind::Project => is(*kind, name, stamp.project.as_bytes()),
            Kind::User | Kind::ServiceAccount => is(*kind, name, principal),
            Kind::Key => is(*kind, name, stamp.key.as_bytes()),
            Kind::Deployment => is(*kind, name, stamp.deployment.as_bytes()),
            Kind::Tier => stamp.tier.as_ref() == Some(name),
            Kind::Group => objects.values().any(|it| {
                let Document::Group(group) = it else { return false };
                let mut members = group.members.iter();
                group.name == *name && members.any(|member| is(Kind::User, member, principal))
            }),
            Kind::Org
            | Kind::Role
            | Kind::IdentityProvider
            | Kind::WorkloadIdentity
            | Kind::AdminKey
            | Kind::Invite
            | Kind::LimitRequest
            | Kind::Provider
            | Kind::Model
            | Kind::Price
            | Kind::Limit
            | Kind::Budget
            | Kind::Policy => false,
        }
    }

    pub(super) fn ship(&mut self, org: &OrgId, rows: Shipment) -> Result<(), Fault> {
        let orgs = rows.records.iter().map(|it| it.stamp.org);
        let mut orgs = orgs.chain(rows.decisions.iter().map(|it| it.org));
        let most = rows.records.len().max(rows.decisions.len());
        if orgs.any(|of| of != *org) || SHIPMENT_ROWS_MAX < most {
            return Err(Fault::Broken("not a shipment".to_owned()));
        }
        for decision in rows.decisions {
            let name = (decision.org, decision.request);
            self.decisions.entry(name).or_insert(decision);
        }
        let (firsts, corrections): (Vec<_>, Vec<_>) =
            rows.records.into_iter().partition(|record| record.part == 0);
        for record in firsts.into_iter().chain(corrections) {
            if self.find(&record, record.part) {
                continue;
            }
            if record.part == 0 {
                self.record(&record)?
            } else {
                self.correct(&record)?
            }
            self.usage.push(record);
        }
        Ok(())
    }

    fn find(&self, record: &UsageRecord, part: u32) -> bool {
        let name = |it: &UsageRecord| (it.stamp.org, it.stamp.request, it.stamp.attempt);
        self.usage.iter().any(|it| name(it) == name(record) && it.part == part)
    }

    fn record(&mut self, record: &UsageRecord) -> Result<(), Fault> {
        let (stamp, ending) = (&record.stamp, &record.ending);
        let unknown = ending.outcome == Outcome::Indeterminate;
        let unpriced = if unknown { NanoUsd::ZERO } else { ending.counted };
        let settled = ending.cost.unwrap_or(unpriced).min(ending.counted);
        let chain: BTreeSet<Pot> = stamp.chain.iter().copied().collect();
        for pot in &chain {
            let lease = self.leases.get_mut(&(stamp.org, *pot, stamp.boot));
            let lease = lease.filter(|lease| lease.state != State::Closed);
            let gone = lease.is_none() && ending.counted != NanoUsd::ZERO;
            if let Some(lease) = lease {
                lease.spent = lease.spent.plus(ending.counted);
            }
            if let Some(row) = self.pots.get_mut(&(stamp.org, *pot)) {
                let (settled, more) =
                    if gone { (NanoUsd::ZERO, settled) } else { (settled, NanoUsd::ZERO) };
                row.settled = row.settled.plus(settled);
                row.overrun = row.overrun.plus(ending.overrun).plus(more);
            }
        }
        let held = ending.counted.minus(settled);
        if unknown && NanoUsd::ZERO < held {
            let name = (stamp.org, stamp.request, stamp.attempt);
            self.holds.insert(name, (chain.into_iter().collect(), held));
        }
        Ok(())
    }

    fn correct(&mut self, record: &UsageRecord) -> Result<(), Fault> {
        let (stamp, ending) = (&record.stamp, &record.ending);
        if !self.find(record, 0) {
            return Err(Fault::Broken("a correction of no record".to_owned()));
        }
        for pot in stamp.chain.iter().copied().collect::<BTreeSet<_>>() {
            if let Some(row) = self.pots.get_mut(&(stamp.org, pot)) {
                let settled = ending.cost.unwrap_or_default().minus(ending.overrun);
                row.settled = row.settled.plus(settled);
                row.overrun = row.overrun.plus(ending.overrun);
            }
        }
        if ending.outcome != Outcome::Indeterminate {
            self.holds.remove(&(stamp.org, stamp.request, stamp.attempt));
        }
        Ok(())
    }

    fn close(&mut self, boot: &BootId, to: State) {
        let leases = self.leases.iter_mut().filter(|((.., by), _)| by == boot);
        for (_, lease) in leases.filter(|(_, lease)| lease.state != State::Closed) {
            if to == State::Closed {
                lease.returned = lease.granted.minus(lease.spent);
            }
            lease.state = to;
        }
        if let Some(row) = self.boots.get_mut(boot)
            && row.state != State::Closed
        {
            row.state = to;
        }
    }

    pub(super) fn pot_state(&self, org: &OrgId, pot: &Pot) -> PotState {
        let holds =
            self.holds.iter().filter(|((of, ..), (pots, _))| of == org && pots.contains(pot));
        let indeterminate =
            holds.map(|((_, request, attempt), (_, amount))| (*request, *attempt, *amount));
        let indeterminate = indeterminate.collect();
        PotState { pot: *pot, balance: self.balance(org, pot), indeterminate }
    }
}

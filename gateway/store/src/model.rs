//! The model that the engines are measured against: plain maps, and sums made anew each time.

mod audit;
mod cells;
mod directory;
mod idempotency;
mod last_use;
mod ledger;
mod reconciliation;
mod sessions;
mod tickets;
mod usage;
mod vault;

use crate::{
    Fault, JournalClaim, audit::Entry, cells::WindowName, session::Session, ticket::Ticket,
    vault::WrappedKey,
};
use idempotency::Claimed;
use policies::{
    budget::{Balance, Pot},
    document::Document,
    ids::{BootId, JournalId, KeyId, OrgId, RequestId, Revision},
    money::NanoUsd,
    rate::claims::Claims,
    time::Timestamp,
    usage::{Decision, UsageRecord},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// A store that forgets everything when it is dropped.
#[derive(Debug, Default)]
pub struct Model {
    world: Mutex<World>,
}

#[derive(Clone, Debug, Default)]
struct World {
    orgs: BTreeMap<OrgId, Org>,
    journals: BTreeMap<JournalId, JournalClaim>,
    boots: BTreeMap<BootId, Boot>,
    pots: BTreeMap<(OrgId, Pot), PotRow>,
    leases: BTreeMap<(OrgId, Pot, BootId), LeaseRow>,
    /// What an attempt with an unknown end counts above its cost, and on which pots.
    holds: BTreeMap<(OrgId, RequestId, u32), (Vec<Pot>, NanoUsd)>,
    /// In the order of arrival.
    usage: Vec<Arc<UsageRecord>>,
    decisions: BTreeMap<(OrgId, RequestId), Arc<Decision>>,
    /// The chains of all orgs, in the order of arrival.
    audit: Vec<Arc<Entry>>,
    sinks: BTreeMap<String, i64>,
    sessions: BTreeMap<[u8; 32], Session>,
    tickets: BTreeMap<(String, [u8; 32]), Ticket>,
    data_keys: BTreeMap<(OrgId, u32), WrappedKey>,
    /// By scope and key.
    claims: BTreeMap<(OrgId, String, String), Claimed>,
    last_uses: BTreeMap<(OrgId, KeyId), Timestamp>,
    attendance: BTreeMap<BootId, Timestamp>,
    heard: BTreeMap<(OrgId, BootId), cells::Heard>,
    claims_of_limits: BTreeMap<(OrgId, WindowName), Claims>,
}

#[derive(Clone, Debug, Default)]
struct Org {
    revision: Revision,
    objects: BTreeMap<[u8; 16], Document>,
}

#[derive(Clone, Copy, Debug)]
struct Boot {
    journal: JournalId,
    last_seen: Timestamp,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    Lost,
    Closed,
}

#[derive(Clone, Copy, Debug)]
struct PotRow {
    limit: NanoUsd,
    settled: NanoUsd,
    overrun: NanoUsd,
    recalled: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, Default)]
struct LeaseRow {
    granted: NanoUsd,
    returned: NanoUsd,
    spent: NanoUsd,
    state: State,
    recalled: Option<Timestamp>,
}

impl LeaseRow {
    fn outstanding(&self) -> NanoUsd {
        self.granted.minus(self.returned).minus(self.spent)
    }
}

impl Model {
    fn read<T>(&self, act: impl FnOnce(&World) -> T) -> T {
        act(&self.world.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// All that `act` changes, or nothing if it comes to a fault.
    fn write<T>(&self, act: impl FnOnce(&mut World) -> Result<T, Fault>) -> Result<T, Fault> {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = world.clone();
        let outcome = act(&mut next)?;
        next.check()?;
        *world = next;
        Ok(outcome)
    }
}

impl World {
    fn balance(&self, org: &OrgId, pot: &Pot) -> Balance {
        let Some(row) = self.pots.get(&(*org, *pot)) else { return Balance::default() };
        let of_pot = self.leases.iter().filter(|((of, on, _), _)| of == org && on == pot);
        let sum = |state: State| -> NanoUsd {
            let leases = of_pot.clone().filter(|(_, lease)| lease.state == state);
            leases.map(|(_, lease)| lease.outstanding()).sum()
        };
        let holds =
            self.holds.iter().filter(|((of, ..), (pots, _))| of == org && pots.contains(pot));
        Balance {
            limit: row.limit,
            settled: row.settled,
            overrun: row.overrun,
            leased: sum(State::Open),
            unattributed: sum(State::Lost),
            held: holds.map(|(_, (_, amount))| *amount).sum(),
        }
    }

    /// Nothing is below zero.
    fn check(&self) -> Result<(), Fault> {
        let leases = self.leases.values().map(LeaseRow::outstanding);
        let pots = self.pots.values().flat_map(|pot| [pot.settled, pot.overrun]);
        match leases.chain(pots).min() {
            Some(least) if least < NanoUsd::ZERO => {
                Err(Fault::Broken(format!("a sum of {least} US dollars")))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// How many rows a removal took.
fn gone(before: usize, after: usize) -> u64 {
    u64::try_from(before.saturating_sub(after)).unwrap_or(u64::MAX)
}

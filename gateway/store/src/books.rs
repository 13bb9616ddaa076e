//! One org's pots and one boot's leases on them, while a message is worked on.

use crate::{Answer, Fault, LeaseState, Need, SyncAsk};
use policies::{
    budget::{self, Balance, Pot},
    money::NanoUsd,
    time::Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};

/// A lease as the store has it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lent {
    pub(super) granted: NanoUsd,
    pub(super) returned: NanoUsd,
    pub(super) spent: NanoUsd,
}

pub(super) struct Books {
    pub(super) now: Timestamp,
    /// Gateways that were heard lately.
    pub(super) boots: i64,
    pub(super) pots: BTreeMap<Pot, Balance>,
    pub(super) leases: BTreeMap<Pot, Lent>,
    /// What is not as it was read.
    pub(super) changed: BTreeSet<Pot>,
}

/// What a need came to, before it is known whether anybody is silent.
pub(super) enum Verdict {
    Final(Answer),
    /// The pots that lack something.
    Lack(Vec<Pot>),
}

impl Books {
    /// `told` is the total given back so far: an old message, with a smaller total, changes
    /// nothing.
    pub(super) fn give_back(&mut self, pot: &Pot, told: NanoUsd) -> Result<(), Fault> {
        let known = self.leases.get(pot).copied().unwrap_or_default();
        if told <= known.returned {
            return Ok(());
        }
        let never = || {
            let message = format!("{}: something came back that was never given", pot.budget);
            Fault::Broken(message)
        };
        if known.granted < told.plus(known.spent) {
            return Err(never());
        }
        let balance = self.pots.get_mut(pot).ok_or_else(never)?;
        balance.leased = balance.leased.minus(told.minus(known.returned));
        self.leases.insert(*pot, Lent { returned: told, ..known });
        self.changed.insert(*pot);
        Ok(())
    }

    /// All of a chain is granted, or nothing.
    pub(super) fn decide(&mut self, need: &Need) -> Verdict {
        if need.chain.iter().any(|pot| pot.span.ends <= self.now) {
            return Verdict::Final(Answer::PeriodOver);
        }
        let amount = need.amount.at_least_zero();
        let lacking: Vec<Pot> =
            need.chain.iter().filter(|pot| self.balance(pot).free() < amount).copied().collect();
        for pot in &lacking {
            let left = self.balance(pot).room();
            if left < amount {
                return Verdict::Final(Answer::Exhausted { budget: pot.budget, left });
            }
        }
        if !lacking.is_empty() {
            return Verdict::Lack(lacking);
        }
        for pot in need.chain.iter().copied().collect::<BTreeSet<_>>() {
            let Some(balance) = self.pots.get_mut(&pot) else { continue };
            let slice = budget::slice(balance.free(), amount, self.boots);
            balance.leased = balance.leased.plus(slice);
            let lease = self.leases.entry(pot).or_default();
            lease.granted = lease.granted.plus(slice);
            self.changed.insert(pot);
        }
        Verdict::Final(Answer::Granted)
    }

    /// The pots that are still too small for a need which was not granted.
    pub(super) fn lacking(&self, answers: &[Answer], ask: &SyncAsk) -> BTreeSet<Pot> {
        let lack = |(answer, _): &(&Answer, &Need)| matches!(answer, Answer::Lack { .. });
        let needs = answers.iter().zip(&ask.needs).filter(lack);
        needs
            .flat_map(|(_, need)| {
                need.chain.iter().filter(|pot| self.balance(pot).free() < need.amount).copied()
            })
            .collect()
    }

    pub(super) fn states(&self, ask: &SyncAsk) -> Vec<LeaseState> {
        let state = |pot: Pot| LeaseState {
            pot,
            granted: self.leases.get(&pot).copied().unwrap_or_default().granted,
            room: self.balance(&pot).room(),
        };
        named(ask).into_iter().map(state).collect()
    }

    pub(super) fn balance(&self, pot: &Pot) -> Balance {
        self.pots.get(pot).copied().unwrap_or_default()
    }
}

/// The pots that a message names, each once.
pub(super) fn named(ask: &SyncAsk) -> BTreeSet<Pot> {
    let chains = ask.needs.iter().flat_map(|need| need.chain.iter());
    chains.chain(ask.returned.iter().map(|(pot, _)| pot)).copied().collect()
}

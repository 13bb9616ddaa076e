//! Random messages of a few boots, sent to an engine and to the model alike.

use super::{
    samples::{
        ACME, ORGS, TEAM, WHOLE, boot, budget, chain, house, journal, pot, record, resolution,
        unknown,
    },
    seed_by_commit,
};
use crate::{
    Answer, Balances, Fault, Ledger, Need, Shipment, Store, SyncAsk, SyncReply, model::Model,
};
use policies::{
    budget::{Lease, Pot},
    ids::{BootId, OrgId},
    money::NanoUsd,
    time::Timestamp,
    usage::UsageRecord,
};
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc};

const STEPS: u32 = 2_500;
/// Messages on their way, at most.
const MESSAGES_MAX: usize = 12;

#[derive(Clone, Debug)]
enum Message {
    Sync(OrgId, BootId, SyncAsk),
    Ship(OrgId, Vec<UsageRecord>),
}

/// An attempt that has been held.
#[derive(Clone, Debug)]
struct Attempt {
    org: OrgId,
    by: BootId,
    held: NanoUsd,
}

struct Run<'s, S> {
    store: &'s S,
    model: Model,
    dice: Dice,
    limit: i64,
    /// The boots that are alive, and what each has in memory.
    boots: Vec<BootId>,
    leases: BTreeMap<(OrgId, BootId, Pot), Lease>,
    attempts: Vec<Attempt>,
    messages: Vec<Message>,
    /// Rows that no shipment is known to have brought: a boot is closed only without any.
    journal: Vec<UsageRecord>,
    /// Those with an unknown end that are in the store.
    unresolved: Vec<UsageRecord>,
    boots_made: u8,
    requests_made: u64,
}

/// Runs until all steps are done; `limit` is that of the larger budget.
pub(super) async fn run(store: &impl Store, seed: u32, limit: i64) -> Result<(), Fault> {
    let mut run = Run {
        store,
        model: Model::default(),
        dice: Dice(seed),
        limit,
        boots: Vec::new(),
        leases: BTreeMap::new(),
        attempts: Vec::new(),
        messages: Vec::new(),
        journal: Vec::new(),
        unresolved: Vec::new(),
        boots_made: 0,
        requests_made: 0,
    };
    for org in ORGS {
        seed_by_commit(store, &org, house(org)?).await?;
        seed_by_commit(&run.model, &org, house(org)?).await?;
        run.set_limits(org, limit).await?;
    }
    for step in 0..STEPS {
        run.step().await?;
        run.compare(step).await?;
    }
    Ok(())
}

impl<S: Store> Run<'_, S> {
    async fn step(&mut self) -> Result<(), Fault> {
        while self.boots.len() < 3 {
            self.boots_made += 1;
            let fresh = boot(self.boots_made);
            self.store.open_boot(&fresh, &journal(1)).await?;
            self.model.open_boot(&fresh, &journal(1)).await?;
            self.boots.push(fresh);
        }
        match self.dice.below(100) {
            0..25 => self.ask(),
            25..50 => self.hold(),
            50..65 => self.end(),
            65..72 => self.ship(),
            72..96 => return self.deliver().await,
            96..98 => return self.resolve().await,
            98 => return self.end_boot().await,
            _ => {
                let org = self.org();
                let half = usize::try_from(self.limit / 2).unwrap_or(0);
                let limit = self.limit / 2 + i64::try_from(self.dice.below(half)).unwrap_or(0);
                return self.set_limits(org, limit).await;
            }
        }
        Ok(())
    }

    fn org(&mut self) -> OrgId {
        if self.dice.below(2) == 0 { ACME } else { ORGS[1] }
    }

    fn boot(&mut self) -> BootId {
        let index = self.dice.below(self.boots.len());
        self.boots.get(index).copied().unwrap_or(boot(1))
    }

    fn amount(&mut self) -> NanoUsd {
        NanoUsd(1 + i64::try_from(self.dice.below(60)).unwrap_or(0))
    }

    /// A message that takes or gives back, or both; it may be on its way for long.
    fn ask(&mut self) {
        let (org, by) = (self.org(), self.boot());
        let mut ask = SyncAsk::default();
        for _ in 0..self.dice.below(3) {
            let amount = self.amount();
            let mut chain = chain();
            if self.dice.below(3) == 0 {
                chain.truncate(1);
            }
            ask.needs.push(Need { chain, amount });
        }
        for pot in chain() {
            if let Some(lease) = self.leases.get_mut(&(org, by, pot)) {
                let told =
                    if self.dice.below(2) == 0 { lease.give_back() } else { lease.returned() };
                ask.returned.push((pot, told));
            }
        }
        self.send(Message::Sync(org, by, ask));
    }

    fn send(&mut self, message: Message) {
        if self.dice.below(8) == 0 {
            self.messages.push(message.clone());
        }
        if self.dice.below(8) != 0 && self.messages.len() < MESSAGES_MAX {
            self.messages.push(message);
        }
    }

    fn hold(&mut self) {
        let (org, by, held) = (self.org(), self.boot(), self.amount());
        let pots = chain().into_iter().map(|pot| (org, by, pot));
        let pots: Vec<_> = pots.collect();
        let fits = |key| self.leases.get(key).is_some_and(|lease: &Lease| lease.covers(held));
        if pots.iter().all(fits) {
            for key in &pots {
                let lease = self.leases.entry(*key).or_default();
                assert!(lease.hold(held), "it was covered");
            }
            self.attempts.push(Attempt { org, by, held });
        }
    }

    fn end(&mut self) {
        let Some(attempt) = self.attempts.pop() else { return };
        self.requests_made += 1;
        let (number, held) = (self.requests_made, attempt.held.0);
        let seen = i64::try_from(self.dice.below(70)).unwrap_or(0);
        let row = if self.dice.below(6) == 0 {
            unknown(attempt.org, number, attempt.by, seen.min(held), held)
        } else {
            record(attempt.org, number, attempt.by, seen, seen.min(held))
        };
        for pot in chain() {
            let lease = self.leases.entry((attempt.org, attempt.by, pot)).or_default();
            lease.settle(attempt.held, row.ending.counted);
        }
        self.journal.push(row);
    }

    /// Some rows of the journal, in order, or again.
    fn ship(&mut self) {
        let org = self.org();
        let rows = self.journal.iter().filter(|row| row.stamp.org == org).cloned();
        let rows: Vec<_> = rows.take(1 + self.dice.below(20)).collect();
        self.send(Message::Ship(org, rows));
    }

    async fn deliver(&mut self) -> Result<(), Fault> {
        if self.messages.is_empty() {
            return Ok(());
        }
        let index = self.dice.below(self.messages.len());
        match self.messages.swap_remove(index) {
            Message::Sync(org, by, ask) => self.sync(org, by, ask).await,
            Message::Ship(org, records) => self.bring(org, records).await,
        }
    }

    async fn sync(&mut self, org: OrgId, by: BootId, ask: SyncAsk) -> Result<(), Fault> {
        let ours = self.model.sync(&org, &by, ask.clone()).await?;
        let theirs = self.store.sync(&org, &by, ask.clone()).await?;
        assert_eq!(timeless(theirs.clone()), timeless(ours), "{org} {by} {ask:?}");
        let SyncReply::Open { answers, leases, .. } = theirs else { return Ok(()) };
        let states = self.store.pots(&org, Timestamp(0)).await?;
        for (answer, need) in answers.iter().zip(&ask.needs) {
            match answer {
                Answer::Granted => {
                    let granted = states.iter().filter(|state| need.chain.contains(&state.pot));
                    for state in granted {
                        assert!(NanoUsd::ZERO <= state.balance.free(), "{state:?}");
                    }
                }
                Answer::Exhausted { budget, .. } => {
                    let there = self.could_be_had(org, pot(*budget.as_bytes())).await?;
                    assert!(there < need.amount, "{there} of {budget} were there all the time");
                }
                Answer::Lack { .. } | Answer::PeriodOver => {}
            }
        }
        // The reply may be lost on its way back.
        if self.boots.contains(&by) && self.dice.below(10) != 0 {
            for lease in leases {
                self.leases.entry((org, by, lease.pot)).or_default().grant(lease.granted);
            }
        }
        Ok(())
    }

    /// What is free, and what lies unused at boots that are alive.
    async fn could_be_had(&self, org: OrgId, pot: Pot) -> Result<NanoUsd, Fault> {
        let states = self.store.pots(&org, Timestamp(0)).await?;
        let state = states.iter().find(|state| state.pot == pot);
        let free = state.map_or(NanoUsd::ZERO, |state| state.balance.free());
        let leases = self.leases.iter().filter(|((of, _, on), _)| *of == org && *on == pot);
        Ok(leases.fold(free, |sum, (_, lease)| sum.plus(lease.unused())))
    }

    async fn bring(&mut self, org: OrgId, records: Vec<UsageRecord>) -> Result<(), Fault> {
        let shared = records.iter().cloned().map(Arc::new).collect();
        let rows = Shipment { records: shared, decisions: Vec::new() };
        let before = self.taken(org).await?;
        // Rows of a boot that was closed in between are in the store already.
        self.model.ship(&org, rows.clone()).await?;
        self.store.ship(&org, rows).await?;
        assert!(self.taken(org).await? <= before, "a shipment takes nothing");
        for record in records {
            let known = self.journal.iter().position(|row| *row == record);
            if let Some(index) = known
                && self.dice.below(4) != 0
            {
                let row = self.journal.remove(index);
                let open = row.ending.cost.is_some_and(|cost| cost < row.ending.counted);
                if open {
                    self.unresolved.push(row);
                }
            }
        }
        Ok(())
    }

    /// The sum of all that is not free, but for overruns.
    async fn taken(&self, org: OrgId) -> Result<NanoUsd, Fault> {
        let states = self.store.pots(&org, Timestamp(0)).await?;
        let taken = |state: &crate::PotState| state.balance.room().minus(state.balance.free());
        Ok(states.iter().map(|state| taken(state).plus(state.balance.settled)).sum())
    }

    async fn resolve(&mut self) -> Result<(), Fault> {
        let Some(row) = self.unresolved.pop() else { return Ok(()) };
        let actual = i64::try_from(self.dice.below(80)).unwrap_or(0);
        let actual = actual.max(row.ending.cost.unwrap_or_default().0);
        self.bring(row.stamp.org, vec![resolution(&row, actual)]).await
    }

    /// A boot ends: in order, with a journal that is lost, or swept first and in order later.
    async fn end_boot(&mut self) -> Result<(), Fault> {
        let by = self.boot();
        self.boots.retain(|boot| *boot != by);
        self.attempts.retain(|attempt| attempt.by != by);
        self.leases.retain(|(_, boot, _), _| *boot != by);
        let (kept, gone): (Vec<_>, Vec<_>) =
            self.journal.drain(..).partition(|row| row.stamp.boot != by);
        self.journal = kept;
        let how = self.dice.below(3);
        if how != 0 {
            self.model.close(&by, false).await?;
            self.store.close(&by, false).await?;
        }
        if how != 1 {
            for org in ORGS {
                let rows = gone.iter().filter(|row| row.stamp.org == org).cloned();
                self.bring(org, rows.collect()).await?;
            }
        }
        if how == 1 {
            self.messages.retain(|message| match message {
                Message::Sync(..) => true,
                Message::Ship(_, rows) => rows.iter().all(|row| row.stamp.boot != by),
            });
        }
        if how != 1 {
            self.model.close(&by, true).await?;
            self.store.close(&by, true).await?;
        }
        Ok(())
    }

    async fn set_limits(&mut self, org: OrgId, limit: i64) -> Result<(), Fault> {
        let name = if org == ACME { "acme" } else { "other" };
        let objects = vec![
            budget(WHOLE, name, &json!("org"), limit)?,
            budget(TEAM, name, &json!({"unit": "team"}), limit / 2)?,
        ];
        seed_by_commit(&self.model, &org, objects.clone()).await?;
        seed_by_commit(self.store, &org, objects).await
    }

    async fn compare(&self, step: u32) -> Result<(), Fault> {
        for org in ORGS {
            let ours = self.model.pots(&org, Timestamp(0)).await?;
            let theirs = self.store.pots(&org, Timestamp(0)).await?;
            assert_eq!(theirs, ours, "step {step}");
        }
        for (name, lease) in &self.leases {
            assert!(NanoUsd::ZERO <= lease.unused(), "step {step}: {name:?} {lease:?}");
        }
        Ok(())
    }
}

/// Without what depends on the moment at which each of the two was asked.
fn timeless(mut reply: SyncReply) -> SyncReply {
    if let SyncReply::Open { answers, now, .. } = &mut reply {
        *now = Timestamp(0);
        for answer in answers {
            if let Answer::Lack { silent, .. } = answer {
                *silent = false;
            }
        }
    }
    reply
}

/// The same throws every time, so that a failure can be met again.
pub(super) struct Dice(pub(super) u32);

impl Dice {
    pub(super) fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        usize::try_from(self.0 >> 8).unwrap_or(0) % most.max(1)
    }
}

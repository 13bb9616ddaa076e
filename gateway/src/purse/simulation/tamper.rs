//! Mistakes of the store, and of those who speak with it, made to messages on their way.

use super::{
    variant::Variant,
    wire::{Message, Reply},
    world::{ORG, World},
};
use policies::{
    budget::Pot,
    ids::{BootId, BudgetId, RequestId},
    money::NanoUsd,
    time::Timestamp,
    usage::UsageRecord,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use store::{Answer, Fault, LeaseState, Need, Recalls, SyncAsk, SyncReply};

/// What mistaken parts remember.
#[derive(Default)]
pub(super) struct Memory {
    told: BTreeMap<(BootId, Pot), i64>,
    added: BTreeMap<(BootId, Pot), i64>,
    copied: BTreeMap<(BootId, Pot), i64>,
    faked: BTreeMap<(BootId, Pot), i64>,
    shipped: BTreeSet<(RequestId, u32)>,
    again: u32,
    lacked: BTreeMap<(BootId, BudgetId), u32>,
}

/// What a boot says.
pub(super) fn ask(world: &World, boot: BootId, mut ask: SyncAsk) -> SyncAsk {
    for (pot, told) in &mut ask.returned {
        if world.is(Variant::ReturnedWhileHeld) {
            told.0 += world.truth().due(boot, pot);
        }
        if world.is(Variant::ReturnedIsADifference) {
            let before = world.memory().told.insert((boot, *pot), told.0).unwrap_or(0);
            told.0 -= before;
        }
    }
    ask
}

/// What the store makes of a message.
pub(super) fn message(world: &World, message: &Message) -> Message {
    match message {
        Message::Close(boot, false) if world.is(Variant::TimeFrees) => Message::Close(*boot, true),
        Message::Sync(boot, ask) if world.is(Variant::ReturnedIsADifference) => {
            let mut ask = ask.clone();
            for (pot, told) in &mut ask.returned {
                let mut memory = world.memory();
                let sum = memory.added.entry((*boot, *pot)).or_default();
                *sum += told.0;
                told.0 = *sum;
            }
            Message::Sync(*boot, ask)
        }
        Message::Ship(records) if world.is(Variant::ShippedTwice) => {
            let mut memory = world.memory();
            Message::Ship(records.iter().map(|record| renamed(&mut memory, record)).collect())
        }
        Message::Open(..)
        | Message::Renew(_)
        | Message::Sync(..)
        | Message::Ship(_)
        | Message::Close(..)
        | Message::Recalls(..)
        | Message::Unheard(_) => message.clone(),
    }
}

fn renamed(memory: &mut Memory, record: &Arc<UsageRecord>) -> Arc<UsageRecord> {
    let mut record = Arc::clone(record);
    if !memory.shipped.insert((record.stamp.request, record.stamp.attempt)) {
        memory.again += 1;
        Arc::make_mut(&mut record).stamp.attempt += 1_000 * memory.again;
    }
    record
}

/// What the store answers.
pub(super) fn reply(
    world: &World,
    message: &Message,
    reply: Result<Reply, Fault>,
) -> Result<Reply, Fault> {
    match (message, reply) {
        (Message::Sync(boot, ask), Ok(Reply::Synced(SyncReply::Closed)))
            if world.is(Variant::ClosedBootIsGranted) =>
        {
            Ok(Reply::Synced(granted(world, *boot, ask)))
        }
        (Message::Sync(boot, ask), Ok(Reply::Synced(SyncReply::Open { answers, leases, now }))) => {
            let pairs = ask.needs.iter().zip(answers);
            let answers = pairs.map(|(need, answer)| decide(world, *boot, need, answer)).collect();
            Ok(Reply::Synced(SyncReply::Open { answers, leases, now }))
        }
        (Message::Recalls(..), Ok(Reply::Recalls(Recalls { now, .. })))
            if world.is(Variant::RecallsUnanswered) =>
        {
            Ok(Reply::Recalls(Recalls { pots: Vec::new(), now }))
        }
        (_, reply) => reply,
    }
}

/// As if the boot were open.
fn granted(world: &World, boot: BootId, ask: &SyncAsk) -> SyncReply {
    let mut memory = world.memory();
    let mut leases = BTreeMap::new();
    for need in &ask.needs {
        for pot in &need.chain {
            let sum = memory.faked.entry((boot, *pot)).or_insert(100_000);
            *sum += need.amount.0;
            let (granted, room) = (NanoUsd(*sum), NanoUsd::MAX);
            leases.insert(*pot, LeaseState { pot: *pot, granted, room });
        }
    }
    let answers = vec![Answer::Granted; ask.needs.len()];
    SyncReply::Open { answers, leases: leases.into_values().collect(), now: Timestamp(0) }
}

fn decide(world: &World, boot: BootId, need: &Need, answer: Answer) -> Answer {
    let Answer::Lack { budget, silent } = answer else { return answer };
    let free = |pot: &Pot| world.truth().free(pot);
    let least = need.chain.iter().map(free).min().unwrap_or(0);
    let exhausted = Answer::Exhausted { budget, left: NanoUsd(least) };
    match world.variant {
        Some(Variant::ExhaustedByFree) => exhausted,
        Some(Variant::ExhaustedWhenAllAnswered) if !silent => {
            let mut memory = world.memory();
            let lacked = memory.lacked.entry((boot, budget)).or_default();
            *lacked += 1;
            if 2 < *lacked { exhausted } else { answer }
        }
        Some(Variant::ChainInPart) => {
            let fits = |pot: &&Pot| need.amount.0 <= free(pot);
            let chain: Vec<Pot> = need.chain.iter().filter(fits).copied().collect();
            if !chain.is_empty() {
                let needs = vec![Need { chain, amount: need.amount }];
                let ask = SyncAsk { needs, returned: Vec::new() };
                let store = world.engine.store();
                let _ = world.engine.call(store.sync(&ORG, &boot, ask));
                return Answer::Granted;
            }
            answer
        }
        Some(_) | None => answer,
    }
}

/// What the boot takes a reply for.
pub(super) fn on_its_way(
    world: &World,
    message: &Message,
    mut reply: Result<Reply, Fault>,
    copy: bool,
) -> Result<Reply, Fault> {
    if world.is(Variant::GrantsAddedUp)
        && let Message::Sync(boot, ask) = message
        && let Ok(Reply::Synced(SyncReply::Open { answers, leases, .. })) = &mut reply
    {
        let mut memory = world.memory();
        for (need, answer) in ask.needs.iter().zip(answers) {
            for pot in need.chain.iter().filter(|_| copy && *answer == Answer::Granted) {
                *memory.copied.entry((*boot, *pot)).or_default() += need.amount.0;
            }
        }
        for lease in leases {
            let copied = memory.copied.get(&(*boot, lease.pot)).copied().unwrap_or(0);
            lease.granted = lease.granted.plus(NanoUsd(copied));
        }
    }
    reply
}

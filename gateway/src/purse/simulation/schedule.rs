//! The course of one run: load and faults, then calm, then a last look at everything.

use super::{
    engine,
    gateway::{FENCE_MILLIS, Gateway},
    variant::Variant,
    world::{ORG, World},
};
use policies::{
    budget::Pot,
    ids::BootId,
    money::NanoUsd,
    time::Timestamp,
    usage::{Outcome, UsageRecord},
};
use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use store::{
    Released,
    audit::{Act, Actor, ActorKind, Outcome as Done},
};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep},
};

/// From the last contact of a boot to when it surely sends nothing more.
const QUIET_MILLIS: i64 = FENCE_MILLIS + 6_000;
/// How long everything may take to come to rest.
const REST: Duration = Duration::from_secs(90);
/// Longer than any message is on its way.
const SLOWEST: Duration = Duration::from_secs(6);
const LOOK: Duration = Duration::from_millis(500);

pub(super) async fn play(world: &Arc<World>) {
    world.found();
    for slot in 0..world.weather.gateways {
        Gateway::start(world, slot);
    }
    if world.dice.happens(500) {
        engine::jump(world.dice.between(-3_600_000, 3_600_000));
    }
    let until = Instant::now() + Duration::from_millis(world.weather.millis.unsigned_abs());
    while Instant::now() < until && !world.is_over() {
        sleep(world.dice.millis(50, 500)).await;
        if world.dice.happens(world.weather.breaks) {
            break_something(world);
        } else if world.dice.happens(120) {
            administer(world);
        }
    }
    heal(world).await;
    if !world.is_over() {
        all_of_the_rest(world).await;
    }
}

fn later(world: &Arc<World>, wait: Duration, act: impl FnOnce(&Arc<World>) + Send + 'static) {
    let world = Arc::clone(world);
    Handle::current().spawn(async move {
        sleep(wait).await;
        act(&world);
    });
}

fn break_something(world: &Arc<World>) {
    let dice = &world.dice;
    let slot = dice.below(world.weather.gateways);
    match dice.below(100) {
        0..30 => {
            let Some(gateway) = world.live().into_iter().find(|live| live.slot == slot) else {
                return;
            };
            crash(&gateway);
            let wait =
                if dice.happens(300) { dice.millis(4_000, 14_000) } else { dice.millis(10, 1_500) };
            later(world, wait, move |world| start_again(world, slot));
        }
        30..62 => {
            world.tell(|| format!("{slot} is cut off"));
            world.count("cut");
            world.cut[slot].shut();
            let long = dice.happens(300);
            let wait = if long { dice.millis(6_000, 15_000) } else { dice.millis(50, 3_000) };
            // Somebody gets nervous about it.
            for nervous in [8_700, 9_500, 11_000, 13_000].map(Duration::from_millis) {
                if nervous < wait {
                    later(world, nervous, release);
                }
            }
            later(world, wait, move |world| {
                world.cut[slot].open();
            });
        }
        62..72 => {
            world.tell(|| "the store freezes".to_owned());
            world.frozen.shut();
            let wait = dice.millis(100, 5_000);
            later(world, wait, |world| {
                world.frozen.open();
            });
        }
        72..82 => {
            let jump =
                if dice.happens(500) { dice.between(-300, 0) } else { dice.between(0, 2_500) };
            world.tell(|| format!("the ledger's clock jumps by {jump}"));
            engine::jump(jump);
        }
        _ => {
            let Some(gateway) = world.live().into_iter().find(|live| live.slot == slot) else {
                return;
            };
            world.tell(|| format!("{slot} drains"));
            let own = Arc::clone(world);
            Handle::current().spawn(async move {
                gateway.drain().await;
                start_again(&own, slot);
            });
        }
    }
}

fn start_again(world: &Arc<World>, slot: usize) {
    if !world.is_over() && world.live().iter().all(|live| live.slot != slot) {
        Gateway::start(world, slot);
    }
}

/// The process is killed, or the machine goes down, or its disk is lost.
fn crash(gateway: &Gateway) {
    let (world, slot) = (&gateway.world, gateway.slot);
    let how = world.dice.below(10);
    gateway.die();
    world.count("crashes");
    match how {
        0..5 => world.tell(|| format!("{slot} is killed")),
        5..8 => {
            world.tell(|| format!("the machine of {slot} goes down"));
            let torn = gateway.disk.tear(&world.dice);
            let mut truth = world.truth();
            truth.untold.extend(torn.iter().copied());
            truth.torn.extend(torn);
        }
        _ => {
            world.tell(|| format!("the disk of {slot} is lost"));
            world.truth().untold.extend(gateway.disk.boots());
            world.replace_disk(slot);
        }
    }
}

/// What people do.
fn administer(world: &Arc<World>) {
    match world.dice.below(4) {
        0 => {
            let index = world.dice.below(world.purposes.len());
            let budget = world.purposes[index].rule.id;
            let before = world.truth().limits.get(&budget).copied().unwrap_or(0);
            let limit = (before * world.dice.between(50, 200) / 100).max(1);
            world.set_limit(index, limit);
            for gateway in world.live() {
                gateway.learn_settings(budget, before);
            }
        }
        1 | 2 => resolve(world),
        _ => release(world),
    }
}

fn act(action: &str) -> Act {
    let (id, name) = (String::new(), "operator".to_owned());
    Act {
        at: Timestamp(0),
        actor: Actor { kind: ActorKind::Operator, id, name },
        address: None,
        action: action.to_owned(),
        outcome: Done::Done,
        target: None,
        before: None,
        after: None,
        reason: None,
        request: None,
        via: "system".to_owned(),
        revision: None,
    }
}

/// The provider's own report says what an attempt cost of which nobody knew it.
fn resolve(world: &Arc<World>) {
    let open: Vec<_> = {
        let truth = world.truth();
        let open = truth.attempts.iter().filter(|(_, attempt)| {
            attempt.record.is_some_and(|record| record.open && 0 < record.counted)
        });
        open.map(|(name, attempt)| (*name, attempt.clone())).collect()
    };
    if open.is_empty() {
        return;
    }
    let (name, attempt) = open[world.dice.below(open.len())].clone();
    let store = world.engine.store();
    let records = world.engine.call(store.records_of(&ORG, &name.0)).unwrap();
    let record = records.into_iter().find(|it| it.stamp.attempt == name.1 && it.part == 0);
    let Some(UsageRecord { stamp, mut ending, .. }) = record else { return };
    let seen = ending.cost.unwrap_or_default().0;
    let before = if world.is(Variant::ResolvedTwice) { 0 } else { seen };
    ending.outcome = Outcome::Finished;
    ending.cost = Some(NanoUsd(attempt.actual - before));
    ending.counted = NanoUsd(attempt.actual.min(attempt.hold) - attempt.hold);
    ending.overrun = NanoUsd((attempt.actual - attempt.hold).max(0));
    let correction = UsageRecord { stamp, part: 1, ending };
    let done = store.resolve_attempt(&ORG, correction, act("attempt.resolved"));
    let done = world.engine.call(done).unwrap();
    world.tell(|| format!("{name:?} is resolved at {}: {done}", attempt.actual));
    world.count("resolved");
    world.truth().resolve(name);
    world.check(&BTreeSet::new());
}

/// Somebody answers for it that a lost boot spent nothing more.
fn release(world: &Arc<World>) {
    let lost: BTreeSet<BootId> =
        world.lent().iter().filter(|lent| lent.lost).map(|lent| lent.boot).collect();
    let Some(boot) = lost.iter().nth(world.dice.below(lost.len())).copied() else { return };
    let store = world.engine.store();
    let released = store.release_boot(&ORG, &boot, QUIET_MILLIS, act("boot.released"));
    if let Released::Done(amount) = world.engine.call(released).unwrap() {
        world.tell(|| format!("{boot} is released: {amount}"));
        world.count("released");
        world.truth().released.insert(boot);
    }
    world.check(&BTreeSet::new());
}

/// No faults any more: everything ends, is shipped and is closed.
async fn heal(world: &Arc<World>) {
    world.tell(|| "calm".to_owned());
    world.calm_down();
    // What was slow on its way arrives, and everybody is heard again.
    sleep(SLOWEST).await;
    let over = Instant::now() + REST;
    while !world.is_over() {
        for slot in 0..world.weather.gateways {
            start_again(world, slot);
        }
        for gateway in world.live() {
            let idle = gateway.open.load(Ordering::Relaxed) == 0;
            if gateway.has_lost() && idle {
                // Only a new start reads the intent whose ending was lost.
                gateway.die();
            }
        }
        let rests = world.live().iter().all(|gateway| gateway.rests());
        if rests && world.live().len() == world.weather.gateways && no_boot_is_forgotten(world) {
            break;
        }
        if over < Instant::now() {
            world.find(Err(format!("it does not come to rest: {:?}", world.lent())));
        }
        sleep(LOOK).await;
    }
    if !world.is_over() {
        world.check(&BTreeSet::new());
        world.audit();
    }
}

/// What is open is of boots that live, and what is lost is of boots of which no journal tells all.
fn no_boot_is_forgotten(world: &World) -> bool {
    let live: BTreeSet<BootId> = world.live().iter().map(|live| live.purse.boot()).collect();
    let truth = world.truth();
    world.lent().iter().all(|lent| {
        let known = if lent.lost { &truth.untold } else { &live };
        known.contains(&lent.boot)
    })
}

/// Nothing is on its way: one waiter must get all that is free, or lies unused somewhere.
async fn all_of_the_rest(world: &Arc<World>) {
    let live = world.live();
    let gateway = &live[world.dice.below(live.len())];
    let indexes = world.dice.pick(&[&[0][..], &[0, 1], &[0, 1, 2], &[0, 1, 3]]);
    // A period that ends meanwhile says nothing.
    let ends = |at: Timestamp| {
        let pots = indexes.iter().map(|index| world.purposes[*index].pot(at));
        pots.map(|pot| pot.span.ends).min().unwrap_or(Timestamp::NEVER)
    };
    while ends(gateway.purse.now()) < gateway.purse.now().plus_millis(6_500) {
        sleep(LOOK).await;
    }
    let now = gateway.purse.now();
    let pots: Vec<_> = indexes.iter().map(|index| world.purposes[*index].pot(now)).collect();
    // Nothing is held: whatever live boots have is unused, whether they know of it or not.
    let lent = world.lent();
    let unused = |pot: &Pot| -> i64 {
        let open = lent.iter().filter(|lent| lent.pot == *pot && !lent.lost);
        open.map(|lent| lent.outstanding.0).sum()
    };
    let there: Vec<i64> = {
        let truth = world.truth();
        pots.iter().map(|pot| truth.free(pot) + unused(pot)).collect()
    };
    let most = there.iter().copied().min().unwrap_or(0);
    if most <= 0 {
        world.count("nothing left");
        return;
    }
    world.count("something left");
    if let Err(refusal) = gateway.ask_for(indexes, most).await {
        world.find(Err(format!("{most} are there, of {there:?}, and cannot be had: {refusal}")));
    }
}

//! What callers do: requests of one attempt after the other, with every end that there is.

use super::{
    super::{Hold, Patience, Seat, Want},
    disk::{self, Line, Name},
    gateway::Gateway,
    truth::Attempt,
    variant::Variant,
    world::{ADA, APP, KEYS, ORG, TEAM},
};
use crate::{
    journal::Written,
    shipper::{Batch, Body, Row},
};
use policies::{
    ids::{DeploymentId, KeyId, ProjectId, RequestId, Revision, UnitId, UserId},
    money::NanoUsd,
    refusal::Refusal,
    time::Timestamp,
    usage::{Leg, Outcome, Principal, Stamp, Surface, UsageRecord},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use store::clock;
use tokio::time::sleep;

/// Attempts of one request, at most.
const ATTEMPTS_MAX: u32 = 3;
/// A key without a budget.
const NO_BUDGET: [u8; 16] = [0x27; 16];
/// What a provider may charge above the hold.
const OVERRUN_MAX: i64 = 3;

/// Requests, until there are no faults any more.
pub(super) async fn load(gateway: Arc<Gateway>) {
    let world = &gateway.world;
    loop {
        sleep(world.dice.millis(1, world.weather.pause)).await;
        if world.is_calm() || world.is_over() {
            return;
        }
        if gateway.serves() {
            let own = Arc::clone(&gateway);
            gateway.open.fetch_add(1, Ordering::Relaxed);
            gateway.spawn(async move {
                request(&own).await;
                own.open.fetch_sub(1, Ordering::Relaxed);
            });
        }
    }
}

/// An ending on its way to the journal.
struct Closing {
    name: Name,
    hold: Hold,
    /// None: it was not begun.
    record: Option<Arc<UsageRecord>>,
}

/// How an attempt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Reported,
    HungUp,
    NotBegun,
    Unknown,
    /// The journal takes no entry.
    Unwritten,
}

async fn request(gateway: &Gateway) {
    let (world, dice) = (&gateway.world, &gateway.world.dice);
    let chosen = u8::try_from(dice.below(8)).unwrap();
    let id = if world.is(Variant::ChosenIds) { [chosen; 16] } else { dice.id() };
    let request = RequestId::from_bytes(id);
    let indexes = dice.pick(&[&[0][..], &[0, 1], &[0, 1, 2], &[0, 1, 3], &[0, 1, 3]]);
    let unit = (world.weather.scale / 40).max(1);
    let need = if dice.happens(300) { 1 } else { dice.pick(&[1, 2, 5, 12]) * unit };
    let own_clock = world.is(Variant::OwnClock);
    let admitted = if own_clock { clock::now() } else { gateway.purse.now() };
    let patience = Patience(Duration::from_millis(dice.pick(&[0, 300, 2_000])));
    let Ok(mut taken) = take(gateway, indexes, admitted, need, patience).await else { return };
    let mut closing = None;
    for attempt in 1..=ATTEMPTS_MAX {
        if attempt == 1 && dice.happens(50) {
            // The caller has gone, and nothing was sent.
            return;
        }
        let stamp = stamp(&taken.1, (request, attempt), indexes, admitted);
        let last = attempt == ATTEMPTS_MAX;
        closing = try_once(gateway, Arc::new(stamp), taken.1, closing).await;
        let unknown = closing.as_ref().is_some_and(|closing| {
            let record = closing.record.as_ref();
            record.is_some_and(|record| record.ending.outcome == Outcome::Indeterminate)
        });
        if !unknown || last {
            break;
        }
        let at_once = Patience(Duration::ZERO);
        match take(gateway, indexes, admitted, need, at_once).await {
            Ok(next) => taken = next,
            Err(_refused) => break,
        }
    }
    if closing.is_some() {
        write(gateway, closing, None).await;
    }
}

/// As `Purse::take`; whoever is refused for ever is refused rightly.
pub(super) async fn take(
    gateway: &Gateway,
    indexes: &[usize],
    admitted: Timestamp,
    need: i64,
    patience: Patience,
) -> Result<(Seat, Hold), String> {
    let world = &gateway.world;
    let purposes = indexes.iter().map(|index| &world.purposes[*index]);
    let budgets: Vec<_> = purposes.map(|purpose| (&purpose.rule, purpose.pot(admitted))).collect();
    let pots: Vec<_> = budgets.iter().map(|(_, pot)| *pot).collect();
    let want = Want { limits: Vec::new(), budgets, amount: NanoUsd(need), tokens: 0 };
    let taken = gateway.purse.take(&ORG, &want, patience).await;
    let (slot, levels) = (gateway.slot, indexes.len());
    world.tell(|| match &taken {
        Ok((_, hold, _)) => format!("{slot} holds {need} on {levels} of {}", hold.boot()),
        Err(refusal) => format!("{slot} is refused {need} on {levels}: {refusal:?}"),
    });
    match taken {
        Ok((seat, hold, _)) => {
            world.count("held");
            Ok((seat, hold))
        }
        Err(refusal) => {
            world.count(match refusal.code() {
                "budget_exhausted" => "exhausted",
                "budget_held" => "budget held",
                "budget_unsettled" => "unsettled",
                _ => "unavailable",
            });
            if matches!(refusal, Refusal::BudgetExhausted { .. }) {
                let finding = world.truth().refuse(need, &pots, &gateway.known());
                world.find(finding);
            }
            Err(format!("{refusal:?}"))
        }
    }
}

/// From the intent to an ending, which nobody has written yet. None: it never will be.
async fn try_once(
    gateway: &Gateway,
    stamp: Arc<Stamp>,
    hold: Hold,
    before: Option<Closing>,
) -> Option<Closing> {
    let (world, dice) = (&gateway.world, &gateway.world.dice);
    let (name, held) = ((stamp.request, stamp.attempt), hold.amount().0);
    let end = match dice.below(100) {
        0..68 => End::Reported,
        68..78 => End::HungUp,
        78..86 => End::NotBegun,
        86..99 => End::Unknown,
        _ => End::Unwritten,
    };
    let reported =
        if dice.happens(50) { held + dice.between(1, OVERRUN_MAX) } else { dice.between(0, held) };
    let actual = match end {
        End::Reported => reported,
        End::NotBegun => 0,
        End::HungUp | End::Unknown | End::Unwritten => reported.min(held),
    };
    if world.is(Variant::SendBeforeIntent) {
        intend(gateway, &stamp);
        send(gateway, name, actual);
    }
    write(gateway, before, Some(Arc::clone(&stamp))).await;
    send(gateway, name, actual);
    let mut seen = 0;
    for _ in 0..dice.below(3) {
        sleep(dice.millis(20, 1_200)).await;
        seen = dice.between(seen, actual.min(held));
        gateway.disk.commit(vec![Line::Progress(name, NanoUsd(seen))]);
    }
    // A long answer may outlive its boot.
    let long = dice.happens(80);
    sleep(if long { dice.millis(3_000, 12_000) } else { dice.millis(1, 200) }).await;
    let ending = match end {
        End::Reported => {
            let (counted, over) = (actual.min(held), (actual - held).max(0));
            let over = if world.is(Variant::OverrunIsForgotten) { 0 } else { over };
            Some(disk::ending(Outcome::Finished, actual, counted, over))
        }
        End::HungUp => Some(disk::ending(Outcome::HungUp, actual, actual, 0)),
        End::NotBegun => None,
        End::Unknown => {
            let counted = if world.is(Variant::UnknownIsFree) { 0 } else { held };
            Some(disk::ending(Outcome::Indeterminate, seen.min(counted), counted, 0))
        }
        End::Unwritten => {
            world.tell(|| format!("{} loses the end of {name:?}", gateway.slot));
            world.truth().untold.insert(stamp.boot);
            if world.is(Variant::LostEndingIsFree) {
                drop(hold)
            } else {
                hold.keep()
            }
            return None;
        }
    };
    let record =
        ending.map(|ending| Arc::new(UsageRecord { stamp: Stamp::clone(&stamp), part: 0, ending }));
    Some(Closing { name, hold, record })
}

fn intend(gateway: &Gateway, stamp: &Stamp) {
    let attempt = Attempt {
        boot: stamp.boot,
        pots: stamp.chain.clone(),
        hold: stamp.hold.0,
        actual: 0,
        counted: None,
        record: None,
    };
    gateway.world.truth().intend((stamp.request, stamp.attempt), attempt);
}

fn send(gateway: &Gateway, name: Name, actual: i64) {
    let finding = gateway.world.truth().send(name, actual);
    gateway.world.find(finding);
}

/// One commit of the journal: an ending, and the intent that follows it. What was held above the
/// ending is free after that.
async fn write(gateway: &Gateway, closing: Option<Closing>, intent: Option<Arc<Stamp>>) {
    let (world, dice) = (&gateway.world, &gateway.world.dice);
    let pause = if dice.happens(100) { dice.millis(50, 600) } else { dice.millis(0, 3) };
    let (mut lines, mut batch) = (Vec::new(), Batch::default());
    let mut ended = None;
    if let Some(Closing { name, hold, record }) = closing {
        let mut counted = record.as_ref().map_or(0, |record| record.ending.counted.0);
        let unknown = |record: &Arc<UsageRecord>| record.ending.outcome == Outcome::Indeterminate;
        if world.is(Variant::OneHoldForAll)
            && intent.is_some()
            && record.as_ref().is_some_and(unknown)
        {
            counted = 0;
        }
        lines.push(record.clone().map_or(Line::NotBegun(name), Line::Ending));
        batch.rows.extend(record.map(|record| Row::new(Body::Record(record), [None; 2])));
        ended = Some((name, hold, counted));
    }
    lines.extend(intent.iter().map(|stamp| Line::Intent(Arc::clone(stamp))));
    if world.is(Variant::SettleBeforeEnding) {
        settle(gateway, ended.take());
    }
    sleep(pause).await;
    gateway.disk.commit(lines);
    if let Some(stamp) = intent.filter(|_| !world.is(Variant::SendBeforeIntent)) {
        intend(gateway, &stamp);
    }
    gateway.outbox.add(Written(0), &mut batch);
    settle(gateway, ended);
}

fn settle(gateway: &Gateway, ended: Option<(Name, Hold, i64)>) {
    if let Some((name, hold, counted)) = ended {
        gateway.world.truth().settle(name, counted);
        hold.settle(NanoUsd(counted));
    }
}

fn stamp(hold: &Hold, name: Name, indexes: &[usize], admitted_at: Timestamp) -> Stamp {
    let of_key = |index: &&usize| 2 <= **index;
    let key = indexes.iter().find(of_key).map_or(NO_BUDGET, |index| KEYS[index - 2]);
    let team = indexes.contains(&1).then(|| UnitId::from_bytes(TEAM));
    Stamp {
        org: ORG,
        request: name.0,
        attempt: name.1,
        logical_request: name.0,
        leg: Leg::Primary,
        unit_path: team.into_iter().collect(),
        project: ProjectId::from_bytes(APP),
        cost_centre: None,
        tags: BTreeMap::new(),
        principal: Principal::User(UserId::from_bytes(ADA)),
        acted_for: None,
        key: KeyId::from_bytes(key),
        end_user_hash: None,
        session_hash: None,
        task_hash: None,
        request_class: None,
        client_request_id: None,
        surface: Surface::Chat,
        stream: true,
        model: "large".to_owned(),
        tier: None,
        deployment: DeploymentId::from_bytes([0x31; 16]),
        upstream_model: "large".to_owned(),
        price: None,
        revision: Revision(1),
        boot: hold.boot(),
        chain: hold.pots().to_vec(),
        hold: hold.amount(),
        admitted_at,
        queue_millis: 0,
    }
}

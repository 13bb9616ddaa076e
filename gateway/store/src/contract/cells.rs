//! The contract of `Cells`.

use super::{
    random::Dice,
    samples::{ACME, ORGS, boot},
};
use crate::{
    Fault,
    cells::{Cells, Column, Fit, Message, Reply, Standing, WindowName},
    clock,
    model::Model,
};
use policies::{
    ids::{BootId, LimitId, OrgId},
    rate::{
        Stretch,
        claims::{Meter, Part},
    },
};
use std::collections::BTreeMap;

const DAY: Meter = Meter::Requests(Stretch::Day);
const STEPS: u32 = 400;

fn window(limit: u8, meter: Meter) -> WindowName {
    WindowName { limit: LimitId::from_bytes([limit; 16]), end_user: None, meter }
}

fn part(limit: i64, least: i64, most: i64) -> Part {
    Part { limit, least, most }
}

/// A message of a replica that is alone, with one need.
fn ask(seq: u64, need: &[(WindowName, Part)]) -> Message {
    let (needs, replicas) = (vec![need.to_vec()], 1);
    Message { seq, answered: 0, columns: Vec::new(), needs, replicas, silent: Vec::new() }
}

fn tell(seq: u64, window: WindowName, taken: &[(i64, i64)]) -> Message {
    let columns = vec![Column { window, taken: taken.to_vec() }];
    Message { columns, needs: Vec::new(), ..ask(seq, &[]) }
}

struct Heard {
    fits: Vec<Fit>,
    windows: Vec<Standing>,
    now: i64,
}

impl Heard {
    fn first(&self) -> Result<Standing, Fault> {
        self.windows.first().copied().ok_or_else(|| Fault::Broken("no standing".to_owned()))
    }

    fn is_granted(&self) -> bool {
        self.fits.iter().all(|fit| *fit == Fit::Granted)
    }
}

async fn heard(
    store: &impl Cells,
    (org, by): (OrgId, u8),
    message: Message,
) -> Result<Heard, Fault> {
    match store.exchange(&org, &boot(by), message).await? {
        Reply::Heard { fits, windows, now } => Ok(Heard { fits, windows, now: now.0 }),
        reply @ (Reply::Late | Reply::Forgotten) => Err(Fault::Broken(format!("{reply:?}"))),
    }
}

pub async fn no_window_grants_more_than_its_limit(store: &impl Cells) -> Result<(), Fault> {
    let mut seq = 0;
    for meter in Meter::ALL {
        let (window, mut granted) = (window(1, meter), 0);
        for _ in 0..4 {
            seq += 1;
            for by in [1, 2] {
                let ask = ask(seq, &[(window, part(5, 1, 1))]);
                let standing = heard(store, (ACME, by), ask).await?.first()?;
                granted += standing.granted;
                assert_eq!(standing.used, granted, "{meter:?}");
            }
        }
        assert_eq!(granted, 5, "{meter:?}");
    }
    Ok(())
}

pub async fn a_need_is_taken_whole_or_not_at_all(store: &impl Cells) -> Result<(), Fault> {
    let (wide, narrow) = (window(1, DAY), window(2, Meter::Seats));
    let both = [(wide, part(100, 10, 10)), (narrow, part(1, 1, 1))];
    assert!(heard(store, (ACME, 1), ask(1, &both)).await?.is_granted());

    let second = heard(store, (ACME, 2), ask(1, &both)).await?;

    assert!(matches!(second.fits.as_slice(), [Fit::Lacks { window, .. }] if *window == narrow));
    let standing: Vec<_> = second.windows.iter().map(|it| (it.granted, it.used)).collect();
    assert_eq!(standing, [(0, 10), (0, 1)]);
    Ok(())
}

pub async fn what_is_not_told_as_taken_is_given_back(store: &impl Cells) -> Result<(), Fault> {
    let window = window(1, DAY);
    let lease = heard(store, (ACME, 1), ask(1, &[(window, part(100, 40, 40))])).await?;
    let slot = lease.first()?.slot;

    let mut again = ask(2, &[(window, part(100, 1, 1))]);
    again.columns = vec![Column { window, taken: vec![(slot, 15)] }];
    let standing = heard(store, (ACME, 1), again).await?.first()?;

    assert_eq!((standing.granted, standing.used), (1, 16));
    Ok(())
}

/// What was estimated and what was used are told alike, where they were taken.
pub async fn a_true_up_counts_in_its_slot(store: &impl Cells) -> Result<(), Fault> {
    let window = window(1, Meter::Tokens(Stretch::Day));
    let lease = heard(store, (ACME, 1), ask(1, &[(window, part(1_000, 400, 400))])).await?;
    let slot = lease.first()?.slot;
    let before = [(slot - 61, 900), (slot - 60, 7), (slot, 30)];
    heard(store, (ACME, 1), tell(2, window, &before)).await?;

    let other = heard(store, (ACME, 2), ask(1, &[(window, part(1_000, 963, 963))])).await?;

    assert!(other.is_granted(), "{:?}", other.fits);
    assert_eq!(other.first()?.used, 1_000, "what has left the window does not count");
    Ok(())
}

pub async fn a_message_that_comes_late_changes_nothing(store: &impl Cells) -> Result<(), Fault> {
    let window = window(1, DAY);
    let lease = heard(store, (ACME, 1), ask(7, &[(window, part(10, 3, 3))])).await?;
    let slot = lease.first()?.slot;

    for seq in [7, 6, 1] {
        let mut late = ask(seq, &[(window, part(10, 3, 3))]);
        late.columns = vec![Column { window, taken: vec![(slot, 9)] }];
        assert_eq!(store.exchange(&ACME, &boot(1), late).await?, Reply::Late);
    }

    let standing = heard(store, (ACME, 2), ask(1, &[(window, part(10, 1, 1))])).await?.first()?;
    assert_eq!((standing.granted, standing.used), (1, 4));
    Ok(())
}

/// A store that lost what it knew says so before it grants anything.
pub async fn what_was_forgotten_is_told_anew(store: &impl Cells) -> Result<(), Fault> {
    let window = window(1, DAY);
    let known = Message { answered: 41, ..ask(42, &[(window, part(10, 1, 1))]) };
    assert_eq!(store.exchange(&ACME, &boot(1), known).await?, Reply::Forgotten);

    let fresh = heard(store, (ACME, 2), ask(1, &[(window, part(10, 1, 1))])).await?;
    assert_eq!(fresh.first()?.used, 1, "nothing was changed");
    let slot = fresh.first()?.slot;
    heard(store, (ACME, 1), tell(43, window, &[(slot, 8)])).await?;

    let standing = heard(store, (ACME, 2), ask(2, &[(window, part(10, 2, 2))])).await?;
    assert!(!standing.is_granted(), "{:?}", standing.fits);
    assert_eq!(standing.first()?.used, 9);
    Ok(())
}

pub async fn a_silent_replica_keeps_its_share(store: &impl Cells) -> Result<(), Fault> {
    let window = window(1, DAY);
    let mut message = ask(1, &[(window, part(9, 7, 9))]);
    message.replicas = 3;
    message.silent = vec![boot(3)];

    let refused = heard(store, (ACME, 1), message.clone()).await?;
    message.seq = 2;
    message.silent.clear();
    let granted = heard(store, (ACME, 1), message).await?;

    assert!(!refused.is_granted());
    assert_eq!(refused.first()?.used, 3);
    assert_eq!(granted.first()?.granted, 7);
    Ok(())
}

pub async fn a_slice_leaves_something_to_the_others(store: &impl Cells) -> Result<(), Fault> {
    let (window, mut granted) = (window(1, DAY), Vec::new());
    for seq in 1..=3 {
        let mut message = ask(seq, &[(window, part(100, 1, 1_000))]);
        message.replicas = 5;
        granted.push(heard(store, (ACME, 1), message).await?.first()?.granted);
    }
    assert_eq!(granted, [10, 9, 8]);
    Ok(())
}

pub async fn seats_are_given_back_and_taken_again(store: &impl Cells) -> Result<(), Fault> {
    let window = window(1, Meter::Seats);
    assert!(heard(store, (ACME, 1), ask(1, &[(window, part(2, 2, 2))])).await?.is_granted());
    assert!(!heard(store, (ACME, 2), ask(1, &[(window, part(2, 1, 1))])).await?.is_granted());

    heard(store, (ACME, 1), tell(2, window, &[(0, 1)])).await?;

    let second = heard(store, (ACME, 2), ask(2, &[(window, part(2, 1, 1))])).await?;
    assert!(second.is_granted());
    assert_eq!((second.first()?.slot, second.first()?.used), (0, 2));
    Ok(())
}

pub async fn the_wait_that_is_told_ends_with_a_slot(store: &impl Cells) -> Result<(), Fault> {
    let window = window(1, Meter::Requests(Stretch::Minute));
    let lease = heard(store, (ACME, 1), ask(1, &[(window, part(4, 4, 4))])).await?;

    let refused = heard(store, (ACME, 2), ask(1, &[(window, part(4, 1, 1))])).await?;

    let [Fit::Lacks { wait_millis, .. }] = refused.fits.as_slice() else {
        return Err(Fault::Broken(format!("{:?}", refused.fits)));
    };
    assert_eq!(refused.now + wait_millis, (lease.first()?.slot + 61) * 1_000);
    Ok(())
}

pub async fn one_org_cannot_take_of_another(store: &impl Cells) -> Result<(), Fault> {
    let window = window(1, DAY);
    for org in ORGS {
        let lease = heard(store, (org, 1), ask(1, &[(window, part(3, 3, 3))])).await?;
        assert!(lease.is_granted(), "{org}");
    }
    Ok(())
}

pub async fn an_end_user_has_a_window_alone(store: &impl Cells) -> Result<(), Fault> {
    for (seq, who) in [(1, None), (2, Some([1; 8])), (3, Some([2; 8]))] {
        let window = WindowName { end_user: who, ..window(1, DAY) };
        let lease = heard(store, (ACME, 1), ask(seq, &[(window, part(1, 1, 1))])).await?;
        assert!(lease.is_granted(), "{who:?}");
    }
    Ok(())
}

pub async fn replicas_know_of_each_other(store: &impl Cells) -> Result<(), Fault> {
    let first = store.attend(&boot(1)).await?;
    let second = store.attend(&boot(2)).await?;
    let again = store.attend(&boot(1)).await?;

    assert_eq!([first.known, second.known, again.known], [false, false, true]);
    let boots: Vec<BootId> = again.all.iter().map(|it| it.boot).collect();
    assert_eq!(boots, [boot(1), boot(2)]);
    assert_eq!(first.all.len(), 1);
    assert!((first.now.0 - clock::now().0).abs() < 60_000, "{first:?}");
    assert!(again.all.iter().all(|it| (0..60_000).contains(&it.unheard_millis)), "{again:?}");
    Ok(())
}

pub async fn of_many_at_once_each_cell_goes_to_one(store: &impl Cells) -> Result<(), Fault> {
    let (near, far) = (window(1, DAY), window(2, Meter::Requests(Stretch::Minute)));
    let asks = (1..=24).map(|by| async move {
        // In another order, so that engines that lock in the order of asking are found out.
        let mut need = [(near, part(10, 1, 1)), (far, part(1_000, 1, 1))];
        if by % 2 == 0 {
            need.reverse();
        }
        heard(store, (ACME, by), ask(1, &need)).await
    });

    let mut granted = 0;
    for outcome in super::boots::all_at_once(asks).await {
        granted += i64::from(outcome?.is_granted());
    }

    assert_eq!(granted, 10);
    Ok(())
}

/// Random messages, some of them twice or late, to the engine and to the model.
pub async fn limits_agree_with_the_model(store: &impl Cells) -> Result<(), Fault> {
    let (model, mut dice) = (Model::default(), Dice(7));
    let mut seqs: BTreeMap<(OrgId, u8), u64> = BTreeMap::new();
    let mut sent: Vec<(OrgId, u8, Message)> = Vec::new();
    for step in 0..STEPS {
        let (org, by, message) = if dice.below(6) == 0 && !sent.is_empty() {
            sent.swap_remove(dice.below(sent.len()))
        } else {
            let (org, by) = (org(&mut dice), u8::try_from(1 + dice.below(3)).unwrap_or(1));
            let seq = seqs.entry((org, by)).or_default();
            *seq += 1;
            (org, by, message(*seq, &mut dice))
        };
        let ours = model.exchange(&org, &boot(by), message.clone()).await?;
        let theirs = store.exchange(&org, &boot(by), message.clone()).await?;
        assert_eq!(timeless(theirs), timeless(ours), "step {step}: {org} {by} {message:?}");
        sent.push((org, by, message));
    }
    Ok(())
}

fn org(dice: &mut Dice) -> OrgId {
    ORGS.get(dice.below(ORGS.len())).copied().unwrap_or(ACME)
}

fn small(dice: &mut Dice, most: usize) -> i64 {
    i64::try_from(dice.below(most)).unwrap_or(0)
}

/// Windows that hardly come to the end of a slot while a test runs.
fn any_window(dice: &mut Dice) -> WindowName {
    let meter = match dice.below(3) {
        0 => DAY,
        1 => Meter::Tokens(Stretch::Day),
        _ => Meter::Seats,
    };
    window(u8::try_from(dice.below(2)).unwrap_or(0), meter)
}

fn message(seq: u64, dice: &mut Dice) -> Message {
    let mut message = ask(seq, &[]);
    message.needs.clear();
    message.answered = if dice.below(4) == 0 { seq - 1 } else { 0 };
    message.replicas = 1 + small(dice, 3);
    for _ in 0..dice.below(3) {
        let (name, least) = (any_window(dice), small(dice, 9));
        let part = part(30 + small(dice, 3), least, least + small(dice, 9));
        message.needs.push(vec![(name, part)]);
    }
    if dice.below(3) == 0 {
        message.silent.push(boot(3));
    }
    let window = any_window(dice);
    let slot = window.meter.stretch().map_or(0, |it| it.slot(clock::now().0));
    let ago = if slot == 0 { 0 } else { small(dice, 64) };
    message.columns = vec![Column { window, taken: vec![(slot - ago, small(dice, 12))] }];
    message
}

/// Without what depends on the moment at which each of the two was asked.
fn timeless(reply: Reply) -> String {
    match reply {
        Reply::Heard { mut fits, windows, .. } => {
            for fit in &mut fits {
                if let Fit::Lacks { wait_millis, .. } = fit {
                    *wait_millis = (*wait_millis).signum();
                }
            }
            format!("{fits:?} {windows:?}")
        }
        reply @ (Reply::Late | Reply::Forgotten) => format!("{reply:?}"),
    }
}

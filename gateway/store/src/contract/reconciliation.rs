//! The contract of recalls and of [`Reconciliation`](crate::Reconciliation).

use super::{
    audit::act,
    ledger::{begin, pots, ship, take},
    samples::{
        ACME, LIMIT, ORGS, OTHER, TEAM, TEAM_LIMIT, WHOLE, answer, boot, chain, journal, need, pot,
        resolution, unknown,
    },
};
use crate::{Answer, Fault, Released, Store};
use policies::{money::NanoUsd, time::Timestamp};

const DAY_MILLIS: i64 = 86_400_000;

pub async fn what_somebody_lacks_is_recalled_from_those_who_have_it(
    store: &impl Store,
) -> Result<(), Fault> {
    begin(store).await?;
    take(store, ACME, TEAM_LIMIT).await?;
    take(store, OTHER, 1).await?;
    let before = store.recalls(&boot(1), Timestamp(0)).await?;

    let lack = store.sync(&ACME, &boot(2), need(&chain(), 1)).await?;
    let recalls = store.recalls(&boot(1), before.now).await?;

    assert!(matches!(answer(&lack)?, Answer::Lack { .. }), "{lack:?}");
    assert_eq!(before.pots, []);
    assert_eq!(recalls.pots, [(ACME, pot(TEAM))], "the other pot of the chain has enough");
    assert!(before.now <= recalls.now);
    assert_eq!(store.recalls(&boot(2), Timestamp(0)).await?.pots, [], "who asks has nothing");
    let later = recalls.now.plus_millis(DAY_MILLIS);
    assert_eq!(store.recalls(&boot(1), later).await?.pots, []);
    store.close(&boot(1), true).await?;
    assert_eq!(store.recalls(&boot(1), Timestamp(0)).await?.pots, [], "all has come back");
    Ok(())
}

pub async fn a_boot_is_heard_until_it_is_closed(store: &impl Store) -> Result<(), Fault> {
    begin(store).await?;

    let renewed = store.renew(&boot(1)).await?;
    let nobody = store.unheard(DAY_MILLIS).await?;
    let all = store.unheard(-DAY_MILLIS).await?;
    store.close(&boot(1), false).await?;

    assert!(renewed.is_some_and(|now| Timestamp(0) < now));
    assert_eq!((nobody, all), (vec![], vec![boot(1), boot(2)]));
    assert_eq!(store.renew(&boot(1)).await?, None, "a lost boot has to begin anew");
    assert_eq!(store.renew(&boot(9)).await?, None);
    assert_eq!(store.unheard(-DAY_MILLIS).await?, [boot(2)]);
    Ok(())
}

pub async fn what_was_lent_is_listed_for_its_org(store: &impl Store) -> Result<(), Fault> {
    begin(store).await?;
    take(store, ACME, 100).await?;
    store.sync(&ACME, &boot(2), need(&chain(), 20)).await?;
    take(store, OTHER, 20).await?;
    store.close(&boot(1), false).await?;

    let lent = store.lent(&ACME, Timestamp(0)).await?;
    let other = store.lent(&OTHER, Timestamp(0)).await?;

    let short = |lent: &crate::Lent| (lent.boot, lent.outstanding.0, lent.lost);
    let (one, two) = ((boot(1), 100, true), (boot(2), 20, false));
    assert_eq!(lent.iter().map(short).collect::<Vec<_>>(), [one, two, one, two]);
    assert_eq!(lent.iter().map(|it| it.pot).collect::<Vec<_>>(), {
        let [whole, team] = [pot(WHOLE), pot(TEAM)];
        [whole, whole, team, team]
    });
    assert!(lent.iter().all(|it| Timestamp(0) < it.last_seen));
    assert_eq!(other.iter().map(short).collect::<Vec<_>>(), [(boot(1), 20, true); 2]);
    Ok(())
}

pub async fn a_release_frees_what_a_lost_boot_had_and_says_so(
    store: &impl Store,
) -> Result<(), Fault> {
    begin(store).await?;
    for org in ORGS {
        take(store, org, 100).await?;
    }
    let lost = boot(1);
    let release = |quiet: i64| store.release_boot(&ACME, &lost, quiet, act(1));

    let open = release(-1).await?;
    store.close(&boot(1), false).await?;
    let early = release(DAY_MILLIS).await?;
    let stranger = store.release_boot(&ACME, &boot(9), -1, act(1)).await?;
    assert_eq!(pots(store, ACME).await?, [[0, 0, 0, 100, 0]; 2]);
    let done = release(-1).await?;
    let again = release(-1).await?;

    assert!(matches!(early, Released::TooEarly { until } if Timestamp(0) < until), "{early:?}");
    assert_eq!([open, stranger, again], [Released::NothingLost; 3]);
    assert_eq!(done, Released::Done(NanoUsd(200)), "of two pots");
    assert_eq!(pots(store, ACME).await?, [[0; 5]; 2]);
    assert_eq!(pots(store, OTHER).await?, [[0, 0, 0, 100, 0]; 2], "an act frees one org's money");
    assert_eq!(acts(store).await?, 1);
    let reply = store.sync(&ACME, &boot(2), need(&chain(), TEAM_LIMIT)).await?;
    assert_eq!(answer(&reply)?, Answer::Granted);
    Ok(())
}

pub async fn a_resolution_is_made_once_and_leaves_its_act(store: &impl Store) -> Result<(), Fault> {
    begin(store).await?;
    take(store, ACME, 100).await?;
    let row = unknown(ACME, 1, boot(1), 5, 100);
    ship(store, ACME, vec![row.clone()]).await?;

    let correction = resolution(&row, 30);
    let first = store.resolve_attempt(&ACME, correction.clone(), act(2)).await?;
    let second = store.resolve_attempt(&ACME, correction.clone(), act(2)).await?;
    let foreign = store.resolve_attempt(&OTHER, correction, act(2)).await;
    let orphan = resolution(&unknown(ACME, 2, boot(1), 5, 100), 30);
    let orphan = store.resolve_attempt(&ACME, orphan, act(2)).await;

    let records = store.records_of(&ACME, &row.stamp.request).await?;
    assert_eq!(records.iter().map(|it| it.part).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(records.first(), Some(&row));
    assert_eq!(store.records_of(&OTHER, &row.stamp.request).await?, []);
    assert_eq!((first, second), (true, false));
    assert!(matches!(foreign, Err(Fault::Broken(_))), "{foreign:?}");
    assert!(matches!(orphan, Err(Fault::Broken(_))), "{orphan:?}");
    assert_eq!(pots(store, ACME).await?, [[30, 0, 0, 0, 0]; 2]);
    assert_eq!(acts(store).await?, 1);
    Ok(())
}

pub async fn a_recall_is_repeated_while_somebody_lacks(store: &impl Store) -> Result<(), Fault> {
    begin(store).await?;
    store.open_boot(&boot(3), &journal(3)).await?;
    take(store, ACME, TEAM_LIMIT).await?;
    store.sync(&ACME, &boot(2), need(&chain(), LIMIT - TEAM_LIMIT)).await?;
    let first = store.recalls(&boot(1), Timestamp(0)).await?;

    // Only the clock brings the next one about.
    for _ in 0..100_000 {
        store.sync(&ACME, &boot(3), need(&chain(), 1)).await?;
        let since = first.now.plus_millis(1);
        if store.recalls(&boot(1), since).await?.pots == [(ACME, pot(TEAM))] {
            return Ok(());
        }
    }
    Err(Fault::Broken("a recall that was lost is not replaced".to_owned()))
}

async fn acts(store: &impl Store) -> Result<u64, Fault> {
    Ok(store.head(&ACME).await?.size)
}

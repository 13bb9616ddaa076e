//! The part of the ledger's contract that is about boots: how they end, and what they leave.

use super::{
    ledger::{begin, pots, ship, take},
    samples::{
        ACME, ORGS, OTHER, TEAM, TEAM_LIMIT, answer, boot, chain, give, journal, need, pot, record,
        unknown,
    },
};
use crate::{Answer, Claimed, Cursor, Fault, JournalClaim, Store, SyncReply};
use policies::{ids::BudgetId, money::NanoUsd, time::Span};

/// How often a clause looks again for what only the clock brings about.
const LOOKS_MAX: u32 = 100_000;

pub async fn a_complete_close_gives_the_rest_back(store: &impl Store) -> Result<(), Fault> {
    begin(store).await?;
    for org in ORGS {
        take(store, org, 100).await?;
    }
    ship(store, ACME, vec![record(ACME, 1, boot(1), 40, 40)]).await?;

    for complete in [true, true, false] {
        store.close(&boot(1), complete).await?;
    }

    assert_eq!(pots(store, ACME).await?, [[40, 0, 0, 0, 0]; 2]);
    assert_eq!(pots(store, OTHER).await?, [[0; 5]; 2]);
    Ok(())
}

pub async fn an_incomplete_close_keeps_the_rest_counted(store: &impl Store) -> Result<(), Fault> {
    begin(store).await?;
    take(store, ACME, 100).await?;

    for _ in 0..2 {
        store.close(&boot(1), false).await?;
    }

    assert_eq!(pots(store, ACME).await?, [[0, 0, 0, 100, 0]; 2]);
    Ok(())
}

/// The first directed schedule of the protocol's model: swept in the middle of an attempt.
pub async fn a_swept_boot_that_wakes_is_told_that_it_is_closed(
    store: &impl Store,
) -> Result<(), Fault> {
    begin(store).await?;
    take(store, ACME, 100).await?;
    store.close(&boot(1), false).await?;

    let reply = store.sync(&ACME, &boot(1), need(&chain(), 5)).await?;
    let stranger = store.sync(&ACME, &boot(9), need(&chain(), 5)).await?;
    store.open_boot(&boot(1), &journal(1)).await?;
    let again = store.sync(&OTHER, &boot(1), need(&chain(), 5)).await?;
    ship(store, ACME, vec![record(ACME, 1, boot(1), 12, 12)]).await?;

    assert_eq!([reply, stranger, again], [const { SyncReply::Closed }; 3]);
    assert_eq!(pots(store, ACME).await?, [[12, 0, 0, 88, 0]; 2]);
    store.close(&boot(1), true).await?;
    assert_eq!(pots(store, ACME).await?, [[12, 0, 0, 0, 0]; 2]);
    Ok(())
}

/// The second one: the surplus went back and was lent on, and then the end of the attempt is lost.
pub async fn a_torn_journal_counts_nothing_twice(store: &impl Store) -> Result<(), Fault> {
    begin(store).await?;
    take(store, ACME, TEAM_LIMIT).await?;
    for pot in chain() {
        store.sync(&ACME, &boot(1), give(pot, TEAM_LIMIT - 7)).await?;
    }
    let lent = store.sync(&ACME, &boot(2), need(&chain(), TEAM_LIMIT - 7)).await?;
    assert_eq!(answer(&lent)?, Answer::Granted);

    let mut torn = unknown(ACME, 1, boot(1), 3, 0);
    torn.ending.overrun = NanoUsd(0);
    ship(store, ACME, vec![torn]).await?;
    store.close(&boot(1), false).await?;

    assert_eq!(pots(store, ACME).await?, [[0, 0, TEAM_LIMIT - 7, 7, 0]; 2]);
    Ok(())
}

pub async fn a_record_without_its_lease_is_billed_as_an_overrun(
    store: &impl Store,
) -> Result<(), Fault> {
    begin(store).await?;
    take(store, ACME, 100).await?;
    store.close(&boot(1), true).await?;

    for _ in 0..2 {
        let closed = record(ACME, 1, boot(1), 30, 30);
        let never = record(ACME, 2, boot(9), 5, 5);
        ship(store, ACME, vec![closed, never, record(ACME, 3, boot(1), 0, 0)]).await?;
    }

    assert_eq!(pots(store, ACME).await?, [[0, 0, 0, 0, 35]; 2]);
    assert_eq!(store.page(&ACME, Span::LIFETIME, Cursor(0), 10).await?.len(), 3);
    let reply = store.sync(&ACME, &boot(2), need(&chain(), TEAM_LIMIT - 34)).await?;
    assert!(matches!(answer(&reply)?, Answer::Exhausted { .. }), "spent is spent: {reply:?}");
    Ok(())
}

pub async fn a_boot_that_is_not_heard_after_a_recall_is_silent(
    store: &impl Store,
) -> Result<(), Fault> {
    begin(store).await?;
    take(store, ACME, TEAM_LIMIT).await?;
    let asker = boot(2);
    let lacking = || store.sync(&ACME, &asker, need(&chain(), 1));
    let budget = BudgetId::from_bytes(TEAM);

    let first = answer(&lacking().await?)?;
    let second = answer(&lacking().await?)?;

    assert_eq!(first, Answer::Lack { budget, silent: false }, "nobody was asked before");
    assert_eq!(second, Answer::Lack { budget, silent: true });
    for _ in 0..LOOKS_MAX {
        store.sync(&ACME, &boot(1), give(pot(TEAM), 0)).await?;
        if answer(&lacking().await?)? == (Answer::Lack { budget, silent: false }) {
            return Ok(());
        }
    }
    Err(Fault::Broken("a boot that is heard stays silent".to_owned()))
}

pub async fn many_boots_at_once_stay_within_the_limit(store: &impl Store) -> Result<(), Fault> {
    begin(store).await?;
    for number in 10..210 {
        store.open_boot(&boot(number), &journal(number)).await?;
    }

    let asks = (10..210).map(|number| async move {
        let reply = store.sync(&ACME, &boot(number), need(&chain(), 3)).await?;
        Ok::<bool, Fault>(answer(&reply)? == Answer::Granted)
    });
    let granted = all_at_once(asks).await;

    let count = granted.into_iter().collect::<Result<Vec<_>, _>>()?;
    assert_eq!(count.iter().filter(|granted| **granted).count(), 133, "400 in threes");
    assert_eq!(pots(store, ACME).await?, [[0, 0, 399, 0, 0]; 2]);
    Ok(())
}

pub async fn a_journal_is_had_by_one_gateway(store: &impl Store) -> Result<(), Fault> {
    begin(store).await?;
    let claim = |generation, place: &str| JournalClaim { generation, place: place.to_owned() };
    let own = journal(1);
    let try_it =
        async |generation, place| store.claim_journal(&own, &claim(generation, place)).await;

    assert_eq!(try_it(1, "here").await?, Claimed::Yours);
    assert_eq!(try_it(2, "here").await?, Claimed::Yours, "started again");
    assert_eq!(try_it(2, "here").await?, Claimed::Old { known: 2 }, "an older copy, put back");
    assert_eq!(try_it(3, "there").await?, Claimed::InUse, "boot 1 was heard a moment ago");
    store.close(&boot(1), true).await?;
    assert_eq!(try_it(3, "there").await?, Claimed::Yours, "a disk that was moved");
    assert_eq!(try_it(3, "here").await?, Claimed::Old { known: 3 });
    assert_eq!(store.claim_journal(&journal(2), &claim(1, "here")).await?, Claimed::Yours);
    Ok(())
}

/// Polls all of them in turn, so that each is on its way before any has ended.
pub(super) async fn all_at_once<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = futures.map(Box::pin).collect();
    let mut done = Vec::new();
    std::future::poll_fn(|context| {
        waiting.retain_mut(|future| match future.as_mut().poll(context) {
            std::task::Poll::Ready(output) => {
                done.push(output);
                false
            }
            std::task::Poll::Pending => true,
        });
        if waiting.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done
}

//! The contract of [`Ledger`](crate::Ledger).

use super::{
    random,
    samples::{
        ACME, LIMIT, ORGS, OTHER, TEAM, TEAM_LIMIT, WHOLE, answer, boot, budget, chain, give,
        house, journal, need, pot, record, resolution, sums, unknown,
    },
    seed_by_commit,
};
use crate::{Answer, Fault, Shipment, Store};
use policies::{
    budget::Pot,
    ids::{BudgetId, OrgId},
    money::NanoUsd,
    time::{Span, Timestamp},
    usage::UsageRecord,
};
use serde_json::json;
use std::sync::Arc;

pub(super) async fn begin(store: &impl Store) -> Result<(), Fault> {
    for org in ORGS {
        seed_by_commit(store, &org, house(org)?).await?;
    }
    for number in [1, 2] {
        store.open_boot(&boot(number), &journal(number)).await?;
    }
    Ok(())
}

pub(super) async fn ship(
    store: &impl Store,
    org: OrgId,
    records: Vec<UsageRecord>,
) -> Result<(), Fault> {
    let records = records.into_iter().map(Arc::new).collect();
    store.ship(&org, Shipment { records, decisions: Vec::new() }).await
}

/// Takes `amount` for boot 1 on the whole chain.
pub(super) async fn take(store: &impl Store, org: OrgId, amount: i64) -> Result<(), Fault> {
    let reply = store.sync(&org, &boot(1), need(&chain(), amount)).await?;
    assert_eq!(answer(&reply)?, Answer::Granted);
    Ok(())
}

/// `settled`, `held`, `leased`, `unattributed` and `overrun` of the two pots.
pub(super) async fn pots(store: &impl Store, org: OrgId) -> Result<Vec<[i64; 5]>, Fault> {
    let pots = store.pots(&org, Timestamp(0)).await?;
    Ok(pots.iter().map(|pot| sums(&pot.balance)).collect())
}

pub async fn no_more_is_granted_than_is_free(store: &impl Store) -> Result<(), Fault> {
    begin(store).await?;

    take(store, ACME, TEAM_LIMIT - 1).await?;
    let two = store.sync(&ACME, &boot(2), need(&chain(), 2)).await?;
    let one = store.sync(&ACME, &boot(2), need(&chain(), 1)).await?;

    let lack = Answer::Lack { budget: BudgetId::from_bytes(TEAM), silent: false };
    assert_eq!(answer(&two)?, lack);
    assert_eq!(answer(&one)?, Answer::Granted);
    assert_eq!(pots(store, OTHER).await?, Vec::<[i64; 5]>::new());
    Ok(())
}

pub async fn a_chain_is_granted_whole_or_not_at_all(store: &impl Store) -> Result<(), Fault> {
    begin(store).await?;

    let reply = store.sync(&ACME, &boot(1), need(&chain(), TEAM_LIMIT + 1)).await?;

    let (budget, left) = (BudgetId::from_bytes(TEAM), NanoUsd(TEAM_LIMIT));
    assert_eq!(answer(&reply)?, Answer::Exhausted { budget, left });
    assert_eq!(pots(store, ACME).await?, [[0; 5]; 2]);
    Ok(())
}

pub async fn a_total_that_is_told_twice_comes_back_once(store: &impl Store) -> Result<(), Fault> {
    begin(store).await?;
    take(store, ACME, 100).await?;

    for total in [30, 30, 10] {
        store.sync(&ACME, &boot(1), give(pot(WHOLE), total)).await?;
    }

    assert_eq!(pots(store, ACME).await?, [[0, 0, 70, 0, 0], [0, 0, 100, 0, 0]]);
    Ok(())
}

pub async fn a_return_of_what_was_never_given_is_refused(store: &impl Store) -> Result<(), Fault> {
    begin(store).await?;
    take(store, ACME, 100).await?;

    for (org, by) in [(ACME, 1), (ACME, 2), (OTHER, 1)] {
        let outcome = store.sync(&org, &boot(by), give(pot(WHOLE), 101)).await;
        assert!(matches!(outcome, Err(Fault::Broken(_))), "{outcome:?}");
    }

    assert_eq!(pots(store, ACME).await?, [[0, 0, 100, 0, 0]; 2]);
    Ok(())
}

pub async fn a_record_that_is_shipped_twice_settles_once(store: &impl Store) -> Result<(), Fault> {
    begin(store).await?;
    take(store, ACME, 100).await?;
    let row = record(ACME, 1, boot(1), 40, 40);

    ship(store, ACME, vec![row.clone(), row.clone()]).await?;
    ship(store, ACME, vec![row]).await?;

    assert_eq!(pots(store, ACME).await?, [[40, 0, 60, 0, 0]; 2]);
    Ok(())
}

pub async fn an_unknown_end_counts_its_whole_hold(store: &impl Store) -> Result<(), Fault> {
    begin(store).await?;
    take(store, ACME, 100).await?;
    let row = unknown(ACME, 1, boot(1), 15, 40);

    ship(store, ACME, vec![row.clone()]).await?;

    assert_eq!(pots(store, ACME).await?, [[15, 25, 60, 0, 0]; 2]);
    for state in store.pots(&ACME, Timestamp(0)).await? {
        assert_eq!(state.indeterminate, [(row.stamp.request, 1, NanoUsd(25))]);
    }
    Ok(())
}

pub async fn a_correction_ends_the_hold_of_its_attempt(store: &impl Store) -> Result<(), Fault> {
    begin(store).await?;
    take(store, ACME, 100).await?;
    let rows = [unknown(ACME, 1, boot(1), 15, 40), unknown(ACME, 2, boot(1), 0, 10)];

    let orphan = ship(store, ACME, vec![resolution(&rows[0], 30)]).await;
    ship(store, ACME, rows.to_vec()).await?;
    for _ in 0..2 {
        ship(store, ACME, vec![resolution(&rows[0], 30), resolution(&rows[1], 13)]).await?;
    }

    assert!(matches!(orphan, Err(Fault::Broken(_))), "{orphan:?}");
    assert_eq!(pots(store, ACME).await?, [[40, 0, 50, 0, 3]; 2]);
    Ok(())
}

pub async fn what_was_taken_above_the_hold_is_an_overrun(store: &impl Store) -> Result<(), Fault> {
    begin(store).await?;
    take(store, ACME, 100).await?;

    ship(store, ACME, vec![record(ACME, 1, boot(1), 130, 100)]).await?;

    assert_eq!(pots(store, ACME).await?, [[100, 0, 0, 0, 30]; 2]);
    Ok(())
}

pub async fn an_absurd_cost_blocks_a_budget_and_nobodys_rows(
    store: &impl Store,
) -> Result<(), Fault> {
    begin(store).await?;
    take(store, ACME, 100).await?;
    let (most, fresh) = (NanoUsd::MAX.0, [0x50; 16]);
    let absurd = |number| record(ACME, number, boot(1), most, 30);
    // Without a budget, all of it counts.
    let unbound = |number| {
        let mut row = record(ACME, number, boot(1), most, most);
        row.stamp.chain.clear();
        row
    };

    ship(store, ACME, vec![absurd(1), absurd(2)]).await?;
    ship(store, ACME, vec![absurd(3)]).await?;
    ship(store, ACME, vec![record(ACME, 4, boot(1), 10, 10)]).await?;
    let spent = store.sync(&ACME, &boot(2), need(&chain(), 1)).await?;
    ship(store, ACME, vec![unbound(5), unbound(6)]).await?;
    // Of boot 2 there is no lease: what it counts above its cost is held all the same.
    ship(store, ACME, vec![unknown(ACME, 7, boot(2), 0, most)]).await?;
    ship(store, ACME, vec![unknown(ACME, 8, boot(2), 0, most)]).await?;
    seed_by_commit(store, &ACME, vec![budget(fresh, "acme", &json!("org"), LIMIT)?]).await?;
    let new = store.sync(&ACME, &boot(1), need(&[pot(fresh)], 1)).await?;
    ship(store, ACME, vec![record(ACME, 9, boot(1), 0, 0)]).await?;

    assert!(matches!(answer(&spent)?, Answer::Exhausted { .. }), "{spent:?}");
    assert!(matches!(answer(&new)?, Answer::Exhausted { .. }), "{new:?}");
    let old = [100, most, 0, 0, most];
    assert_eq!(pots(store, ACME).await?, [old, old, [most, 0, 0, 0, most]]);
    Ok(())
}

pub async fn exhausted_is_said_when_nothing_can_come_back(store: &impl Store) -> Result<(), Fault> {
    begin(store).await?;
    take(store, ACME, TEAM_LIMIT).await?;

    let held = store.sync(&ACME, &boot(2), need(&chain(), TEAM_LIMIT)).await?;
    ship(store, ACME, vec![record(ACME, 1, boot(1), 1, 1)]).await?;
    let spent = store.sync(&ACME, &boot(2), need(&chain(), TEAM_LIMIT)).await?;

    let budget = BudgetId::from_bytes(TEAM);
    assert!(matches!(answer(&held)?, Answer::Lack { .. }), "all of it may come back");
    let left = NanoUsd(TEAM_LIMIT - 1);
    assert_eq!(answer(&spent)?, Answer::Exhausted { budget, left });
    Ok(())
}

pub async fn an_unknown_budget_has_nothing(store: &impl Store) -> Result<(), Fault> {
    begin(store).await?;
    let nobody = pot([0x99; 16]);

    let reply = store.sync(&ACME, &boot(1), need(&[pot(WHOLE), nobody], 1)).await?;

    let exhausted = Answer::Exhausted { budget: nobody.budget, left: NanoUsd(0) };
    assert_eq!(answer(&reply)?, exhausted);
    assert_eq!(pots(store, ACME).await?, [[0; 5]], "nothing is made for it");
    Ok(())
}

pub async fn a_period_that_is_over_grants_nothing(store: &impl Store) -> Result<(), Fault> {
    begin(store).await?;
    let span = Span { starts: Timestamp(0), ends: Timestamp(1_000) };
    let over = Pot { span, ..pot(TEAM) };

    let reply = store.sync(&ACME, &boot(1), need(&[pot(WHOLE), over], 1)).await?;

    assert_eq!(answer(&reply)?, Answer::PeriodOver);
    let raised = budget(TEAM, "acme", &json!({"unit": "team"}), LIMIT)?;
    seed_by_commit(store, &ACME, vec![raised]).await?;
    let states = store.pots(&ACME, Timestamp(0)).await?;
    let limit = states.iter().find(|state| state.pot == over).map(|state| state.balance.limit);
    assert_eq!(limit, Some(NanoUsd(TEAM_LIMIT)), "what is over keeps its limit");
    assert_eq!(pots(store, ACME).await?.concat().iter().sum::<i64>(), 0);
    Ok(())
}

pub async fn a_new_budget_begins_with_what_its_scope_spent(
    store: &impl Store,
) -> Result<(), Fault> {
    begin(store).await?;
    take(store, ACME, 200).await?;
    let rows = vec![
        record(ACME, 1, boot(1), 130, 100),
        unknown(ACME, 2, boot(1), 5, 50),
        record(ACME, 3, boot(1), 7, 7),
    ];
    ship(store, ACME, rows).await?;
    let mine = [
        json!("org"),
        json!({"unit": "team"}),
        json!({"project": "app"}),
        json!({"group": "all"}),
        json!({"user": "ada"}),
        json!({"key": "ada-key"}),
    ];
    let scopes = mine.iter().map(|on| (on, [157, 0, 1, 0, 30]));
    let bot = json!({"service_account": "bot"});

    for ((on, expected), id) in scopes.chain([(&bot, [0, 0, 1, 0, 0])]).zip(0x50..) {
        for (org, name) in ORGS.into_iter().zip(["acme", "other"]) {
            seed_by_commit(store, &org, vec![budget([id; 16], name, on, 1_000)?]).await?;
            let reply = store.sync(&org, &boot(1), need(&[pot([id; 16])], 1)).await?;
            assert_eq!(answer(&reply)?, Answer::Granted, "{on}");
        }

        let last = |pots: Vec<[i64; 5]>| pots.last().copied();
        // A grant of plenty is a hundredth of what is free.
        let [settled, held, _, lost, overrun] = expected;
        let slice = ((1_000 - settled - overrun) / 100).max(1);
        let whole = [settled, held, slice, lost, overrun];
        assert_eq!(last(pots(store, ACME).await?), Some(whole), "{on}");
        assert_eq!(last(pots(store, OTHER).await?), Some([0, 0, 10, 0, 0]), "{on}");
    }
    Ok(())
}

pub async fn a_limit_follows_its_document(store: &impl Store) -> Result<(), Fault> {
    begin(store).await?;
    take(store, ACME, 100).await?;
    take(store, OTHER, 100).await?;

    let lower = budget(TEAM, "acme", &json!({"unit": "team"}), 60)?;
    seed_by_commit(store, &ACME, vec![lower]).await?;
    let low = store.sync(&ACME, &boot(2), need(&chain(), 61)).await?;
    let higher = budget(TEAM, "acme", &json!({"unit": "team"}), LIMIT)?;
    seed_by_commit(store, &ACME, vec![higher]).await?;
    let high = store.sync(&ACME, &boot(2), need(&chain(), TEAM_LIMIT + 1)).await?;
    let other = store.sync(&OTHER, &boot(2), need(&chain(), TEAM_LIMIT + 1)).await?;

    let budget = BudgetId::from_bytes(TEAM);
    assert_eq!(answer(&low)?, Answer::Exhausted { budget, left: NanoUsd(60) });
    assert_eq!(answer(&high)?, Answer::Granted);
    assert!(matches!(answer(&other)?, Answer::Exhausted { .. }));
    Ok(())
}

pub async fn one_org_cannot_spend_for_another(store: &impl Store) -> Result<(), Fault> {
    begin(store).await?;
    take(store, ACME, 100).await?;
    take(store, OTHER, 20).await?;

    let foreign = ship(store, OTHER, vec![record(ACME, 1, boot(1), 40, 40)]).await;
    ship(store, OTHER, vec![record(OTHER, 1, boot(1), 15, 15)]).await?;

    assert!(matches!(foreign, Err(Fault::Broken(_))), "{foreign:?}");
    assert_eq!(pots(store, ACME).await?, [[0, 0, 100, 0, 0]; 2]);
    assert_eq!(pots(store, OTHER).await?, [[15, 0, 5, 0, 0]; 2]);
    Ok(())
}

pub async fn a_free_attempt_needs_no_lease(store: &impl Store) -> Result<(), Fault> {
    begin(store).await?;

    ship(store, ACME, vec![record(ACME, 1, boot(1), 0, 0)]).await?;

    assert_eq!(pots(store, ACME).await?, Vec::<[i64; 5]>::new());
    assert_eq!(store.page(&ACME, Span::LIFETIME, crate::Cursor(0), 10).await?.len(), 1);
    Ok(())
}

pub async fn an_attempt_without_a_price_counts_its_hold(store: &impl Store) -> Result<(), Fault> {
    begin(store).await?;
    take(store, ACME, 100).await?;
    let mut row = record(ACME, 1, boot(1), 40, 40);
    row.ending.cost = None;

    ship(store, ACME, vec![row]).await?;

    assert_eq!(pots(store, ACME).await?, [[40, 0, 60, 0, 0]; 2]);
    Ok(())
}

/// Messages of any kind, repeated, reordered and lost; after each one the books are the same.
pub async fn it_agrees_with_the_model(store: &impl Store) -> Result<(), Fault> {
    random::run(store, 42, 100_000).await
}

/// The same where every need is a large part of what is left.
pub async fn it_agrees_with_the_model_near_the_end(store: &impl Store) -> Result<(), Fault> {
    random::run(store, 43, 1_000).await
}

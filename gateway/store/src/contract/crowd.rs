//! What holds when two gateways on one PostgreSQL work on the same rows at the same time.

use super::{
    Seed,
    boots::all_at_once,
    ledger::pots,
    owned::Wall,
    random::Dice,
    samples::{
        ACME, ORGS, OTHER, TEAM, WHOLE, boot, budget, chain, house, journal, need, pot, record,
        unknown,
    },
};
use crate::{Answer, Balances, Cursor, Fault, Ledger, Shipment, SyncAsk, SyncReply, UsageLog};
use policies::{
    budget::{Lease, Pot},
    ids::OrgId,
    money::NanoUsd,
    time::{Span, Timestamp},
    usage::UsageRecord,
};
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc};

/// Tasks of each gateway, and messages of each.
const TASKS: u32 = 12;
const MESSAGES: u64 = 25;

async fn ship(store: &impl Ledger, org: OrgId, records: Vec<UsageRecord>) -> Result<(), Fault> {
    let records = records.into_iter().map(Arc::new).collect();
    store.ship(&org, Shipment { records, decisions: Vec::new() }).await
}

async fn begin(wall: &Wall, limit: i64) -> Result<(), Fault> {
    for (org, name) in ORGS.into_iter().zip(["acme", "other"]) {
        wall.engine.seed(&org, house(org)?).await?;
        let limits = vec![
            budget(WHOLE, name, &json!("org"), limit)?,
            budget(TEAM, name, &json!({"unit": "team"}), limit / 2)?,
        ];
        wall.engine.seed(&org, limits).await?;
    }
    Ok(())
}

/// One of many tasks, each of which is a boot of its own: takes, spends, ships, gives back, and
/// says some of it twice. Returned: what it had shipped.
async fn work(wall: &Wall, number: u8, org: OrgId) -> Result<i64, Fault> {
    let store = if number.is_multiple_of(2) { &wall.engine } else { &wall.second };
    let (by, mut dice) = (boot(number), Dice(u32::from(number)));
    store.open_boot(&by, &journal(number)).await?;
    let mut leases: BTreeMap<Pot, Lease> = BTreeMap::new();
    let (mut shipped, mut rows) = (0, Vec::new());
    for message in 0..MESSAGES {
        let amount = 1 + i64::try_from(dice.below(20)).unwrap_or(0);
        let reply = store.sync(&org, &by, need(&chain(), amount)).await?;
        let SyncReply::Open { leases: states, .. } = reply else {
            return Err(Fault::Broken("an open boot is closed".to_owned()));
        };
        states.iter().for_each(|it| leases.entry(it.pot).or_default().grant(it.granted));
        let held = NanoUsd(amount);
        if chain().iter().all(|pot| leases.get(pot).is_some_and(|it| it.covers(held))) {
            for pot in chain() {
                assert!(leases.entry(pot).or_default().hold(held), "it was covered");
            }
            let name = u64::from(number) << 32 | message;
            rows.push(if dice.below(4) == 0 {
                unknown(org, name, by, amount / 2, amount)
            } else {
                record(org, name, by, amount, amount)
            });
            shipped += amount;
        }
        if dice.below(3) == 0 {
            ship(store, org, rows.clone()).await?;
            // Once more, another way round, while others ship theirs.
            rows.reverse();
            ship(store, org, std::mem::take(&mut rows)).await?;
        }
        let returned = leases.iter_mut().map(|(pot, lease)| (*pot, lease.give_back())).collect();
        store.sync(&org, &by, SyncAsk { needs: Vec::new(), returned }).await?;
    }
    ship(store, org, rows).await?;
    Ledger::close(store, &by, true).await?;
    Ok(shipped)
}

/// Every transaction asserts its folds; at the end the sums are those of what was shipped.
pub async fn two_gateways_at_once_keep_every_sum(wall: &Wall) -> Result<(), Fault> {
    // Half of it is too little for all: some are refused.
    begin(wall, 6_000).await?;
    let numbers = (1..=TASKS * 2).map(|number| u8::try_from(number).unwrap_or(0));
    let tasks = numbers.flat_map(|number| {
        let others = u8::try_from(TASKS * 2).unwrap_or(0);
        [work(wall, number, ACME), work(wall, number + others, OTHER)]
    });

    let outcomes = all_at_once(tasks).await;

    let shipped = outcomes.into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut counted = 0;
    for org in ORGS {
        let sums = pots(&wall.engine, org).await?;
        for [settled, held, leased, unattributed, overrun] in &sums {
            assert_eq!([*leased, *unattributed, *overrun], [0; 3], "{sums:?}");
            assert!(settled + held <= 3_000, "{sums:?}");
        }
        counted += sums.first().map_or(0, |[settled, held, ..]| settled + held);
    }
    assert_eq!(counted, shipped.iter().sum::<i64>());
    Ok(())
}

/// Rows that are on their way while a budget gets its first balance are counted in it once:
/// either they are part of what it begins with, or they find it there.
pub async fn a_new_pot_counts_every_row_that_is_under_way(wall: &Wall) -> Result<(), Fault> {
    begin(wall, 1_000).await?;
    let by = boot(1);
    wall.engine.open_boot(&by, &journal(1)).await?;

    for round in 0..16_u64 {
        let id = [0x60 + u8::try_from(round).unwrap_or(0); 16];
        wall.engine.seed(&ACME, vec![budget(id, "acme", &json!("org"), 1_000_000)?]).await?;
        // Attempts that had nothing to hold, and were billed all the same: they need no lease.
        let records = (0..20).map(|number| {
            let mut it = record(ACME, round * 100 + number, by, 1, 0);
            it.stamp.chain = vec![pot(id)];
            it
        });
        let (shipped, made) = tokio::join!(
            ship(&wall.engine, ACME, records.collect()),
            wall.second.sync(&ACME, &by, need(&[pot(id)], 1)),
        );
        shipped?;
        made?;
        let states = wall.engine.pots(&ACME, Timestamp(0)).await?;
        let new = states.iter().find(|state| state.pot == pot(id));
        let overrun = new.map_or(NanoUsd(0), |state| state.balance.overrun);
        let all = i64::try_from(round + 1).unwrap_or(0) * 20;
        assert_eq!(overrun, NanoUsd(all), "round {round}");
    }
    Ok(())
}

/// A page that ends at a row has all rows before it, whoever ships at the same time.
pub async fn a_cursor_passes_no_row_by(wall: &Wall) -> Result<(), Fault> {
    const ROUNDS: u64 = 30;
    let ships = (0..8_u64).map(|task| async move {
        let store = if task % 2 == 0 { &wall.engine } else { &wall.second };
        for round in 0..ROUNDS {
            // Long shipments and short ones.
            let rows = 1 + (task * round) % 40;
            let name = |row| (task << 32) + round * 100 + row;
            let records = (0..rows).map(|row| record(ACME, name(row), boot(1), 0, 0));
            ship(store, ACME, records.collect()).await?;
        }
        Ok::<_, Fault>((0..ROUNDS).map(|round| 1 + (task * round) % 40).sum::<u64>())
    });
    let total = (0..8_u64).flat_map(|task| (0..ROUNDS).map(move |it| 1 + (task * it) % 40)).sum();
    let read = async {
        let (mut seen, mut after) = (0_u64, Cursor(0));
        // Only the rows that are missed are waited for in vain.
        for _ in 0..20_000 {
            let page = wall.engine.page(&ACME, Span::LIFETIME, after, 500).await?;
            seen += u64::try_from(page.len()).unwrap_or(0);
            after = page.last().map_or(after, |(cursor, _)| *cursor);
            if seen == total {
                break;
            }
        }
        Ok::<_, Fault>(seen)
    };

    let (shipped, seen) = tokio::join!(all_at_once(ships), read);

    let shipped = shipped.into_iter().collect::<Result<Vec<_>, _>>()?;
    assert_eq!((shipped.iter().sum::<u64>(), seen?), (total, total));
    Ok(())
}

/// A limit that changes while its first balance is made is the limit afterwards.
pub async fn a_limit_reaches_a_pot_that_is_being_made(wall: &Wall) -> Result<(), Fault> {
    begin(wall, 1_000).await?;
    let by = boot(1);
    wall.engine.open_boot(&by, &journal(1)).await?;

    for round in 0..12_u8 {
        let id = [0x60 + round; 16];
        let limited = |limit| Ok::<_, Fault>(vec![budget(id, "acme", &json!("org"), limit)?]);
        wall.engine.seed(&ACME, limited(50)?).await?;
        let (changed, asked) = tokio::join!(
            wall.engine.seed(&ACME, limited(70)?),
            wall.second.sync(&ACME, &by, need(&[pot(id)], 1)),
        );
        changed?;
        let SyncReply::Open { answers, .. } = asked? else {
            return Err(Fault::Broken("an open boot is closed".to_owned()));
        };
        let states = wall.engine.pots(&ACME, Timestamp(0)).await?;
        let new = states.iter().find(|state| state.pot == pot(id));
        assert_eq!(answers, [Answer::Granted]);
        assert_eq!(new.map(|state| state.balance.limit), Some(NanoUsd(70)), "round {round}");
    }
    Ok(())
}

//! The contract of [`UsageLog`](crate::UsageLog).

use super::{
    random::Dice,
    samples::{ACME, APP, BOT, ORGS, OTHER, boot, decision, full_record, record, request},
};
use crate::{By, Cursor, Fault, Ledger, Shipment, Store, UsageLog, model::Model};
use policies::{
    ids::{DeploymentId, KeyId, OrgId, ProjectId, ServiceAccountId, UnitId},
    money::NanoUsd,
    time::{Span, Timestamp},
    usage::{Principal, Source, UsageRecord},
};
use std::sync::Arc;

async fn ship(store: &impl Ledger, org: OrgId, records: Vec<UsageRecord>) -> Result<(), Fault> {
    let records = records.into_iter().map(Arc::new).collect();
    store.ship(&org, Shipment { records, decisions: Vec::new() }).await
}

pub async fn a_record_comes_back_as_it_was_shipped(store: &impl Store) -> Result<(), Fault> {
    let [full, plain] = [full_record(ACME, boot(1)), record(ACME, 1, boot(1), 0, 0)];

    ship(store, ACME, vec![full.clone(), plain.clone()]).await?;

    let page = store.page(&ACME, Span::LIFETIME, Cursor(0), 10).await?;
    let records: Vec<_> = page.into_iter().map(|(_, record)| record).collect();
    assert_eq!(records, [full, plain]);
    assert_eq!(store.page(&OTHER, Span::LIFETIME, Cursor(0), 10).await?, []);
    Ok(())
}

pub async fn a_decision_comes_back_as_it_was_shipped(store: &impl Store) -> Result<(), Fault> {
    let mut later = decision(ACME, 1);
    later.model = "another".to_owned();
    for decision in [decision(ACME, 1), later] {
        let rows = Shipment { records: Vec::new(), decisions: vec![Arc::new(decision)] };
        store.ship(&ACME, rows).await?;
    }

    let app = ProjectId::from_bytes(APP);
    let (records, found) = store.request(&ACME, &app, &request(1)).await?;
    let (_, elsewhere) = store.request(&OTHER, &app, &request(1)).await?;

    assert_eq!((records.len(), found), (0, Some(decision(ACME, 1))), "the first one stays");
    assert_eq!(elsewhere, None);
    Ok(())
}

pub async fn a_page_goes_on_where_the_last_one_ended(store: &impl Store) -> Result<(), Fault> {
    for number in 0..7 {
        for org in ORGS {
            ship(store, org, vec![record(org, number, boot(1), 0, 0)]).await?;
        }
    }

    let (mut seen, mut after) = (Vec::new(), Cursor(0));
    loop {
        let page = store.page(&ACME, Span::LIFETIME, after, 3).await?;
        assert!(page.len() <= 3);
        let Some((last, _)) = page.last() else { break };
        after = *last;
        seen.extend(page.into_iter().map(|(_, record)| record.stamp.request));
    }

    assert_eq!(seen, (0..7).map(request).collect::<Vec<_>>());
    Ok(())
}

pub async fn a_span_ends_before_its_end(store: &impl Store) -> Result<(), Fault> {
    let rows = (0..4).map(|number| {
        let mut row = record(ACME, number, boot(1), 0, 0);
        row.stamp.admitted_at = Timestamp(i64::try_from(number).unwrap_or(0) * 1_000);
        row
    });
    ship(store, ACME, rows.collect()).await?;
    let span = Span { starts: Timestamp(1_000), ends: Timestamp(3_000) };

    let page = store.page(&ACME, span, Cursor(0), 10).await?;
    let sums = store.sums(&ACME, span, &[]).await?;

    let seen: Vec<_> = page.iter().map(|(_, record)| record.stamp.request).collect();
    assert_eq!(seen, [request(1), request(2)]);
    assert_eq!(sums.iter().map(|sum| sum.records).collect::<Vec<_>>(), [2]);
    Ok(())
}

pub async fn a_request_is_shown_to_its_own_project_only(store: &impl Store) -> Result<(), Fault> {
    let mut second = record(ACME, 1, boot(1), 0, 0);
    second.stamp.attempt = 2;
    let first = record(ACME, 1, boot(1), 0, 0);
    ship(store, ACME, vec![second.clone(), first.clone()]).await?;
    ship(store, OTHER, vec![record(OTHER, 1, boot(1), 0, 0)]).await?;

    let (mine, _) = store.request(&ACME, &ProjectId::from_bytes(APP), &request(1)).await?;
    let (foreign, _) = store.request(&ACME, &ProjectId::from_bytes([7; 16]), &request(1)).await?;

    assert_eq!(mine, [first, second]);
    assert_eq!(foreign, []);
    Ok(())
}

pub async fn the_sums_are_those_of_the_model(store: &impl Store) -> Result<(), Fault> {
    let (model, mut dice) = (Model::default(), Dice(7));
    for number in 0..40 {
        for org in ORGS {
            let rows: Vec<_> = (0..5).map(|_| some_record(&mut dice, org, number)).collect();
            ship(store, org, rows.clone()).await?;
            ship(&model, org, rows).await?;
        }
    }
    let span = Span { starts: Timestamp(0), ends: Timestamp(2 * 86_400_000) };

    for first in COLUMNS {
        for by in [vec![], vec![first], vec![first, By::Day], vec![By::Principal, first]] {
            for org in ORGS {
                let expected = model.sums(&org, span, &by).await?;
                assert_eq!(store.sums(&org, span, &by).await?, expected, "{by:?}");
            }
        }
    }
    Ok(())
}

pub async fn a_sum_stops_at_the_largest_number(store: &impl Store) -> Result<(), Fault> {
    let most = i64::MAX;
    let mut rows = [1, 2, 3].map(|number| record(ACME, number, boot(1), most, most));
    for row in &mut rows {
        row.ending.tokens.input = most;
        row.ending.tokens.reasoning = most / 2;
    }
    rows[2].ending.tokens.reasoning = 0;

    ship(store, ACME, rows.to_vec()).await?;
    let sums = store.sums(&ACME, Span::LIFETIME, &[By::Model]).await?;

    let seen = sums.iter().map(|sum| (sum.records, sum.cost, sum.tokens.input));
    assert_eq!(seen.collect::<Vec<_>>(), [(3, NanoUsd::MAX, most)]);
    let exact = sums.iter().map(|sum| (sum.tokens.reasoning, sum.tokens.output));
    assert_eq!(exact.collect::<Vec<_>>(), [(most - 1, 60)], "below it, a sum is exact");
    Ok(())
}

const COLUMNS: [By; 9] = [
    By::Unit,
    By::Project,
    By::Model,
    By::Tier,
    By::Deployment,
    By::Principal,
    By::Key,
    By::CostCentre,
    By::Day,
];

fn some_record(dice: &mut Dice, org: OrgId, number: u64) -> UsageRecord {
    let mut byte = |most: usize| u8::try_from(dice.below(most)).unwrap_or(0);
    let mut row = record(org, number, boot(1), 0, 0);
    let stamp = &mut row.stamp;
    stamp.attempt = u32::from(byte(3));
    stamp.unit_path = (0..byte(3)).map(|unit| UnitId::from_bytes([unit; 16])).collect();
    stamp.project = ProjectId::from_bytes([byte(2); 16]);
    stamp.model = format!("model-{}", byte(2));
    stamp.tier = (byte(2) == 0).then(|| "standard".to_owned());
    stamp.deployment = DeploymentId::from_bytes([byte(2); 16]);
    stamp.key = KeyId::from_bytes([byte(2); 16]);
    stamp.cost_centre = Some(String::new()).filter(|_| byte(2) == 0);
    if byte(2) == 0 {
        stamp.principal = Principal::ServiceAccount(ServiceAccountId::from_bytes(BOT));
    }
    stamp.admitted_at = Timestamp(i64::from(byte(60)) * 3_600_000);
    row.ending.cost = Some(NanoUsd(0)).filter(|_| byte(4) != 0);
    if byte(3) == 0 {
        row.ending.source = Source::Estimated;
    }
    row
}

pub async fn a_price_that_comes_later_ends_an_unpriced_record(
    store: &impl Store,
) -> Result<(), Fault> {
    let mut row = record(ACME, 1, boot(1), 0, 0);
    row.ending.cost = None;
    let mut priced = row.clone();
    priced.part = 1;
    priced.ending.cost = Some(NanoUsd(5));

    ship(store, ACME, vec![row]).await?;
    let before = store.sums(&ACME, Span::LIFETIME, &[]).await?;
    ship(store, ACME, vec![priced]).await?;
    let after = store.sums(&ACME, Span::LIFETIME, &[]).await?;

    let seen = before.iter().chain(&after).map(|sum| (sum.unpriced, sum.cost, sum.requests));
    assert_eq!(seen.collect::<Vec<_>>(), [(1, NanoUsd(0), 1), (0, NanoUsd(5), 1)]);
    Ok(())
}

//! Refusals are counted, every one of them, in few rows.

use super::*;
use policies::{
    ids::{KeyId, OrgId, ProjectId, UserId},
    usage::Principal,
};
use serde_json::{Value, json};
use store::{
    INSTALLATION,
    audit::{Act, ActFilter, Order},
    model::Model,
};

const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

fn request(number: u8) -> RequestId {
    RequestId::from_bytes([number; 16])
}

fn known(org: u8) -> Known {
    Known {
        org: OrgId::from_bytes([org; 16]),
        key: KeyId::from_bytes([3; 16]),
        principal: Some((Principal::User(UserId::from_bytes([4; 16])), "ada".to_owned())),
        project: Some((ProjectId::from_bytes([5; 16]), "search".to_owned())),
    }
}

fn denied(reason: &str) -> Refusal {
    Refusal::PolicyDenied { reason: reason.to_owned() }
}

/// Runs what was noted to its end, and reads the chain of an org.
async fn written(model: &Arc<Model>, log: Log, org: OrgId) -> Vec<Act> {
    let stop = CancellationToken::new();
    stop.cancel();
    log.run(&stop).await;
    acts(model, org).await
}

async fn acts(model: &Model, org: OrgId) -> Vec<Act> {
    let rows = model.acts(&org, &ActFilter::default(), Order::Oldest, None, 10_000).await.unwrap();
    rows.iter().map(|row| row.act().unwrap()).collect()
}

fn told(act: &Act) -> &Value {
    act.after.as_ref().unwrap()
}

#[tokio::test]
async fn equal_refusals_are_one_row_that_counts_them_all() {
    let model = Arc::new(Model::default());
    let (lookout, log) = lookout(Arc::clone(&model) as Arc<dyn AuditLog>);
    for number in 0..50 {
        lookout.refused(ADDRESS, Some(request(number)), &denied("it holds `card`"), || known(1));
    }
    lookout.refused(ADDRESS, Some(request(60)), &denied("it holds `secret`"), || known(1));
    lookout.refused(ADDRESS, Some(request(61)), &denied("it holds `card`"), || known(2));

    let acts = written(&model, log, OrgId::from_bytes([1; 16])).await;

    assert_eq!(acts.len(), 2);
    let many = acts.iter().find(|act| told(act)["count"] == 50).unwrap();
    assert_eq!(many.action, "request.policy_denied");
    assert_eq!(many.reason.as_deref(), Some("it holds `card`"));
    assert_eq!(many.actor.id, UserId::from_bytes([4; 16]).to_string());
    assert_eq!(told(many)["requests"].as_array().unwrap().len(), 20);
    assert_eq!(many.request, Some(request(0).to_string()));
    let other = self::acts(&model, OrgId::from_bytes([2; 16])).await;
    assert_eq!((other.len(), &told(&other[0])["requests"]), (1, &json!([request(61)])));
}

#[tokio::test]
async fn an_address_that_fails_is_one_row_of_the_installation() {
    let model = Arc::new(Model::default());
    let (lookout, log) = lookout(Arc::clone(&model) as Arc<dyn AuditLog>);
    for address in ["2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "198.51.100.1"] {
        lookout.stranger(address.parse().unwrap());
    }

    let acts = written(&model, log, INSTALLATION).await;

    let told: Vec<_> =
        acts.iter().map(|it| (it.address.clone().unwrap(), told(it)["count"].as_i64())).collect();
    assert_eq!(acts.len(), 2);
    assert!(told.contains(&("2001:db8:1:2::".to_owned(), Some(2))), "{told:?}");
    assert!(told.contains(&("198.51.100.1".to_owned(), Some(1))), "{told:?}");
}

#[tokio::test]
async fn what_is_no_matter_of_security_is_passed_over() {
    let model = Arc::new(Model::default());
    let (lookout, log) = lookout(Arc::clone(&model) as Arc<dyn AuditLog>);
    let busy = Refusal::Capacity { retry_millis: 1 };

    lookout.refused(ADDRESS, Some(request(1)), &busy, || panic!("nobody asks who it was"));

    assert!(written(&model, log, OrgId::from_bytes([1; 16])).await.is_empty());
}

#[tokio::test]
async fn a_flood_that_finds_no_place_is_counted() {
    let model = Arc::new(Model::default());
    let (lookout, log) = lookout(Arc::clone(&model) as Arc<dyn AuditLog>);
    for number in 0..NOTES_MAX + 7 {
        lookout.refused(ADDRESS, Some(request(1)), &denied(&number.to_string()), || known(1));
    }

    let rows = written(&model, log, OrgId::from_bytes([1; 16])).await;
    let missed = acts(&model, INSTALLATION).await;

    let named: u64 = rows.iter().map(|act| told(act)["count"].as_u64().unwrap()).sum();
    assert_eq!((missed.len(), missed[0].action.as_str()), (1, "events.missed"));
    let unnamed = told(&missed[0])["count"].as_u64().unwrap();
    assert_eq!(named + unnamed, NOTES_MAX as u64 + 7, "every one is counted");
}

#[tokio::test]
async fn whoever_goes_on_gets_a_row_each_time_it_is_due() {
    let mut tallies = Tallies::default();
    let note =
        |at: i64| Note { at: Timestamp(at), address: ADDRESS, request: None, what: What::Stranger };
    tallies.add(note(0));
    assert!(tallies.due(Timestamp(999)).is_empty());
    let rows = tallies.due(Timestamp(1_000));
    let keys: Vec<_> = rows[&INSTALLATION].iter().map(|(key, _)| key.clone()).collect();
    tallies.written(&keys, Timestamp(1_000));

    tallies.add(note(2_000));
    tallies.add(note(30_000));

    assert!(tallies.due(Timestamp(60_999)).is_empty(), "one row in a minute");
    let rows = tallies.due(Timestamp(61_000));
    assert_eq!(told(&rows[&INSTALLATION][0].1)["count"], 2);
    let again = tallies.due(Timestamp(61_000));
    assert_eq!(again[&INSTALLATION].len(), 1, "it stays until it is written");
}

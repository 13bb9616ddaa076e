//! How settings are taken over, with the model of a store.

use super::*;
use policies::document::Object;
use store::{Change, Registry, model::Model};

const HASH: [u8; 32] = [0xab; 32];

fn org(number: u8) -> OrgId {
    OrgId::from_bytes([number; 16])
}

/// An org, one key of it, and whatever its time zone is said to be.
fn objects(number: u8, zone: &str) -> Vec<Object> {
    let hash = hex::encode(HASH.map(|byte| byte.wrapping_add(number)));
    let name = format!("org{number}");
    let lines = [
        format!(r#"{{"kind":"Org","name":"{name}","time_zone":"{zone}"}}"#),
        format!(r#"{{"kind":"Project","org":"{name}","name":"p"}}"#),
        format!(r#"{{"kind":"User","org":"{name}","name":"u"}}"#),
        format!(
            r#"{{"kind":"Key","org":"{name}","name":"k","project":"p","owner":{{"user":"u"}},
                "sha256":"{hash}"}}"#
        ),
    ];
    let object = |(place, line): (u8, &String)| {
        let id = if place == 0 { [number; 16] } else { [number * 16 + place; 16] };
        Object { id, document: serde_json::from_str(line).unwrap() }
    };
    (0..).zip(&lines).map(object).collect()
}

async fn commit(store: &Model, number: u8, from: u64, put: Vec<Object>, remove: Vec<[u8; 16]>) {
    let change = Change { org: org(number), from: Revision(from), put, remove, acts: Vec::new() };
    let done = store.commit(vec![change]).await.unwrap();
    assert!(matches!(done, store::Committed::Done(_)), "{done:?}");
}

fn revision(snapshot: &Snapshot, number: u8) -> Option<u64> {
    snapshot.current().tenant(&org(number)).map(|live| live.tenant.revision.0)
}

#[tokio::test]
async fn a_broken_org_keeps_its_last_good_settings_and_is_read_once() {
    let (store, snapshot) = (Model::default(), Snapshot::default());
    commit(&store, 1, 0, objects(1, "UTC"), Vec::new()).await;
    snapshot.refresh(&store).await.unwrap();

    commit(&store, 1, 1, objects(1, "Nowhere"), Vec::new()).await;
    commit(&store, 2, 0, objects(2, "Nowhere"), Vec::new()).await;
    commit(&store, 3, 0, objects(3, "UTC"), Vec::new()).await;
    let changed = snapshot.refresh(&store).await.unwrap();

    assert_eq!(changed, [org(3)]);
    let of = |number| revision(&snapshot, number);
    assert_eq!((of(1), of(2), of(3)), (Some(1), None, Some(1)));
    let before = snapshot.current();
    assert_eq!(snapshot.refresh(&store).await.unwrap(), []);
    assert!(Arc::ptr_eq(&before, &snapshot.current()), "nothing new is nothing to do");

    commit(&store, 1, 2, objects(1, "Europe/Berlin"), Vec::new()).await;
    assert_eq!(snapshot.refresh(&store).await.unwrap(), [org(1)]);
    assert_eq!(revision(&snapshot, 1), Some(3));
}

#[tokio::test]
async fn a_removed_org_is_gone_with_its_keys() {
    let (store, snapshot) = (Model::default(), Snapshot::default());
    let all = objects(1, "UTC");
    let ids = all.iter().map(|object| object.id).collect();
    commit(&store, 1, 0, all, Vec::new()).await;
    commit(&store, 2, 0, objects(2, "UTC"), Vec::new()).await;
    snapshot.refresh(&store).await.unwrap();
    let key = HASH.map(|byte| byte.wrapping_add(1));
    assert_eq!(snapshot.current().key(&key).map(|(org, _)| org), Some(org(1)));

    commit(&store, 1, 1, Vec::new(), ids).await;

    assert_eq!(snapshot.refresh(&store).await.unwrap(), [org(1)]);
    assert_eq!((revision(&snapshot, 1), revision(&snapshot, 2)), (None, Some(1)));
    assert!(snapshot.current().key(&key).is_none());
    assert_eq!(snapshot.refresh(&Model::default()).await.unwrap(), [org(2)]);
    assert_eq!(snapshot.current().tenants().count(), 0);
}

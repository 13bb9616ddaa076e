//! The audit log is read by those who may, of their own org, and exports verify.

use crate::{
    service::audit::verify::verify,
    tests::town::{Told, Town},
};
use serde_json::Value;

async fn list(town: &Town, query: &str) -> Value {
    let key = &town.acme.keys["auditor"];
    let told = town.ask(key, "GET", &format!("/admin/v1/audit{query}"), None).await;
    assert_eq!(told.status, 200, "{told:?}");
    told.json()
}

async fn make(town: &Town, unit: &str) -> Told {
    let body = serde_json::json!({ "name": unit });
    let key = &town.acme.keys["owner"];
    let told = town.ask(key, "POST", "/admin/v1/units", Some(body)).await;
    assert_eq!(told.status, 201, "{told:?}");
    told
}

fn names(page: &Value) -> Vec<String> {
    let rows = page["data"].as_array().unwrap().iter();
    rows.map(|row| row["act"]["target"]["name"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn pages_go_from_the_newest_to_the_oldest_and_filters_narrow_them() {
    let town = Town::new().await;
    for unit in ["one", "two", "three"] {
        make(&town, unit).await;
    }

    let first = list(&town, "?limit=2&action=unit.created").await;
    let next = first["next"].as_str().unwrap();
    let second = list(&town, &format!("?limit=2&action=unit.created&after={next}")).await;

    assert_eq!(names(&first), ["three", "two"]);
    assert_eq!(first["has_more"], true);
    assert_eq!((names(&second), &second["next"]), (vec!["one".to_owned()], &Value::Null));
    let id = first["data"][0]["act"]["target"]["id"].as_str().unwrap();
    assert_eq!(names(&list(&town, &format!("?target={id}")).await), ["three"]);
    assert!(names(&list(&town, "?from=2100-01-01").await).is_empty());
    assert!(names(&list(&town, "?actor=user_nobody&action=unit.created").await).is_empty());
    let both = "?action=unit.created&action=unit.deleted&to=2100-01-01T00:00:00Z";
    assert_eq!(names(&list(&town, both).await).len(), 3);
}

#[tokio::test]
async fn what_cannot_be_a_filter_is_refused() {
    let town = Town::new().await;
    for query in ["?from=yesterday", "?after=x", "?limit=0", "?limit=1001"] {
        let path = format!("/admin/v1/audit{query}");
        let told = town.ask(&town.acme.keys["auditor"], "GET", &path, None).await;
        assert_eq!(told.status, 422, "{query}");
    }
}

#[tokio::test]
async fn an_export_is_the_orgs_own_chain_leaves_a_row_and_verifies() {
    let town = Town::new().await;
    make(&town, "one").await;
    let foreign = &town.globex.keys["owner"];
    let body = serde_json::json!({ "name": "theirs" });
    town.ask(foreign, "POST", "/admin/v1/units", Some(body)).await;

    let key = &town.acme.keys["auditor"];
    let told = town.ask(key, "GET", "/admin/v1/audit/export", None).await;

    let checked = verify(&mut told.body.as_bytes(), None, &[]).unwrap();
    assert_eq!(checked.org, Some(town.acme.org));
    assert_eq!(checked.rows, checked.head.size);
    assert!(told.body.contains("\"one\"") && !told.body.contains("theirs"));
    assert!(told.body.lines().last().unwrap().contains("data.read"), "it is in the log itself");
    let rest = town.ask(key, "GET", "/admin/v1/audit/export?after=1", None).await;
    assert_eq!(verify(&mut rest.body.as_bytes(), None, &[]).unwrap().first, 2);
}

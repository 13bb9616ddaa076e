//! Whoever is taken out of the directory is out; what a directory may not do, it cannot.

use super::{ask, changes, found, org, scim};
use admin::service::apply::fingerprint;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;
use store::{
    Directory as _,
    audit::{ActFilter, AuditLog, Order},
    clock,
    session::{Session, Sessions},
    sqlite::Sqlite,
};
use tests::{
    client,
    house::House,
    json::At,
    wait::{self, SOON},
};
use tokio::time::Instant;

#[tokio::test]
async fn whoever_is_deprovisioned_is_out_at_once() {
    let house = House::open(org("acme")).await;
    house.chat("acme-ada", "acme-model", json!({})).await.bytes().await;
    let ada = found(&house, "Users", "userName eq \"ada\"").await;
    let ada = ada.text("Resources.0.id").to_owned();
    let path = format!("/Users/{ada}");
    let sqlite = Sqlite::open(&house.path("penstock.db")).await.unwrap();
    let (org, _) = sqlite.revisions().await.unwrap().into_iter().next().unwrap();
    let sign_in = || sign_in(&sqlite, org, &ada);
    sign_in().await;
    assert_eq!(as_ada(&house).await, StatusCode::OK);

    let off = changes(json!([{ "op": "Replace", "path": "active", "value": "False" }]));
    scim(&house, "PATCH", &path, off.clone()).await;
    let begin = Instant::now();
    assert_eq!(as_ada(&house).await, StatusCode::UNAUTHORIZED);
    refused(&house).await;
    let took = begin.elapsed();
    println!("a deprovisioned user's key was refused after {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(sqlite.sessions_of(&org, &ada.parse().unwrap()).await.unwrap(), []);

    // Whoever comes back signs in anew.
    let on = changes(json!([{ "op": "Replace", "path": "active", "value": "True" }]));
    scim(&house, "PATCH", &path, on).await;
    house.knows("acme-ada").await;
    assert_eq!(as_ada(&house).await, StatusCode::UNAUTHORIZED);
    let as_admin = format!("/admin/v1/users/{ada}");
    let seen = ask(&house, "acme-boss", "GET", &as_admin, Value::Null);
    assert!(!seen.await.body.text("credentials_from").is_empty());

    // Removal ends everything too, and keeps what was used.
    sign_in().await;
    scim(&house, "DELETE", &path, Value::Null).await;
    assert_eq!(as_ada(&house).await, StatusCode::UNAUTHORIZED);
    refused(&house).await;
    let usage = house.usage_once("acme", "ada's usage", |rows| rows.len() == 1).await;
    assert!(usage[0].to_string().contains(&ada), "{}", usage[0]);
    let keys = ask(&house, "acme-boss", "GET", "/admin/v1/keys", Value::Null).await.body;
    assert_eq!(keys.list("data"), [] as [Value; 0]);

    let filter = ActFilter::default();
    let rows = sqlite.acts(&org, &filter, Order::Newest, None, 10).await.unwrap();
    let acts: Vec<_> = rows.iter().map(|row| row.act().unwrap()).collect();
    let told: Vec<_> = acts.iter().map(|act| (act.via.as_str(), act.action.as_str())).collect();
    assert!(told.contains(&("scim", "user.deleted")), "{told:?}");
    assert!(told.contains(&("scim", "key.deleted")), "{told:?}");
    assert!(told.contains(&("scim", "user.updated")), "{told:?}");
    assert!(acts.iter().filter(|act| act.via == "scim").all(|act| act.actor.name == "acme-scim"));
}

const TOKEN: &str = "a-token-of-a-console-session";

async fn sign_in(sqlite: &Sqlite, org: policies::ids::OrgId, user: &str) {
    let now = clock::now();
    let session = Session {
        org,
        user: user.parse().unwrap(),
        created: now,
        seen: now,
        expires: now.plus_millis(3_600_000),
        address: None,
        how: "local".to_owned(),
        vouched: None,
        id_token_hint: None,
    };
    sqlite.open_session(&fingerprint(TOKEN), &session).await.unwrap();
}

/// The status of a request in ada's console session.
async fn as_ada(house: &House) -> StatusCode {
    let url = format!("{}/admin/v1/me", house.admin_url());
    let cookie = format!("penstock={TOKEN}");
    let headers = [("cookie", cookie.as_str())];
    house.client.send(client::build(Method::GET, &url, &headers, "".into())).await.status
}

async fn refused(house: &House) {
    wait::until(SOON, "a refusal of ada's key", || async {
        let status = house.get("acme-ada", "/v1/models").await.status;
        if status == 401 || status == 403 { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn a_directory_sets_no_role_and_takes_nobody_what_a_file_holds() {
    let settings = org("acme")
        .and("User", "eve", json!({}))
        .and("Group", "chiefs", json!({ "roles": ["admin"], "members": ["boss"] }))
        .and(
            "Project",
            "kept",
            json!({
                "locked": true, "members": [{ "who": { "user": "eve" }, "role": "developer" }],
            }),
        );
    let house = House::open(settings).await;
    let id_of = |name: &'static str| {
        let house = &house;
        async move {
            let told = found(house, "Users", &format!("userName eq \"{name}\"")).await;
            told.text("Resources.0.id").to_owned()
        }
    };
    let (boss, eve) = (id_of("boss").await, id_of("eve").await);
    let chiefs = found(&house, "Groups", "displayName eq \"chiefs\"").await;
    let chiefs = chiefs.text("Resources.0.id").to_owned();

    // A role by hand is read over; a role through a group is what groups are for.
    let roles = json!([{ "op": "add", "path": "roles", "value": [{ "value": "owner" }] }]);
    scim(&house, "PATCH", &format!("/Users/{eve}"), changes(roles)).await;
    let join = json!([{ "op": "add", "path": "members", "value": [{ "value": eve }] }]);
    scim(&house, "PATCH", &format!("/Groups/{chiefs}"), changes(join)).await;
    let path = format!("/admin/v1/users/{eve}");
    let seen = ask(&house, "acme-boss", "GET", &path, Value::Null).await.body;
    assert_eq!(seen.list("roles"), [] as [Value; 0]);
    let path = format!("/admin/v1/groups/{chiefs}");
    let seen = ask(&house, "acme-boss", "GET", &path, Value::Null).await.body;
    assert_eq!(
        (seen.at("roles"), seen.at("members")),
        (&json!(["admin"]), &json!(["boss", "eve"]))
    );

    // The last owner stays.
    let path = format!("/scim/v2/Users/{boss}");
    let off = changes(json!([{ "op": "replace", "path": "active", "value": false }]));
    for (method, body) in [("DELETE", Value::Null), ("PATCH", off)] {
        let told = ask(&house, "acme-scim", method, &path, body).await;
        assert_eq!(told.status, StatusCode::BAD_REQUEST, "{}", told.body);
    }

    // What a file holds to cannot be removed; but nothing of the user works any more.
    let path = format!("/scim/v2/Users/{eve}");
    let told = ask(&house, "acme-scim", "DELETE", &path, Value::Null).await;
    assert_eq!(told.status, StatusCode::CONFLICT);
    assert!(told.body.text("detail").contains("project `kept`"), "{}", told.body);
    let seen = ask(&house, "acme-scim", "GET", &path, Value::Null).await.body;
    assert_eq!(seen["active"], false);

    // Only a provisioner or an owner may ask at all.
    let told = ask(&house, "acme-boss", "GET", "/scim/v2/Users", Value::Null).await;
    assert_eq!(told.status, StatusCode::OK);
    let url = format!("{}/scim/v2/Users", house.admin_url());
    assert_eq!(house.client.get(&url).await.status, StatusCode::UNAUTHORIZED);
}

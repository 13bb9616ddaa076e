//! Okta, as its SCIM apps ask.

use super::{GROUP, USER, ask, changes, found, org, scim};
use http::StatusCode;
use serde_json::{Value, json};
use tests::{house::House, json::At};

#[tokio::test]
async fn okta_provisions_users_as_it_always_does() {
    let house = House::open(org("acme")).await;

    let probe = scim(&house, "GET", "/Users?startIndex=1&count=2", Value::Null).await.body;
    assert_eq!((probe.int("totalResults"), probe.int("itemsPerPage")), (2, 2), "{probe}");
    assert_eq!(probe.text("schemas.0"), "urn:ietf:params:scim:api:messages:2.0:ListResponse");
    let filter = "userName eq \"grace@acme.example\"";
    assert_eq!(found(&house, "Users", filter).await.list("Resources"), [] as [Value; 0]);

    let grace = json!({
        "schemas": [USER], "userName": "grace@acme.example",
        "name": { "givenName": "Grace", "familyName": "Hopper" },
        "emails": [{ "primary": true, "value": "grace@acme.example", "type": "work" }],
        "displayName": "Grace Hopper", "locale": "en-US", "externalId": "00ujl29u0le5T6Aj10h7",
        "groups": [], "password": "1mz050nq", "active": true,
    });
    let made = scim(&house, "POST", "/Users", grace.clone()).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let id = made.body.text("id").to_owned();
    let place = format!("{}/scim/v2/Users/{id}", house.admin_url());
    assert_eq!(made.location.as_deref(), Some(place.as_str()));
    assert_eq!(made.body.text("meta.location"), place);
    for field in ["userName", "displayName", "externalId", "active", "emails"] {
        assert_eq!(made.body[field], grace[field], "{field}");
    }
    assert!(!made.body.to_string().contains("1mz050nq"));
    assert_eq!(found(&house, "Users", filter).await.text("Resources.0.id"), id);

    let mut again = grace.clone();
    for name in ["grace@acme.example", "GRACE@acme.example"] {
        again["userName"] = json!(name);
        let told = ask(&house, "acme-scim", "POST", "/scim/v2/Users", again.clone()).await;
        assert_eq!(told.status, StatusCode::CONFLICT);
        assert_eq!((told.body.text("scimType"), told.body.text("status")), ("uniqueness", "409"));
    }

    let path = format!("/Users/{id}");
    let mut put = scim(&house, "GET", &path, Value::Null).await.body;
    put["displayName"] = json!("Rear Admiral Hopper");
    put["userName"] = json!("hopper@acme.example");
    put["name"] = json!({ "givenName": "Grace" });
    let put = scim(&house, "PUT", &path, put).await.body;
    assert_eq!(put.text("displayName"), "Rear Admiral Hopper");
    let off = changes(json!([{ "op": "replace", "value": { "active": false } }]));
    let off = scim(&house, "PATCH", &path, off).await.body;
    assert_eq!((off.at("active"), off.text("id")), (&json!(false), id.as_str()));
    assert_eq!(off.text("userName"), "hopper@acme.example");
    let mut put = off;
    put["active"] = json!(true);
    assert_eq!(scim(&house, "PUT", &path, put).await.body["active"], true);
}

#[tokio::test]
async fn okta_pushes_groups_as_it_always_does() {
    let house = House::open(org("acme")).await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        let made = scim(&house, "POST", "/Users", json!({ "userName": name })).await;
        ids.push(made.body.text("id").to_owned());
    }
    let members = |of: &[&String]| {
        let members = of.iter().map(|id| json!({ "value": id, "display": "x" }));
        Value::Array(members.collect())
    };

    let empty = found(&house, "Groups", "displayName eq \"Engineers\"").await;
    assert_eq!(empty.int("totalResults"), 0);
    let group = json!({
        "schemas": [GROUP], "displayName": "Engineers", "members": members(&[&ids[0]]),
    });
    let made = scim(&house, "POST", "/Groups", group).await;
    assert_eq!(made.status, StatusCode::CREATED);
    assert_eq!(made.body.text("members.0.display"), "a");
    let id = made.body.text("id").to_owned();
    let path = format!("/Groups/{id}");
    let rename = changes(json!([
        { "op": "replace", "value": { "id": id, "displayName": "Engineering" } },
    ]));
    assert_eq!(scim(&house, "PATCH", &path, rename).await.status, StatusCode::NO_CONTENT);
    let swap = changes(json!([
        { "op": "remove", "path": format!("members[value eq \"{}\"]", ids[0]) },
        { "op": "add", "path": "members", "value": members(&[&ids[1], &ids[2], &ids[1]]) },
    ]));
    scim(&house, "PATCH", &path, swap).await;
    let group = scim(&house, "GET", &path, Value::Null).await.body;
    let names: Vec<&str> = group.list("members").iter().map(|it| it.text("display")).collect();
    assert_eq!((group.text("displayName"), names), ("Engineering", vec!["b", "c"]));
    let whole = json!({ "displayName": "Engineering", "members": members(&[&ids[0]]) });
    let put = scim(&house, "PUT", &path, whole).await.body;
    assert_eq!(put.list("members").len(), 1);

    assert_eq!(scim(&house, "DELETE", &path, Value::Null).await.status, StatusCode::NO_CONTENT);
    let gone = ask(&house, "acme-scim", "GET", &format!("/scim/v2{path}"), Value::Null).await;
    assert_eq!((gone.status, gone.body.text("status")), (StatusCode::NOT_FOUND, "404"));
}

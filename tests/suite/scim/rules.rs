//! What every directory can rely on: errors, other tenants, discovery, size.

use super::{USER, ask, changes, encoded, found, org, scim};
use http::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;
use tests::{house::House, json::At};
use tokio::time::Instant;

/// Users of the large directory.
const CROWD: usize = 1_000;

#[tokio::test]
async fn directories_of_two_tenants_know_nothing_of_each_other() {
    let house = House::open(org("acme").with(org("globex"))).await;
    let user = json!({ "userName": "same@example.com", "externalId": "1" });
    let mut ids = Vec::new();
    for tenant in ["acme", "globex"] {
        let key = format!("{tenant}-scim");
        let told = ask(&house, &key, "POST", "/scim/v2/Users", user.clone()).await;
        assert_eq!(told.status, StatusCode::CREATED);
        ids.push(told.body.text("id").to_owned());
        let list = ask(&house, &key, "GET", "/scim/v2/Users", Value::Null).await.body;
        assert_eq!(list.int("totalResults"), 3);
    }
    let absent = format!("user_{}", "07".repeat(16));

    for (method, body) in [
        ("GET", Value::Null),
        ("PUT", json!({ "userName": "mine" })),
        ("PATCH", changes(json!([{ "op": "replace", "value": { "active": false } }]))),
        ("DELETE", Value::Null),
    ] {
        let path = |id: &str| format!("/scim/v2/Users/{id}");
        let foreign = ask(&house, "acme-scim", method, &path(&ids[1]), body.clone()).await;
        let nothing = ask(&house, "acme-scim", method, &path(&absent), body).await;
        assert_eq!(foreign.status, StatusCode::NOT_FOUND);
        assert_eq!((foreign.status, foreign.body), (nothing.status, nothing.body));
    }
    for id in [&ids[1], &absent] {
        let group = json!({ "displayName": "spies", "members": [{ "value": id }] });
        let told = ask(&house, "acme-scim", "POST", "/scim/v2/Groups", group).await;
        assert_eq!(told.status, StatusCode::BAD_REQUEST);
        assert_eq!(told.body.text("detail"), "members: one of them is not the id of a user");
    }
}

#[tokio::test]
async fn what_is_wrong_is_said_in_the_words_of_scim() {
    let house = House::open(org("acme")).await;
    let ada = found(&house, "Users", "userName eq \"ada\"").await;
    let ada = format!("/Users/{}", ada.text("Resources.0.id"));
    let filter = |text: &str| format!("/Users?filter={}", encoded(text));
    let patch = |operation: Value| changes(json!([operation]));
    let none = Value::Null;

    for (method, path, body, kind) in [
        ("GET", filter("userName is \"x\""), none.clone(), "invalidFilter"),
        ("GET", filter("shoeSize eq 44"), none.clone(), "invalidFilter"),
        ("GET", filter(&"(".repeat(4_000)), none.clone(), "invalidFilter"),
        ("GET", filter(&"not (".repeat(700)), none.clone(), "invalidFilter"),
        ("GET", "/Users?count=many".to_owned(), none.clone(), "invalidValue"),
        ("GET", "/Users?sortBy=shoeSize".to_owned(), none.clone(), "invalidValue"),
        ("POST", "/Users".to_owned(), json!([]), "invalidSyntax"),
        ("POST", "/Users".to_owned(), json!({ "displayName": "x" }), "invalidValue"),
        ("POST", "/Users".to_owned(), json!({ "userName": "x".repeat(129) }), "invalidValue"),
        ("POST", "/Users".to_owned(), json!({ "userName": "x", "active": 1 }), "invalidValue"),
        ("POST", "/Groups".to_owned(), json!({ "members": [] }), "invalidValue"),
        (
            "POST",
            "/Groups".to_owned(),
            json!({ "displayName": "g", "members": [{ "value": "x" }] }),
            "invalidValue",
        ),
        ("PATCH", ada.clone(), json!({}), "invalidSyntax"),
        ("PATCH", ada.clone(), patch(json!({ "op": "remove" })), "noTarget"),
        (
            "PATCH",
            ada.clone(),
            patch(json!({ "op": "remove", "path": "userName" })),
            "invalidValue",
        ),
        (
            "PATCH",
            ada.clone(),
            patch(json!({ "op": "replace", "path": "shoeSize", "value": 44 })),
            "invalidPath",
        ),
        (
            "PATCH",
            ada.clone(),
            patch(json!({ "op": "replace", "path": "id", "value": "x" })),
            "mutability",
        ),
        (
            "PATCH",
            ada.clone(),
            patch(json!({ "op": "replace", "path": "emails[type co \"q\"].value", "value": "x" })),
            "noTarget",
        ),
    ] {
        let told = ask(&house, "acme-scim", method, &format!("/scim/v2{path}"), body).await;

        let case = format!("{method} {path:.80}: {}", told.body);
        assert_eq!(told.status, StatusCode::BAD_REQUEST, "{case}");
        assert_eq!(told.body.text("scimType"), kind, "{case}");
        assert_eq!(told.body.text("schemas.0"), "urn:ietf:params:scim:api:messages:2.0:Error");
        assert_eq!(told.body.text("status"), "400");
    }
    let told = ask(&house, "acme-scim", "GET", "/scim/v2/Bulk", none).await;
    assert_eq!(told.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_directory_learns_what_there_is() {
    let house = House::open(org("acme")).await;
    let get = |path: &'static str| scim(&house, "GET", path, Value::Null);

    let provider = get("/ServiceProviderConfig").await.body;
    assert_eq!(provider.at("patch.supported"), true);
    assert_eq!(provider.at("bulk.supported"), false);
    assert_eq!(provider.text("authenticationSchemes.0.type"), "oauthbearertoken");
    let types = get("/ResourceTypes").await.body;
    assert_eq!((types.int("totalResults"), types.text("Resources.1.endpoint")), (2, "/Groups"));
    assert_eq!(get("/ResourceTypes/User").await.body.text("schema"), USER);
    let schemas = get("/Schemas").await.body;
    assert_eq!(schemas.text("Resources.0.id"), USER);
    let one = get("/Schemas/urn:ietf:params:scim:schemas:core:2.0:Group").await.body;
    assert_eq!(one.text("attributes.2.name"), "members");
    let sorted = get("/Users?sortBy=userName&sortOrder=descending&attributes=userName").await.body;
    let names: Vec<&str> = sorted.list("Resources").iter().map(|it| it.text("userName")).collect();
    assert_eq!(names, ["boss", "ada"]);
    let none = get("/Users?count=0").await.body;
    assert_eq!((none.int("totalResults"), none.list("Resources").len()), (2, 0));
}

#[tokio::test]
async fn a_directory_of_a_thousand_is_imported_and_paged_in_bounded_time() {
    let house = House::open(org("acme")).await;
    let begin = Instant::now();
    let (mut ids, mut last) = (Vec::new(), Duration::ZERO);
    for at in 0..CROWD {
        let name = format!("person-{at:04}@acme.example");
        let one = Instant::now();
        let told = found(&house, "Users", &format!("userName eq \"{name}\"")).await;
        assert_eq!(told.int("totalResults"), 0);
        let user = json!({
            "schemas": [USER], "userName": name, "externalId": format!("{at}"), "active": true,
            "emails": [{ "primary": true, "value": name, "type": "work" }],
        });
        let made = scim(&house, "POST", "/Users", user).await.body;
        ids.push(json!({ "value": made.text("id") }));
        last = one.elapsed();
    }
    let imported = begin.elapsed();
    let begin = Instant::now();
    let group = json!({ "displayName": "everybody", "members": ids });
    let group = scim(&house, "POST", "/Groups", group).await.body;
    let grouped = begin.elapsed();
    let begin = Instant::now();
    let path = format!("/Groups/{}", group.text("id"));
    let removal = ids.iter().take(500).map(|id| {
        json!({ "op": "remove", "path": format!("members[value eq \"{}\"]", id.text("value")) })
    });
    scim(&house, "PATCH", &path, changes(Value::Array(removal.collect()))).await;
    let patched = begin.elapsed();
    assert_eq!(scim(&house, "GET", &path, Value::Null).await.body.list("members").len(), 500);
    let begin = Instant::now();
    let (mut seen, mut from) = (std::collections::BTreeSet::new(), 1);
    while seen.len() < CROWD + 2 {
        let page = format!("/Users?startIndex={from}&count=200");
        let page = scim(&house, "GET", &page, Value::Null).await.body;
        assert_eq!(page.int("totalResults"), 1_002);
        assert!(!page.list("Resources").is_empty());
        from += page.list("Resources").len();
        seen.extend(page.list("Resources").iter().map(|it| it.text("id").to_owned()));
    }
    let paged = begin.elapsed();

    println!(
        "{CROWD} users: imported in {imported:?} (the last in {last:?}, with its query), grouped \
         in {grouped:?}, 500 members removed in {patched:?}, paged in {paged:?}"
    );
    assert!(imported < Duration::from_secs(200), "{imported:?}");
    assert!(last < Duration::from_secs(1), "{last:?}");
    assert!(grouped + patched + paged < Duration::from_secs(10));
}

//! What bodies are taken, and what answers tell.

use super::town::Town;
use policies::document::Kind;
use serde_json::{Value, json};

#[tokio::test]
async fn nobody_asks_for_less_than_there_is_and_numbers_are_numbers() {
    let town = Town::new().await;
    let developer = &town.acme.keys["developer"];
    let path = "/admin/v1/limit_requests";
    let wish = |kind: &str, name: &str, wanted: Value| {
        Some(json!({ kind: name, "wanted": wanted, "reason": "a launch" }))
    };
    for (kind, name, wanted, field) in [
        ("budget", "search-month", json!({ "limit": "199.99" }), "/wanted/limit"),
        ("budget", "search-month", json!({ "limit": "200.0" }), "/wanted/limit"),
        (
            "limit",
            "search-rate",
            json!({ "requests_per_minute": 60 }),
            "/wanted/requests_per_minute",
        ),
        ("limit", "search-rate", json!({ "tokens_per_day": 9 }), "/wanted/tokens_per_day"),
        (
            "limit",
            "search-rate",
            json!({ "requests_per_minute": {} }),
            "/wanted/requests_per_minute",
        ),
    ] {
        let told = town.ask(developer, "POST", path, wish(kind, name, wanted.clone())).await;

        assert_eq!(told.status, 422, "{wanted}: {told:?}");
        assert_eq!(told.json()["errors"][0]["field"], field, "{wanted}: {told:?}");
    }
    let wanted = json!({ "requests_per_minute": 61 });
    let told = town.ask(developer, "POST", path, wish("limit", "search-rate", wanted)).await;
    assert_eq!(
        (told.status, told.json()["wanted"]["requests_per_minute"].clone()),
        (201, json!(61)),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_rotation_tells_until_when_the_old_secret_is_good_and_the_grace_ends_early() {
    let town = Town::new().await;
    let owner = &town.acme.keys["owner"];
    let one = format!("/admin/v1/keys/{}", town.acme.ids[&Kind::Key]);
    let grace = Some(json!({ "grace_minutes": 60 }));
    let rotate = format!("{one}/rotate");
    // The first secret: an issued key has one, the sample has none.
    town.ask(owner, "POST", &rotate, None).await;

    let rotated = town.ask(owner, "POST", &rotate, grace).await.json();
    let project = format!("/v1/organization/projects/{}", town.acme.ids[&Kind::Project]);
    let listed = town.ask(owner, "GET", &format!("{project}/api_keys"), None).await.json();
    let secret = rotated["secret"].as_str().unwrap();
    let redacted = format!("psk_***{}", &secret[secret.len() - 4..]);
    assert_eq!(listed["data"][0]["redacted_value"], redacted, "{listed}");
    let read = town.ask(owner, "GET", &one, None).await.json();
    let same = town.ask(owner, "PATCH", &one, Some(read.clone())).await;
    let ended = town.ask(owner, "POST", &format!("{one}/end-grace"), None).await;

    assert!(rotated["previous_secret_until"].as_str().unwrap().starts_with("20"), "{rotated}");
    assert_eq!(read["previous_secret_until"], rotated["previous_secret_until"]);
    assert_eq!(same.json()["previous_secret_until"], rotated["previous_secret_until"], "{same:?}");
    assert_eq!(ended.status, 200, "{ended:?}");
    assert_eq!(ended.json().get("previous_secret_until"), None, "{ended:?}");
    assert_eq!(ended.json().get("secret"), None, "{ended:?}");
}

#[tokio::test]
async fn a_provider_is_tried_with_an_outcome_a_status_and_a_time() {
    let town = Town::new().await;
    let owner = &town.acme.keys["owner"];
    let path = format!("/admin/v1/providers/{}/test", town.acme.ids[&Kind::Provider]);

    let told = town.ask(owner, "POST", &path, None).await;

    let expected = json!({
        "object": "tried", "works": true, "outcome": "reachable", "status": 200, "latency_ms": 7,
    });
    assert_eq!((told.status, told.json()), (200, expected), "{told:?}");
}

#[tokio::test]
async fn a_mistake_in_a_body_is_told_with_its_field_in_words_for_people() {
    let town = Town::new().await;
    let owner = &town.acme.keys["owner"];
    let project = format!("/admin/v1/projects/{}", town.acme.ids[&Kind::Project]);
    let key = format!("/admin/v1/keys/{}/rotate", town.acme.ids[&Kind::Key]);
    let provider = format!("/admin/v1/providers/{}/test", town.acme.ids[&Kind::Provider]);
    for (method, path, body, field) in [
        (
            "POST",
            "/admin/v1/keys",
            json!({ "name": "k", "project": "search", "owner": "ada" }),
            "/owner",
        ),
        (
            "POST",
            "/admin/v1/projects",
            json!({ "name": "k", "members": [{ "who": 5 }] }),
            "/members/0/who",
        ),
        ("POST", "/admin/v1/projects", json!({ "name": "k", "membres": [] }), "/membres"),
        ("POST", "/admin/v1/projects", json!({}), "/name"),
        (
            "PATCH",
            &project,
            json!({ "members": [{ "who": { "user": "lin" }, "role": [] }] }),
            "/members/0/role",
        ),
        ("POST", &key, json!({ "grace_minutes": "soon" }), "/grace_minutes"),
        ("POST", &provider, json!({ "colour": 1 }), "/colour"),
    ] {
        let told = town.ask(owner, method, path, Some(body.clone())).await;

        assert_eq!(told.status, 422, "{path} {body}: {told:?}");
        let errors = told.json()["errors"].clone();
        assert!(
            errors.as_array().unwrap().iter().any(|it| it["field"] == field),
            "{body}: {told:?}"
        );
        for word in ["struct", "enum", "i64", "Option", "invalid type"] {
            assert!(!told.body.contains(word), "{told:?}");
        }
    }
}

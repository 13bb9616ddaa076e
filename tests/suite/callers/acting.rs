//! A chat service that acts for people: with their rights and budgets, never beyond its own.

use super::*;

/// A service with a key `chat`, which signs for whom it acts, and may say so from `sources`.
fn service(provider: &Provider, service: &Signer, sources: &str) -> Settings {
    acme(provider)
        .model("other", &[MODEL])
        .and("User", "gone", json!({ "active": false }))
        .and("User", "twin", json!({ "email": "bob@example.com" }))
        .and(
            "ServiceAccount",
            "chat",
            json!({ "act_for": {
                "keys": [service.pem()], "header": true, "sources": [sources],
            } }),
        )
        .and("ServiceAccount", "plain", json!({}))
        .and(
            "Key",
            "chat-key",
            json!({
                "project": "main", "owner": { "service_account": "chat" }, "models": ["m"],
            }),
        )
        .and(
            "Key",
            "plain-key",
            json!({
                "project": "main", "owner": { "service_account": "plain" },
            }),
        )
        .budget("ada's", &json!({ "user": "ada" }), "0.000001")
        .budget("chat's", &json!({ "service_account": "chat" }), "10")
}

fn assertion(subject: &str) -> Value {
    let now = now_secs();
    json!({
        "iss": "chat", "sub": subject, "aud": "penstock", "iat": now, "exp": now + 120,
    })
}

#[tokio::test]
async fn a_service_acts_for_two_people_with_different_rights_and_budgets() {
    let (provider, signer) = (Provider::start(), Signer::new("chat"));
    let house = open(service(&provider, &signer, "127.0.0.0/8")).await;
    let key = house.key("chat-key").to_owned();
    let for_ = async |subject: &str| {
        let assertion = signer.token(&assertion(subject));
        chat(&house, &key, &[("x-penstock-act-for", &assertion)]).await
    };

    assert_eq!(for_("bob").await.status, 200);
    let ada = for_("ada@example.com").await;
    assert_eq!(ada.status, 429, "her own budget is used up");
    assert_eq!(ada.json().await.text("error.code"), "budget_exhausted");
    let ids = ids(&house).await;
    assert_eq!(for_(&ids["bob"]).await.status, 200);
    for (who, why) in [
        ("vera", "may send no prompts"),
        ("gone", "is inactive"),
        ("boss", "is in no project"),
        ("bob@example.com", "is two people"),
        ("nobody", "is nobody"),
    ] {
        let answer = for_(who).await;
        assert_eq!(answer.status, 403, "{who} {why}");
        assert_eq!(answer.json().await.text("error.code"), "permission_denied");
    }
    assert_eq!(chat(&house, &key, &[]).await.status, 200, "as itself");

    let rows = rows_of(&house, "bob", 2).await;
    for row in &rows {
        assert_eq!(row.text("acted_for"), ids["bob"]);
        assert_eq!(row.text("key"), ids["chat-key"]);
    }
    let own = rows_of(&house, "chat", 1).await;
    assert_eq!(own[0]["acted_for"], Value::Null);
}

#[tokio::test]
async fn the_service_lends_nobody_a_model_that_it_has_not() {
    let (provider, signer) = (Provider::start(), Signer::new("chat"));
    let house = open(service(&provider, &signer, "127.0.0.0/8")).await;
    let key = house.key("chat-key").to_owned();
    let assertion = signer.token(&assertion("bob"));

    let other = chat_about(
        &house,
        &key,
        &[("x-penstock-act-for", &assertion)],
        json!({ "model": "other" }),
    )
    .await;

    assert_eq!(other.status, 404);
}

#[tokio::test]
async fn forged_expired_and_foreign_assertions_are_refused() {
    let (provider, signer) = (Provider::start(), Signer::new("chat"));
    let house = open(service(&provider, &signer, "127.0.0.0/8")).await;
    let (key, now) = (house.key("chat-key").to_owned(), now_secs());
    let changed = |name: &str, value: Value| signer.token(&with(assertion("bob"), name, value));
    let none = json!({ "alg": "none" });
    let rows = [
        ("another's signature", Signer::new("chat").token(&assertion("bob"))),
        ("no signature", format!("{}.", provider::message(&none, &assertion("bob")))),
        ("expired", changed("exp", json!(now - 60))),
        ("good for an hour", changed("exp", json!(now + 3600))),
        ("without a beginning", changed("iat", Value::Null)),
        ("for somebody else", changed("aud", json!("others"))),
        ("of another service", changed("iss", json!("plain"))),
        ("of nobody", changed("sub", Value::Null)),
        ("the provider's token", signer.token(&claims(&provider, "bob"))),
    ];
    for (what, assertion) in rows {
        let answer = chat(&house, &key, &[("x-penstock-act-for", &assertion)]).await;
        assert_eq!(answer.status, 403, "{what}");
    }
    let good = signer.token(&assertion("bob"));
    let plain = house.key("plain-key").to_owned();
    let borrowed = chat(&house, &plain, &[("x-penstock-act-for", &good)]).await;
    assert_eq!(borrowed.status, 403, "a key that may act for nobody");
    let ada = house.key("ada-key").to_owned();
    let person = chat(&house, &ada, &[("x-penstock-act-for", &good)]).await;
    assert_eq!(person.status, 403, "a person's key");
    let twice = [("x-penstock-act-for", good.as_str()), ("x-penstock-act-for", "bob")];
    assert_eq!(chat(&house, &key, &twice).await.status, 403);
}

#[tokio::test]
async fn a_bare_header_is_believed_only_from_the_services_own_network() {
    let (provider, signer) = (Provider::start(), Signer::new("chat"));
    let near = open(service(&provider, &signer, "127.0.0.0/8")).await;
    let far = open(service(&provider, &signer, "192.0.2.0/24")).await;
    let header = [("x-penstock-act-for", "bob")];

    let key = near.key("chat-key").to_owned();
    assert_eq!(chat(&near, &key, &header).await.status, 200);
    let key = far.key("chat-key").to_owned();
    assert_eq!(chat(&far, &key, &header).await.status, 403);
    assert_eq!(chat_about(&far, &key, &[], json!({ "user": "ada" })).await.status, 200);
    let own = rows_of(&far, "chat", 1).await;
    assert_eq!(own[0]["acted_for"], Value::Null, "what a body says of a user is no identity");
}

//! Tokens of an org's identity provider: who is let in, and what is only ever the same 401.

use super::*;
use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::{StreamExt, stream};
use tokio::time::Instant;

#[tokio::test]
async fn a_providers_token_calls_models_as_its_person() {
    let provider = Provider::start();
    let signer = signer(&provider, "a");
    let house = open(acme(&provider)).await;
    let token = signer.token(&claims(&provider, "ada"));

    for _ in 0..3 {
        assert_eq!(chat(&house, &token, &[]).await.status, 200);
    }

    let rows = rows_of(&house, "ada", 3).await;
    assert_eq!(rows.len(), 3);
    assert_eq!(provider.key_fetches(), 1, "a known token costs no question");
    let list = house.client.send(get(&house, "/v1/models", &token)).await.json().await;
    assert_eq!(list.list("data").len(), 1);
}

fn get(
    house: &House,
    path: &str,
    credential: &str,
) -> http::Request<http_body_util::Full<bytes::Bytes>> {
    let bearer = format!("Bearer {credential}");
    let headers = [("authorization", bearer.as_str())];
    client::build(Method::GET, &format!("{}{path}", house.url()), &headers, "".into())
}

#[tokio::test]
async fn a_request_names_its_project_where_there_are_several() {
    let provider = Provider::start();
    let signer = signer(&provider, "a");
    let members = [json!({ "who": { "user": "ada" }, "role": "developer" })];
    let settings = acme(&provider).and("Project", "side", json!({ "members": members }));
    let house = open(settings).await;
    let token = signer.token(&claims(&provider, "ada"));

    let open = chat(&house, &token, &[]).await;
    assert_eq!(open.status, 400);
    let told = open.text().await;
    assert!(told.contains("main") && told.contains("side"), "{told}");
    for (name, status) in [("side", 200), ("main", 200), ("nowhere", 403)] {
        let answer = chat(&house, &token, &[("openai-project", name)]).await;
        assert_eq!(answer.status, status, "{name}");
    }
    let vera = chat(&house, &signer.token(&claims(&provider, "vera")), &[]).await;
    assert_eq!(vera.status, 403, "a viewer sends no prompts");
}

#[tokio::test]
async fn forged_and_foreign_tokens_are_all_the_same_401() {
    let provider = Provider::start();
    let (signer, thief) = (signer(&provider, "a"), Signer::new("a"));
    let house = open(acme(&provider)).await;
    let (ada, now) = (claims(&provider, "ada"), now_secs());
    assert_eq!(chat(&house, &signer.token(&ada), &[]).await.status, 200);
    let unsigned =
        |alg: &str| format!("{}.", provider::message(&json!({ "alg": alg, "kid": "a" }), &ada));
    let message = provider::message(&json!({ "alg": "HS256", "kid": "a" }), &ada);
    let secret = hmac::Key::new(hmac::HMAC_SHA256, &signer.public_key());
    let tag = URL_SAFE_NO_PAD.encode(hmac::sign(&secret, message.as_bytes()));
    let with_head = |name: &str, value: Value| {
        let mut head = thief.head();
        head[name] = value;
        thief.sign(&head, &ada)
    };
    let good = |name: &str, value: Value| signer.token(&with(ada.clone(), name, value));
    let rows = [
        ("none", unsigned("none")),
        ("NoNe", unsigned("NoNe")),
        ("the public key as a secret", format!("{message}.{tag}")),
        ("a thief's key", thief.token(&ada)),
        ("an embedded key", with_head("jwk", thief.jwk())),
        ("an address of keys", with_head("jku", json!(format!("{}/keys", provider.issuer())))),
        ("a foreign issuer", good("iss", json!("https://elsewhere.example.com"))),
        ("our own name as issuer", good("iss", json!("penstock"))),
        ("a foreign audience", good("aud", json!("others"))),
        ("no audience", good("aud", Value::Null)),
        ("expired", good("exp", json!(now - 10))),
        ("no end", good("exp", Value::Null)),
        ("not yet", good("nbf", json!(now + 60))),
        ("issued tomorrow", good("iat", json!(now + 86_400))),
        ("nobody", good("sub", json!("nobody"))),
        ("no subject", good("sub", Value::Null)),
        ("huge", good("pad", json!("x".repeat(20_000)))),
        ("garbage", "eyJh.eyJh.eyJh".to_owned()),
    ];
    let mut bodies = Vec::new();
    for (what, token) in rows {
        let answer = chat(&house, &token, &[]).await;
        assert_eq!(answer.status, 401, "{what}");
        bodies.push(answer.text().await);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    let vast = good("pad", json!("x".repeat(100_000)));
    let status = chat(&house, &vast, &[]).await.status;
    assert!(status == 401 || status == 431, "{status}");
    assert_eq!(chat(&house, &good("exp", json!(now - 2)), &[]).await.status, 200, "clocks differ");
}

#[tokio::test]
async fn two_orgs_with_one_issuer_are_told_apart() {
    let provider = Provider::start();
    let signer = signer(&provider, "a");
    let globex = Settings::of("globex")
        .model("m", &[MODEL])
        .and(
            "User",
            "ada",
            json!({ "identities": [{ "issuer": provider.issuer(), "subject": "ada" }] }),
        )
        .and(
            "Project",
            "main",
            json!({ "members": [{ "who": { "user": "ada" }, "role": "developer" }] }),
        )
        .and(
            "IdentityProvider",
            "company",
            json!({
                "issuer": provider.issuer(), "client_id": "globex", "audiences": ["models"],
                "call_models": true,
            }),
        );
    let house = open(acme(&provider).with(globex)).await;
    let token = signer.token(&claims(&provider, "ada"));

    assert_eq!(chat(&house, &token, &[]).await.status, 400, "both know her");
    for (org, status) in [("acme", 200), ("globex", 200), ("initech", 401)] {
        for header in ["openai-organization", "x-penstock-org"] {
            let answer = chat(&house, &token, &[(header, org)]).await;
            assert_eq!(answer.status, status, "{header}: {org}");
        }
    }
    let both = [("openai-organization", "acme"), ("x-penstock-org", "globex")];
    assert_eq!(chat(&house, &token, &both).await.status, 403, "two are named");
    let bob = signer.token(&claims(&provider, "bob"));
    assert_eq!(chat(&house, &bob, &[]).await.status, 400, "who knows him is not for us to guess");
    assert_eq!(chat(&house, &bob, &[("openai-organization", "acme")]).await.status, 200);
    let thief = Signer::new("a").token(&claims(&provider, "bob"));
    assert_eq!(chat(&house, &thief, &[]).await.status, 401, "a forged one is told nothing");
    the_audience_names_the_org(&house, &signer, claims(&provider, "bob")).await;
}

/// A token that is made out to an org by its id needs no header, and is no other org's.
async fn the_audience_names_the_org(house: &House, signer: &Signer, bob: Value) {
    let org = admin(house, Method::GET, "/admin/v1/org", Value::Null).await;
    let addressed = format!("penstock:{}", org.text("id"));
    let list = admin(house, Method::GET, "/admin/v1/identity_providers", Value::Null).await;
    let path = format!("/admin/v1/identity_providers/{}", list.text("data.0.id"));
    let audiences = json!({ "audiences": ["models", addressed] });
    admin(house, Method::PATCH, &path, audiences).await;

    let token = signer.token(&with(bob.clone(), "aud", json!(addressed)));
    until_status(house, &token, &[], 200).await;
    let anothers = json!([format!("penstock:org_{}", "0".repeat(32)), "models"]);
    let anothers = signer.token(&with(bob, "aud", anothers));
    assert_eq!(chat(house, &anothers, &[]).await.status, 400);
}

/// Requests of the flood that are under way at once.
const AT_ONCE: usize = 64;

#[tokio::test]
async fn ten_thousand_random_kids_cost_one_fetch_in_ten_seconds() {
    let provider = Provider::start();
    let signer = signer(&provider, "a");
    let house = open(acme(&provider)).await;
    let (ada, token) = (claims(&provider, "ada"), signer.token(&claims(&provider, "ada")));
    assert_eq!(chat(&house, &token, &[]).await.status, 200);
    let (before, begin) = (provider.key_fetches(), Instant::now());

    let flood = stream::iter(0..10_000).map(|at| {
        let (house, signer, ada) = (&house, &signer, &ada);
        async move {
            let head = json!({ "alg": "EdDSA", "kid": format!("random {at}") });
            let request = get(house, "/v1/models", &signer.sign(&head, ada));
            let answer = house.client.send(request).await;
            let status = answer.status.as_u16();
            answer.bytes().await;
            status
        }
    });
    let statuses: Vec<u16> = flood.buffer_unordered(AT_ONCE).collect().await;

    assert!(statuses.iter().all(|status| matches!(status, 401 | 429)));
    let (fetches, secs) = (provider.key_fetches() - before, begin.elapsed().as_secs());
    println!("10,000 unknown kids in {secs} s: {fetches} fetches");
    assert!(u64::try_from(fetches).unwrap() <= 1 + secs / 10, "{fetches} in {secs} s");
    assert_eq!(chat(&house, &token, &[]).await.status, 200);
    let fresh = signer.token(&with(ada, "jti", json!("fresh")));
    assert_eq!(chat(&house, &fresh, &[]).await.status, 200, "a known key, another token");
}

#[tokio::test]
async fn a_provider_that_is_away_locks_nobody_out_and_new_keys_are_found() {
    let provider = Provider::start();
    let old = signer(&provider, "old");
    let house = open(acme(&provider)).await;
    let by = |signer: &Signer, jti: &str| {
        signer.token(&with(claims(&provider, "ada"), "jti", json!(jti)))
    };
    assert_eq!(chat(&house, &by(&old, "1"), &[]).await.status, 200);

    provider.be_away(true);
    let new = Signer::new("new");
    assert_eq!(chat(&house, &by(&new, "2"), &[]).await.status, 401);
    assert_eq!(chat(&house, &by(&old, "3"), &[]).await.status, 200);

    provider.publish(vec![old.jwk(), new.jwk()]);
    provider.be_away(false);
    until_status(&house, &by(&new, "4"), &[], 200).await;
    assert_eq!(chat(&house, &by(&old, "5"), &[]).await.status, 200);
}

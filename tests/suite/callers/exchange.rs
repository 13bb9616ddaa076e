//! Tokens of a platform, or of a person's provider, for credentials of ours.

use super::*;

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";

async fn post(house: &House, form: &[(&str, &str)]) -> Answer {
    let mut body = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in form {
        body.append_pair(name, value);
    }
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let url = format!("{}/v1/penstock/token", house.url());
    house.client.send(client::build(Method::POST, &url, &headers, body.finish().into())).await
}

async fn exchange(house: &House, token: &str, kind: &str) -> Answer {
    let form = [("grant_type", EXCHANGE), ("subject_token", token), ("subject_token_type", kind)];
    post(house, &form).await
}

fn with_workload(provider: &Provider) -> Settings {
    let claims = json!({ "sub": "repo:acme/app:*", "environment": "production" });
    acme(provider)
        .and("ServiceAccount", "deployer", json!({}))
        .and(
            "WorkloadIdentity",
            "builds",
            json!({
                "issuer": provider.issuer(), "audience": "penstock-ci", "claims": claims,
                "service_account": "deployer", "project": "main", "minutes": 7,
            }),
        )
        .and(
            "Project",
            "main",
            json!({ "members": [
            { "who": { "service_account": "deployer" }, "role": "developer" },
            { "who": { "user": "ada" }, "role": "developer" },
        ] }),
        )
}

fn job(provider: &Provider) -> Value {
    let job =
        with(claims(provider, "repo:acme/app:ref:refs/heads/main"), "aud", json!("penstock-ci"));
    with(job, "environment", json!("production"))
}

#[tokio::test]
async fn a_build_trades_its_platforms_token_for_a_short_credential() {
    let provider = Provider::start();
    let signer = signer(&provider, "a");
    let house = open(with_workload(&provider)).await;

    let answer = exchange(&house, &signer.token(&job(&provider)), JWT).await;

    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let told = answer.json().await;
    assert_eq!((told.text("token_type"), &told["expires_in"]), ("Bearer", &json!(420)));
    let credential = told.text("access_token").to_owned();
    assert_eq!(chat(&house, &credential, &[]).await.status, 200);
    assert_eq!(chat(&house, &credential, &[("openai-project", "side")]).await.status, 403);
    assert_eq!(rows_of(&house, "deployer", 1).await.len(), 1);

    let bad = [
        ("another repository", with(job(&provider), "sub", json!("repo:evil/app:x"))),
        ("another environment", with(job(&provider), "environment", json!("test"))),
        ("no environment", with(job(&provider), "environment", Value::Null)),
        ("another audience", with(job(&provider), "aud", json!("others"))),
        ("expired", with(job(&provider), "exp", json!(now_secs() - 120))),
    ];
    for (what, claims) in bad {
        let answer = exchange(&house, &signer.token(&claims), JWT).await;
        assert_eq!(answer.status, 400, "{what}");
        assert_eq!(answer.json().await.text("error"), "invalid_request", "{what}");
    }
    let direct = chat(&house, &signer.token(&job(&provider)), &[]).await;
    assert_eq!(direct.status, 401, "the platform's own token calls nothing");

    house_without_rule(&house, &provider, &credential).await;
}

/// Without the rule, what was given by it is worth nothing.
async fn house_without_rule(house: &House, provider: &Provider, credential: &str) {
    let list = admin(house, Method::GET, "/admin/v1/workload_identities", Value::Null).await;
    let id = list.list("data")[0].text("id").to_owned();
    admin(house, Method::DELETE, &format!("/admin/v1/workload_identities/{id}"), Value::Null).await;
    until_status(house, credential, &[], 401).await;
    assert!(provider.key_fetches() <= 2);
}

#[tokio::test]
async fn a_new_person_becomes_a_user_at_the_exchange_and_not_before() {
    let provider = Provider::start();
    let signer = signer(&provider, "a");
    let members = [json!({ "who": { "group": "staff" }, "role": "developer" })];
    let settings = acme(&provider).and("Group", "staff", json!({ "claim": "staff" })).and(
        "Project",
        "main",
        json!({ "members": members }),
    );
    let house = open(settings).await;
    let said = json!({ "email": "eve@example.com", "email_verified": true, "groups": ["staff"] });
    let eve = tests::house::merged(claims(&provider, "eve"), said);
    let id_token = signer.token(&with(eve, "aud", json!("penstock-cli")));

    assert_eq!(chat(&house, &id_token, &[]).await.status, 401, "nobody here knows her");
    let for_models = signer.token(&claims(&provider, "ada"));
    let longer = exchange(&house, &for_models, JWT).await;
    assert_eq!(longer.status, 400, "a token for calling models does not outlive itself");
    let told = exchange(&house, &id_token, ID_TOKEN).await.json().await;
    assert_eq!(told["expires_in"], json!(12 * 3600), "{told}");
    let credential = told.text("access_token").to_owned();
    assert_eq!(chat(&house, &credential, &[]).await.status, 200, "by her group");

    let users = admin(&house, Method::GET, "/admin/v1/users", Value::Null).await;
    let users = users.list("data").to_vec();
    let eve = users.iter().find(|it| it.text("email") == "eve@example.com").unwrap();
    let path = format!("/admin/v1/users/{}", eve.text("id"));
    admin(&house, Method::PATCH, &path, json!({ "active": false })).await;
    until_status(&house, &credential, &[], 401).await;
    let again = exchange(&house, &id_token, ID_TOKEN).await;
    assert_eq!(again.status, 400, "an inactive person gets nothing new");
}

#[tokio::test]
async fn credentials_from_before_a_moment_are_refused() {
    let provider = Provider::start();
    let signer = signer(&provider, "a");
    let house = open(acme(&provider)).await;
    let id_token = signer.token(&with(claims(&provider, "ada"), "aud", json!("penstock-cli")));
    let told = exchange(&house, &id_token, ID_TOKEN).await.json().await;
    let credential = told.text("access_token").to_owned();
    assert_eq!(chat(&house, &credential, &[]).await.status, 200);

    let path = format!("/admin/v1/users/{}/revoke", ids(&house).await["ada"]);
    admin(&house, Method::POST, &path, Value::Null).await;

    until_status(&house, &credential, &[], 401).await;
    assert_eq!(chat(&house, &id_token, &[]).await.status, 401, "and so are the provider's");
}

#[tokio::test]
async fn another_orgs_rule_neither_takes_a_token_nor_keeps_it_from_being_taken() {
    let provider = Provider::start();
    let signer = signer(&provider, "a");
    let rule = json!({
        "issuer": provider.issuer(), "audience": "penstock-ci", "claims": { "sub": "repo:*" },
        "service_account": "thief", "project": "main",
    });
    let globex = Settings::of("globex").and("ServiceAccount", "thief", json!({})).and(
        "WorkloadIdentity",
        "all",
        rule,
    );
    let house = open(with_workload(&provider).with(globex)).await;
    let token = signer.token(&job(&provider));
    let form = [("grant_type", EXCHANGE), ("subject_token", &token), ("subject_token_type", JWT)];

    let open = post(&house, &form).await;
    assert_eq!(open.status, 400);
    let told = open.json().await;
    assert!(told.text("error_description").contains("name yours in `org`"), "{told}");
    let named = post(&house, &[&form[..], &[("org", "acme")]].concat()).await;
    assert_eq!(named.status, 200);
    let credential = named.json().await.text("access_token").to_owned();
    assert_eq!(chat(&house, &credential, &[("openai-organization", "acme")]).await.status, 200);

    let org = admin(&house, Method::GET, "/admin/v1/org", Value::Null).await;
    let addressed = format!("penstock:{}", org.text("id"));
    let path = "/admin/v1/workload_identities";
    let list = admin(&house, Method::GET, path, Value::Null).await;
    let path = format!("{path}/{}", list.text("data.0.id"));
    admin(&house, Method::PATCH, &path, json!({ "audience": addressed })).await;
    until_status(&house, &credential, &[], 401).await;
    let token = signer.token(&with(job(&provider), "aud", json!(addressed)));
    assert_eq!(exchange(&house, &token, JWT).await.status, 200, "its audience is acme alone");
}

#[tokio::test]
async fn a_credential_ends_with_what_it_stands_on() {
    let provider = Provider::start();
    let signer = signer(&provider, "a");
    let house = open(with_workload(&provider)).await;
    let id_token = signer.token(&with(claims(&provider, "ada"), "aud", json!("penstock-cli")));
    let given = async |token: &str, kind: &str| {
        let told = exchange(&house, token, kind).await.json().await;
        let credential = told.text("access_token").to_owned();
        until_status(&house, &credential, &[], 200).await;
        credential
    };
    let path = "/admin/v1/identity_providers";
    let list = admin(&house, Method::GET, path, Value::Null).await;
    let path = format!("{path}/{}", list.text("data.0.id"));
    for (off, on) in [
        (json!({ "sign_in": false }), json!({ "sign_in": true })),
        (json!({ "active": false }), json!({ "active": true })),
        (json!({ "issuer": "https://elsewhere.example" }), json!({ "issuer": provider.issuer() })),
    ] {
        let credential = given(&id_token, ID_TOKEN).await;
        admin(&house, Method::PATCH, &path, off.clone()).await;
        until_status(&house, &credential, &[], 401).await;
        admin(&house, Method::PATCH, &path, on).await;
        until_status(&house, &credential, &[], 200).await;
    }

    let credential = given(&id_token, ID_TOKEN).await;
    let ada = format!("/admin/v1/users/{}", ids(&house).await["ada"]);
    admin(&house, Method::PATCH, &ada, json!({ "identities": [] })).await;
    until_status(&house, &credential, &[], 401).await;

    let credential = given(&signer.token(&job(&provider)), JWT).await;
    let path = "/admin/v1/workload_identities";
    let list = admin(&house, Method::GET, path, Value::Null).await;
    let path = format!("{path}/{}", list.text("data.0.id"));
    let tighter = json!({ "claims": { "sub": "repo:acme/app:ref:refs/heads/release" } });
    admin(&house, Method::PATCH, &path, tighter).await;
    until_status(&house, &credential, &[], 401).await;
}

#[tokio::test]
async fn an_address_that_guesses_is_not_heard_before_its_token_is_looked_at() {
    let provider = Provider::start();
    let signer = signer(&provider, "a");
    let house = open(with_workload(&provider)).await;
    let forged = Signer::new("a").token(&job(&provider));
    let mut last = 0;
    for _ in 0..200 {
        last = exchange(&house, &forged, JWT).await.status.as_u16();
        if last == 429 {
            break;
        }
    }

    assert_eq!(last, 429);
    let good = exchange(&house, &signer.token(&job(&provider)), JWT).await;
    assert!(matches!(good.status.as_u16(), 200 | 429), "{}", good.status);
    let key = house.key("ada-key").to_owned();
    assert_eq!(chat(&house, &key, &[]).await.status, 200, "a key is let in from anywhere");
}

#[tokio::test]
async fn requests_that_are_no_exchange_are_told_so() {
    let provider = Provider::start();
    let signer = signer(&provider, "a");
    let house = open(with_workload(&provider)).await;
    let token = signer.token(&job(&provider));
    let rows: [(&[(&str, &str)], &str); 6] = [
        (&[], "unsupported_grant_type"),
        (&[("grant_type", "password")], "unsupported_grant_type"),
        (&[("grant_type", EXCHANGE)], "invalid_request"),
        (&[("grant_type", EXCHANGE), ("subject_token", &token)], "invalid_request"),
        (
            &[
                ("grant_type", EXCHANGE),
                ("subject_token", &token),
                ("subject_token", &token),
                ("subject_token_type", JWT),
            ],
            "invalid_request",
        ),
        (
            &[
                ("grant_type", EXCHANGE),
                ("subject_token", &token),
                ("subject_token_type", JWT),
                ("org", "globex"),
            ],
            "invalid_request",
        ),
    ];
    for (form, error) in rows {
        let answer = post(&house, form).await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.json().await.text("error"), error, "{form:?}");
    }
}

#[tokio::test]
async fn the_settings_of_signing_in_tell_nothing_of_other_orgs() {
    let provider = Provider::start();
    let house = open(acme(&provider).with(Settings::of("globex"))).await;
    let login = async |query: &str| {
        let url = format!("{}/v1/penstock/login{query}", house.url());
        let answer = house.client.get(&url).await;
        (answer.status.as_u16(), answer.text().await)
    };

    let (status, told) = login("?org=acme").await;
    assert_eq!(status, 200);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told.text("client_id"), "penstock-cli");
    let absent = login("?org=nowhere").await;
    assert_eq!(absent.0, 404);
    for query in ["?org=globex", "", "?org="] {
        assert_eq!(login(query).await, absent, "{query}");
    }
}

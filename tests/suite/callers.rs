//! Who may call models with something else than a key: tokens, credentials, services that act for
//! people, and what becomes of all of them when they are revoked.

mod acting;
mod certified;
mod command_line;
mod end_users;
mod exchange;
mod provider;
mod revocation;
mod tokens;

use self::provider::{Provider, Signer};
use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tests::{
    client::{self, Answer},
    house::{House, Plan, chat_body},
    json::At,
    settings::Settings,
    wait::{self, SOON},
};

const MODEL: &str = "sim-economy-out4-delay0-gap0";

/// An org with people whom a provider knows, members of the project `main`.
fn acme(provider: &Provider) -> Settings {
    let member = |name: &str, role: &str| json!({ "who": { "user": name }, "role": role });
    let user = |name: &str| {
        let identity = json!({ "issuer": provider.issuer(), "subject": name });
        json!({ "email": format!("{name}@example.com"), "identities": [identity] })
    };
    let members =
        [member("ada", "developer"), member("bob", "developer"), member("vera", "viewer")];
    Settings::of("acme")
        .model("m", &[MODEL])
        .and("User", "ada", user("ada"))
        .and("User", "bob", user("bob"))
        .and("User", "vera", user("vera"))
        .and("Project", "main", json!({ "members": members }))
        .and("User", "boss", json!({ "roles": ["owner"] }))
        .and("AdminKey", "boss", json!({ "owner": { "user": "boss" } }))
        .and(
            "IdentityProvider",
            "company",
            json!({
                "issuer": provider.issuer(), "client_id": "penstock",
                "cli_client_id": "penstock-cli", "audiences": ["models"],
                "call_models": true, "create_users": true, "skew_secs": 5,
            }),
        )
        .key("ada-key")
}

async fn open(settings: Settings) -> House {
    plan(settings).open().await
}

fn plan(settings: Settings) -> Plan {
    Plan::new(settings).with("identity", "private_networks", "true")
}

/// A chat request with this credential, and further headers.
async fn chat(house: &House, credential: &str, headers: &[(&str, &str)]) -> Answer {
    chat_about(house, credential, headers, json!({})).await
}

async fn chat_about(
    house: &House,
    credential: &str,
    headers: &[(&str, &str)],
    fields: Value,
) -> Answer {
    let bearer = format!("Bearer {credential}");
    let mut all = vec![("authorization", bearer.as_str()), ("content-type", "application/json")];
    all.extend_from_slice(headers);
    let url = format!("{}/v1/chat/completions", house.url());
    let body = chat_body("m", fields).to_string();
    house.client.send(client::build(Method::POST, &url, &all, body.into())).await
}

/// The usage rows of `acme`, by the principal's name.
async fn rows_of(house: &House, principal: &str, enough: usize) -> Vec<Value> {
    let ids = ids(house).await;
    let id = ids.get(principal).cloned().unwrap_or_default();
    let is_theirs = |row: &Value| row.text("principal") == id;
    let what = format!("{enough} rows of {principal}");
    let rows = house
        .usage_once("acme", &what, |rows| {
            enough <= rows.iter().filter(|row| is_theirs(row)).count()
        })
        .await;
    rows.into_iter().filter(|row| is_theirs(row)).collect()
}

/// The ids of the org's users, service accounts and keys, by name.
async fn ids(house: &House) -> BTreeMap<String, String> {
    let mut ids = BTreeMap::new();
    for kind in ["users", "service_accounts", "keys"] {
        let list = admin(house, Method::GET, &format!("/admin/v1/{kind}"), Value::Null).await;
        for object in list.list("data") {
            ids.insert(object.text("name").to_owned(), object.text("id").to_owned());
        }
    }
    ids
}

/// A request of the owner `boss`, which must succeed.
async fn admin(house: &House, method: Method, path: &str, body: Value) -> Value {
    let url = format!("{}{path}", house.admin_url());
    let bearer = format!("Bearer {}", house.key("boss"));
    let kind =
        if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
    let headers = [("authorization", bearer.as_str()), ("content-type", kind)];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = house.client.send(client::build(method, &url, &headers, body.into())).await;
    let status = answer.status;
    let text = answer.text().await;
    assert!(status.is_success(), "{path}: {status} {text}");
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

/// Waits until the gateway answers this credential with `status`.
async fn until_status(house: &House, credential: &str, headers: &[(&str, &str)], status: u16) {
    wait::until(SOON, "another answer", || async {
        let now = chat(house, credential, headers).await.status;
        if now == status { Ok(()) } else { Err(now.to_string()) }
    })
    .await;
}

fn now_secs() -> i64 {
    store::clock::now().0 / 1000
}

/// What the provider's tokens say of somebody.
fn claims(provider: &Provider, subject: &str) -> Value {
    let now = now_secs();
    json!({
        "iss": provider.issuer(), "sub": subject, "aud": "models", "iat": now, "exp": now + 300,
    })
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

/// A signer of the provider, with its key published.
fn signer(provider: &Provider, kid: &str) -> Signer {
    let signer = Signer::new(kid);
    provider.publish(vec![signer.jwk()]);
    signer
}

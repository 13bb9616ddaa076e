//! Directories provision people and groups: requests as Okta and Entra send them, replayed.

mod entra;
mod leaving;
mod okta;
mod rules;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tests::{client, house::House, settings::Settings};

const MODEL: &str = "sim-economy-out4-delay0-gap0";
const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// An org with an owner `boss`, a caller `ada`, and a key `scim` for its directory.
fn org(name: &str) -> Settings {
    let admin = |owner: Value| json!({ "owner": owner });
    Settings::of(name)
        .model(&format!("{name}-model"), &[MODEL])
        .key(&format!("{name}-ada"))
        .and("User", "boss", json!({ "roles": ["owner"] }))
        .and("ServiceAccount", "directory", json!({ "roles": ["provisioner"] }))
        .and("AdminKey", &format!("{name}-boss"), admin(json!({ "user": "boss" })))
        .and("AdminKey", &format!("{name}-scim"), admin(json!({ "service_account": "directory" })))
}

/// What came back: JSON, or null where there was no body.
struct Told {
    status: StatusCode,
    location: Option<String>,
    body: Value,
}

async fn ask(house: &House, key: &str, method: &str, path: &str, body: Value) -> Told {
    let url = format!("{}{path}", house.admin_url());
    let bearer = format!("Bearer {}", house.key(key));
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/scim+json")];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let method: Method = method.parse().unwrap();
    let answer = house.client.send(client::build(method, &url, &headers, body.into())).await;
    let location = answer.header("location").map(str::to_owned);
    let (status, kind) = (answer.status, answer.header("content-type").map(str::to_owned));
    let text = answer.text().await;
    if text.is_empty() {
        assert_eq!(status, StatusCode::NO_CONTENT);
        return Told { status, location, body: Value::Null };
    }
    if path.starts_with("/scim/") {
        assert_eq!(kind.as_deref(), Some("application/scim+json"), "{text}");
    }
    let body = serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON: {text}"));
    Told { status, location, body }
}

/// A request of the directory of `acme`, which must succeed.
async fn scim(house: &House, method: &str, path: &str, body: Value) -> Told {
    let told = ask(house, "acme-scim", method, &format!("/scim/v2{path}"), body).await;
    assert!(told.status.is_success(), "{method} {path}: {} {}", told.status, told.body);
    told
}

#[expect(clippy::needless_pass_by_value, reason = "written where it is used, and used once")]
fn changes(operations: Value) -> Value {
    json!({ "schemas": [PATCH], "Operations": operations })
}

/// `text` as part of a query.
fn encoded(text: &str) -> String {
    let piece = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(piece).collect()
}

async fn found(house: &House, kind: &str, filter: &str) -> Value {
    let path = format!("/{kind}?filter={}&startIndex=1&count=100", encoded(filter));
    scim(house, "GET", &path, Value::Null).await.body
}

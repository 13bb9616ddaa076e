//! Nothing of one tenant is visible to another, and no secret is written anywhere.

use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tests::{
    client,
    house::{House, Plan},
    json::At,
    settings::{Settings, worked_in_by},
    wire::Wire,
};

const MODEL: &str = "sim-economy-out4-delay0-gap0";
const ACME_CANARY: &str = "canary-acme-7f3e9";
const GLOBEX_CANARY: &str = "canary-globex-c41d8";

#[tokio::test]
async fn a_key_reaches_only_what_is_its_own_orgs() {
    let house = two().await;

    for (key, own, foreign) in
        [("acme-key", "acme-only", "globex-only"), ("globex-key", "globex-only", "acme-only")]
    {
        let list = house.get(key, "/v1/models").await.json().await;
        let names: Vec<&str> = list.list("data").iter().map(|model| model.text("id")).collect();
        assert!(names.contains(&own) && !names.contains(&foreign), "{names:?}");
        assert_eq!(house.chat(key, own, json!({})).await.status, 200);
        let there = house.chat(key, foreign, json!({})).await;
        let nowhere = house.chat(key, "not-anywhere", json!({})).await;
        assert_eq!(there.status, 404);
        assert_eq!(there.status, nowhere.status);
        let text = there.text().await.replace(foreign, "X");
        assert_eq!(text, nowhere.text().await.replace("not-anywhere", "X"));
        assert_eq!(house.get(key, &format!("/v1/models/{foreign}")).await.status, 404);
    }
}

#[tokio::test]
async fn another_tenants_request_cannot_be_told_from_one_that_never_was() {
    let house = two().await;
    let answer = house.chat("acme-key", "acme-only", json!({})).await;
    let id = answer.request_id();
    answer.bytes().await;
    house.request_view("acme-key", &id).await;

    let foreign = house.get("globex-key", &format!("/v1/penstock/requests/{id}")).await;
    let digit = if id.ends_with('0') { "1" } else { "0" };
    let unknown = format!("{}{digit}", &id[..id.len() - 1]);
    let never = house.get("globex-key", &format!("/v1/penstock/requests/{unknown}")).await;

    assert_eq!((foreign.status.as_u16(), never.status.as_u16()), (404, 404));
    let foreign = foreign.text().await.replace(&id, "X");
    assert_eq!(foreign, never.text().await.replace(&unknown, "X"));
}

#[tokio::test]
async fn another_projects_request_of_the_same_org_is_not_shown_either() {
    let house = two().await;
    let answer = house.chat("acme-key", "acme-only", json!({})).await;
    let id = answer.request_id();
    answer.bytes().await;
    house.request_view("acme-key", &id).await;

    let other = house.get("acme-side-key", &format!("/v1/penstock/requests/{id}")).await;

    assert_eq!(other.status, 404);
}

#[tokio::test]
async fn prompts_and_keys_are_in_no_log_error_export_or_file() {
    let mut house = two().await;
    let mut told = Vec::new();

    for (key, model, canary) in
        [("acme-key", "acme-only", ACME_CANARY), ("globex-key", "globex-only", GLOBEX_CANARY)]
    {
        told.extend(everything_that_can_be_answered(&house, key, model, canary).await);
    }
    let secrets: Vec<String> = house.keys().map(|(_, secret)| secret.clone()).collect();
    assert!(house.terminate().await.success());
    let acme = serde_json::to_string(&house.usage("acme").await).unwrap();
    let globex = serde_json::to_string(&house.usage("globex").await).unwrap();
    let config = house.run(&["export-config", "--config", "penstock.toml"]).await.ok();

    let mut places: Vec<(String, Vec<u8>)> = house.written();
    places.extend(
        told.into_iter().enumerate().map(|(at, text)| (format!("answer {at}"), text.into())),
    );
    places.push(("export of acme".to_owned(), acme.clone().into()));
    places.push(("export of globex".to_owned(), globex.clone().into()));
    places.push(("export-config".to_owned(), config.into()));
    let canaries = [ACME_CANARY, GLOBEX_CANARY].map(str::to_owned);
    for (place, bytes) in &places {
        for canary in secrets.iter().chain(&canaries) {
            let text = String::from_utf8_lossy(bytes);
            assert!(!contains(bytes, canary), "{place} has `{canary}`: {text:.2000}");
        }
    }
    let orgs = |export: &str| -> BTreeSet<String> {
        let rows: Vec<Value> = serde_json::from_str(export).unwrap();
        rows.iter().map(|row| row.text("org").to_owned()).collect()
    };
    assert_eq!((orgs(&acme).len(), orgs(&globex).len()), (1, 1));
    assert!(orgs(&acme).is_disjoint(&orgs(&globex)));
}

#[tokio::test]
async fn a_credential_that_is_wrong_in_any_way_is_only_unauthenticated() {
    let house = two().await;
    let key = house.key("acme-key").to_owned();
    let almost = format!("{}{}", &key[..key.len() - 1], if key.ends_with('a') { "b" } else { "a" });

    for header in [
        "",
        "Bearer",
        "Bearer ",
        "Basic YWRhOmFkYQ==",
        &almost,
        &format!("Bearer {almost}"),
        "Bearer \u{fc}",
    ] {
        let url = format!("{}/v1/models", house.url());
        let headers = [("authorization", header)];
        let headers = if header.is_empty() { &[][..] } else { &headers };
        let answer = house.client.send(client::build(Method::GET, &url, headers, "".into())).await;

        assert_eq!(answer.status, 401, "{header}");
        let body = answer.json().await;
        assert_eq!(body.text("error.code"), "unauthenticated");
        assert!(!body.to_string().contains(&almost), "the key is told back");
    }
}

#[tokio::test]
async fn nothing_of_an_anonymous_body_is_read() {
    let house = two().await;
    let mut wire: Wire = house.wire().await;
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\n\
                content-type: application/json\r\ncontent-length: 1000000\r\n\r\n";

    // Not one byte of the body is sent: an answer shows that none was waited for.
    wire.send(head.as_bytes()).await;
    let answer = wire.until(b"\r\n\r\n").await;

    assert!(answer.starts_with(b"HTTP/1.1 401"), "{}", String::from_utf8_lossy(&answer));
}

/// Two orgs with the same names for nearly everything.
async fn two() -> House {
    let org = |name: &str| {
        let only = format!("{name}-only");
        Settings::of(name)
            .and("Project", "side", worked_in_by("ada", json!({})))
            .model(&only, &[MODEL])
            .model(&format!("{only}-fails"), &["sim-economy-status500"])
            .model(&format!("{only}-breaks"), &["sim-economy-err2"])
            .model_cleared(&format!("{only}-public"), &[MODEL], "public")
            .key(&format!("{name}-key"))
            .and(
                "Key",
                &format!("{name}-side-key"),
                json!({ "project": "side", "owner": { "user": "ada" } }),
            )
    };
    Plan::new(org("acme").with(org("globex"))).with("log", "level", "\"debug\"").open().await
}

/// Sends the canary wherever text can be sent; all that came back, without the answers that a
/// model gave to it.
async fn everything_that_can_be_answered(
    house: &House,
    key: &str,
    model: &str,
    canary: &str,
) -> Vec<String> {
    let prompt = json!({
        "messages": [
            { "role": "system", "content": format!("{canary} of the system") },
            { "role": "user", "content": format!("please repeat {canary}") },
        ],
        "user": canary, "metadata": { "note": canary }, "stop": [canary],
    });
    let mut told = Vec::new();
    for suffix in ["", "-fails", "-breaks", "-public"] {
        for stream in [false, true] {
            let body = tests::house::merged(prompt.clone(), json!({ "stream": stream }));
            let answer = house.chat(key, &format!("{model}{suffix}"), body).await;
            let id = answer.request_id();
            told.push(format!("{:?}", answer.headers));
            told.push(answer.text().await);
            told.push(house.get(key, &format!("/v1/penstock/requests/{id}")).await.text().await);
        }
    }
    let broken = format!("{{\"model\": \"{model}\", \"messages\": [{{\"role\": \"{canary}\" ");
    for body in [broken, format!("[\"{canary}\"]"), format!("{{\"model\": [\"{canary}\"]}}")] {
        let request = house.request(key, Method::POST, "/v1/chat/completions", &[], body);
        told.push(house.client.send(request).await.text().await);
    }
    let embed = json!({ "model": model, "input": canary });
    told.push(house.post(key, "/v1/embeddings", &embed).await.text().await);
    told
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

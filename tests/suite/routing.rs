//! Where data may go: clearance, levels, masking, and what happens when a deployment fails.

use serde_json::json;
use tests::{
    house::{House, Plan},
    json::At,
    oracle::Seen,
    record::Record,
    settings::{Settings, worked_in_by},
    sse::{Event, text_of},
};

const QUICK: &str = "sim-economy-out4-delay0-gap0";
const OTHER: &str = "sim-economy-out6-delay0-gap0";
/// A card number that is valid by its check digit, and belongs to nobody.
const CARD: &str = "4111 1111 1111 1111";

#[tokio::test]
async fn a_card_number_is_masked_before_it_leaves() {
    let house = House::open(Settings::of("acme").key("ada").model(QUICK, &[QUICK])).await;

    let words = format!("pay with {CARD} tomorrow");
    let answer = house.chat("ada", QUICK, said(&words)).await;

    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-penstock-decision"), Some("masked"));
    let saw = only(&house).await.saw.unwrap();
    assert!(!saw.contains(CARD) && !saw.contains("1111"), "{saw}");
    assert!(saw.contains("pay with [masked:pci.card] tomorrow"), "{saw}");
}

#[tokio::test]
async fn what_is_masked_is_masked_wherever_it_stands() {
    let house = House::open(Settings::of("acme").key("ada").model(QUICK, &[QUICK])).await;
    let body = json!({
        "messages": [
            { "role": "system", "content": format!("system {CARD}") },
            { "role": "user", "content": [{ "type": "text", "text": format!("part {CARD}") }] },
            { "role": "assistant", "content": null, "tool_calls": [{
                "id": "call_1", "type": "function",
                "function": { "name": "pay", "arguments": format!("{{\"card\":\"{CARD}\"}}") },
            }] },
            { "role": "tool", "tool_call_id": "call_1", "content": format!("paid {CARD}") },
        ],
        "metadata": { "note": CARD }, "a_field_of_tomorrow": { "deep": [CARD] },
    });

    let answer = house.chat("ada", QUICK, body).await;

    assert_eq!(answer.status, 200);
    let saw = only(&house).await.saw.unwrap();
    assert!(!saw.contains("1111"), "{saw}");
    assert_eq!(saw.matches("[masked:pci.card]").count(), 6, "{saw}");
}

#[tokio::test]
async fn what_is_cleared_for_cards_gets_them_as_they_are() {
    let settings = Settings::of("acme").key("ada").model(QUICK, &[QUICK]).and(
        "Deployment",
        &format!("{QUICK}.0"),
        json!({
            "provider": "sim", "model": QUICK,
            "clearance": { "level": "restricted", "labels": ["pci"] },
        }),
    );
    let house = House::open(settings).await;

    let answer = house.chat("ada", QUICK, said(&format!("pay with {CARD}"))).await;

    assert_eq!(answer.header("x-penstock-decision"), Some("allowed"));
    assert!(only(&house).await.saw.unwrap().contains(CARD));
}

#[tokio::test]
async fn data_goes_only_to_a_deployment_that_is_cleared_for_it() {
    let house = House::open(two_clearances()).await;

    let usual = house.chat("ada", "mixed", json!({})).await;
    let header = [("x-penstock-data-level", "confidential")];
    let raised = house.chat_with("ada", "mixed", &header, json!({})).await;

    assert_eq!((usual.status.as_u16(), raised.status.as_u16()), (200, 200));
    let went: Vec<String> = house.oracle().all().await.into_iter().map(|row| row.model).collect();
    assert_eq!(went, [QUICK, OTHER], "the level decides, then the priority");
}

#[tokio::test]
async fn a_level_that_no_deployment_is_cleared_for_is_denied_with_what_to_do() {
    let house = House::open(two_clearances()).await;

    let header = [("x-penstock-data-level", "restricted")];
    let denied = house.chat_with("ada", "mixed", &header, json!({})).await;

    assert_eq!(denied.status, 400);
    let body = denied.json().await;
    assert_eq!(body.text("error.type"), "invalid_request_error");
    assert_eq!(body.text("error.code"), "policy_denied");
    let message = body.text("error.message");
    assert!(message.contains("restricted"), "which level: {message}");
    assert!(message.contains("data-desk@acme.example"), "whom to ask: {message}");
    assert!(house.oracle().all().await.is_empty());
}

#[tokio::test]
async fn a_caller_raises_the_level_and_never_lowers_it() {
    let settings = Settings::of("acme").key("ada").model_cleared(QUICK, &[QUICK], "public");
    let house = House::open(settings).await;

    let header = [("x-penstock-data-level", "public")];
    let lowered = house.chat_with("ada", QUICK, &header, json!({})).await;
    let unknown = [("x-penstock-data-level", "secret-ish")];
    let unknown = house.chat_with("ada", QUICK, &unknown, json!({})).await;
    let clear = Settings::of("globex").key("bob").model_cleared(QUICK, &[QUICK], "internal");
    let other = House::open(clear).await;
    let twice = [("x-penstock-data-level", "public"), ("x-penstock-data-level", "restricted")];
    let twice = other.chat_with("bob", QUICK, &twice, json!({})).await;

    assert_eq!(twice.json().await.text("error.code"), "policy_denied", "the highest of all holds");
    assert!(other.oracle().all().await.is_empty());
    assert_eq!(lowered.json().await.text("error.code"), "policy_denied");
    assert_eq!(unknown.status, 400);
    assert!(house.oracle().all().await.is_empty());
}

#[tokio::test]
async fn a_new_deployment_receives_public_data_only() {
    let bare = json!({ "provider": "sim", "model": QUICK });
    let settings = Settings::of("acme")
        .key("ada")
        .and("Project", "open", worked_in_by("ada", json!({ "data_level": "public" })))
        .and("Key", "open", json!({ "project": "open", "owner": { "user": "ada" } }))
        .model(QUICK, &[QUICK])
        .and("Deployment", &format!("{QUICK}.0"), bare);
    let house = House::open(settings).await;

    assert_eq!(house.chat("ada", QUICK, json!({})).await.status, 400);
    assert_eq!(house.chat("open", QUICK, json!({})).await.status, 200);
}

#[tokio::test]
async fn a_rule_can_deny_what_would_be_masked() {
    let rule = json!({ "rules": [{ "label": "pci", "action": "deny" }] });
    let settings =
        Settings::of("acme").key("ada").model(QUICK, &[QUICK]).and("Policy", "no cards", rule);
    let house = House::open(settings).await;

    let denied = house.chat("ada", QUICK, said(&format!("pay with {CARD}"))).await;

    assert_eq!(denied.status, 400);
    let body = denied.text().await;
    assert!(body.contains("policy_denied") && body.contains("pci.card"), "{body}");
    assert!(!body.contains("1111"), "the value is told back: {body}");
    assert!(house.oracle().all().await.is_empty());
}

#[tokio::test]
async fn a_deployment_that_fails_before_its_first_byte_is_replaced_by_the_next() {
    for first in
        ["sim-economy-status500", "sim-economy-status503", "sim-economy-reset", "sim-economy-hang"]
    {
        for stream in [false, true] {
            let settings = Settings::of("acme").key("ada").model("m", &[first, QUICK]);
            let plan = Plan::new(settings).with("upstream", "first_byte_millis", "400");
            let house = plan.open().await;

            let answer = house.chat("ada", "m", json!({ "stream": stream })).await;

            assert_eq!(answer.status, 200, "{first}");
            answer.bytes().await;
            let went: Vec<_> =
                house.oracle().all().await.into_iter().map(|row| row.model).collect();
            assert_eq!(went, [first, QUICK]);
        }
    }
}

#[tokio::test]
async fn what_the_caller_did_wrong_is_not_tried_elsewhere() {
    let settings = Settings::of("acme").key("ada").model("m", &["sim-economy-status400", QUICK]);
    let house = House::open(settings).await;

    let answer = house.chat("ada", "m", json!({})).await;

    assert_eq!(answer.status, 400);
    assert_eq!(house.oracle().all().await.len(), 1);
}

#[tokio::test]
async fn there_is_no_fallback_after_a_visible_byte() {
    let settings = Settings::of("acme").key("ada").model("m", &["sim-economy-err2", QUICK]);
    let house = House::open(settings).await;

    let mut events = house.stream("ada", "m", json!({})).await;
    let came = events.rest().await;

    assert_eq!(text_of(&came).split_whitespace().count(), 2);
    assert!(matches!(came.last(), Some(Event::Data(last)) if last.at("error").is_object()));
    assert_eq!(house.oracle().all().await.len(), 1);
}

#[tokio::test]
async fn when_all_fail_the_caller_gets_a_failure_and_pays_nothing_surely() {
    let settings = Settings::of("acme")
        .key("ada")
        .model("m", &["sim-economy-status503", "sim-economy-status503-ra2"]);
    let mut house = House::open(settings).await;

    let answer = house.chat("ada", "m", json!({})).await;

    assert!(answer.status.is_server_error(), "{}", answer.status);
    let body = answer.json().await;
    assert!(matches!(body.text("error.code"), "upstream_failed" | "capacity"), "{body}");
    assert_eq!(house.oracle().all().await.len(), 2);
    assert!(house.terminate().await.success());
    assert_eq!(Record::all(&house.usage("acme").await).len(), 0);
}

#[tokio::test]
async fn a_provider_whose_credential_is_not_there_is_passed_over_and_told_by_name() {
    let provider = json!({
        "dialect": "simulated", "base_url": "{upstream}", "credential": { "env": "NOT_SET_7319" },
        "terms": { "trains": false, "retention_days": 0 },
    });
    let members =
        json!([{ "deployment": "mute", "priority": 0 }, { "deployment": "both.1", "priority": 1 }]);
    let settings = Settings::of("acme")
        .key("ada")
        .and("Provider", "forgotten", provider)
        .deployment("mute", QUICK, "restricted")
        .and("Deployment", "mute", json!({ "provider": "forgotten", "model": QUICK }))
        .deployment("both.1", QUICK, "restricted")
        .and("Model", "both", json!({ "deployments": members }))
        .and("Model", "mute", json!({ "deployments": [{ "deployment": "mute" }] }))
        .and("Project", "main", worked_in_by("ada", json!({ "data_level": "public" })));
    let house = House::open(settings).await;

    let other = house.chat("ada", "both", json!({})).await;
    let none = house.chat("ada", "mute", json!({})).await;

    assert_eq!(other.status, 200);
    assert_eq!((none.status.as_u16(), none.header("x-should-retry")), (503, Some("false")));
    assert_eq!(none.json().await.text("error.code"), "unavailable");
    assert_eq!(house.oracle().all().await.len(), 1);
    let log = house.said();
    assert!(log.contains("forgotten") && log.contains("NOT_SET_7319"), "{log}");
}

#[tokio::test]
async fn the_decision_of_a_request_names_labels_and_candidates_and_no_value() {
    let house = House::open(two_clearances()).await;
    let answer = house.chat("ada", "mixed", said(&format!("pay with {CARD}"))).await;
    let id = answer.request_id();
    answer.bytes().await;

    let view = house.request_view("ada", &id).await.to_string();

    assert!(view.contains("pci.card") && view.contains("masked"), "{view}");
    assert!(!view.contains("1111"), "{view}");
}

#[tokio::test]
async fn only_allowed_headers_go_upstream() {
    let house = House::open(Settings::of("acme").key("ada").model(QUICK, &[QUICK])).await;
    let headers = [("x-client-request-id", "mine"), ("cookie", "a=b"), ("openai-beta", "x")];

    let answer = house.chat_with("ada", QUICK, &headers, json!({})).await;

    // The oracle joins by this header: it must be ours, whatever the caller sent.
    let seen = only(&house).await;
    assert_eq!(seen.joins(), format!("{}/1", answer.request_id()));
}

/// A model that is answered by a deployment for internal data first, then by one for more.
fn two_clearances() -> Settings {
    Settings::of("acme")
        .key("ada")
        .deployment("plain", QUICK, "internal")
        .deployment("trusted", OTHER, "confidential")
        .and(
            "Model",
            "mixed",
            json!({ "deployments": [
                { "deployment": "plain", "priority": 0 },
                { "deployment": "trusted", "priority": 1 },
            ] }),
        )
}

fn said(text: &str) -> serde_json::Value {
    json!({ "messages": [{ "role": "user", "content": text }] })
}

async fn only(house: &House) -> Seen {
    let mut all = house.oracle().all().await;
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

//! The main job on a fresh machine: one command that shows everything and keeps its data.

use http::Method;
use serde_json::json;
use std::{fs, path::Path, time::Duration};
use tests::{
    client::{self, Client},
    json::At,
    process::{self, Running},
    wait::SOON,
};

const ARGS: [&str; 5] = ["demo", "--dir", "data", "--listen", "127.0.0.1:0"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_goes_as_stated_keeps_its_data_and_starts_over_when_told() {
    let folder = tempfile::tempdir().unwrap();

    let first = tour(folder.path(), &[]).await;
    let made = keys(folder.path());
    let second = tour(folder.path(), &[]).await;
    let kept = keys(folder.path());
    let fresh = tour(folder.path(), &["--fresh"]).await;
    let anew = keys(folder.path());

    for said in [&first, &second, &fresh] {
        let steps = [
            "an answer",
            "a stream",
            "a card number",
            "a card, cleared",
            "policy_denied",
            "rate_limited",
            "budget_exhausted",
            "a failed deployment",
            "total",
        ];
        for step in steps {
            assert!(said.contains(step), "`{step}` is not in\n{said}");
        }
    }
    assert!(!made.is_empty() && made == kept, "the second run did not keep the keys of the first");
    assert_ne!(made, anew);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_line_that_the_demo_gives_to_paste_works_until_it_is_told_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Running::start(folder.path(), "demo", &ARGS);

    let url = demo.said("  curl ").await.replace(" \\", "");
    let header = demo.said("    -H 'Authorization: Bearer ").await;
    let key = header.split('\'').next().unwrap();
    let body = demo.said("    -d '").await.trim_end_matches('\'').to_owned();
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let request = client::build(Method::POST, &url, &headers, body.into());
    let answer = Client::default().send(request).await;
    let status = answer.status;
    let answered = answer.json().await;
    demo.signal("INT");

    assert_eq!(status, 200, "{answered}");
    assert_ne!(answered.at("choices.0.message.content"), &json!(null));
    assert!(demo.ends(SOON + Duration::from_secs(20)).await.success());
}

async fn tour(folder: &Path, more: &[&str]) -> String {
    process::run(folder, &[&ARGS[..], &["--exit"], more].concat()).await.ok()
}

/// The keys that the demo made, as it keeps them.
fn keys(folder: &Path) -> String {
    fs::read_to_string(folder.join("data").join("keys.ndjson")).expect("the demo's keys")
}

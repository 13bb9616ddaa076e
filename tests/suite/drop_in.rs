//! The official SDKs work against the gateway unchanged.

use serde_json::json;
use std::{collections::BTreeMap, path::Path, process::Stdio};
use tests::{
    house::{House, Plan},
    settings::Settings,
    wait::{self, LONG},
};
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn the_official_python_sdk_works_unchanged() {
    let house = shop().await;

    let said = sdk(&house, &["tests/.venv/bin/python", "tests/clients/python/drop_in.py"]).await;

    println!("{said}");
}

#[tokio::test]
async fn the_official_javascript_sdk_works_unchanged() {
    let house = shop().await;

    let said = sdk(&house, &["tests/.venv/bin/node", "tests/clients/node/drop_in.mjs"]).await;

    println!("{said}");
}

/// A house with a model for every case that the clients try.
async fn shop() -> House {
    let key = |models: &[&str]| {
        json!({
            "project": "main", "owner": { "user": "ada" }, "models": models,
        })
    };
    let settings = Settings::of("acme")
        .model("chat", &["sim-economy-out12-delay0-gap0"])
        .model("endless", &["sim-economy-out1000-delay0-gap20"])
        .model("tools1", &["sim-economy-tools1-delay0-gap0"])
        .model("tools2", &["sim-economy-tools2-delay0-gap0"])
        .model("reasoner", &["sim-reasoner-delay0-gap0"])
        .model("embed", &["sim-embed"])
        .model("fails", &["sim-economy-status500"])
        .model("hangs", &["sim-economy-hang"])
        .model("errs", &["sim-economy-err3"])
        .model("breaks", &["sim-economy-trunc3"])
        .model("ends-early", &["sim-economy-eof3"])
        .model_cleared("public-only", &["sim-economy"], "public")
        .key("ada")
        .key("slow")
        .key("slow-js")
        .key("poor")
        .and("Key", "narrow", key(&["chat"]))
        .and("Limit", "slow", json!({ "on": { "key": "slow" }, "requests_per_minute": 1 }))
        .and("Limit", "slow js", json!({ "on": { "key": "slow-js" }, "requests_per_minute": 1 }))
        .budget("poor", &json!({ "key": "poor" }), "0.000001");
    Plan::new(settings)
        .with("edge", "body_bytes_max", "131072")
        .with("upstream", "first_byte_millis", "1500")
        .open()
        .await
}

/// Runs a client of the SDKs to its end; what it said, if every check of it holds.
pub(crate) async fn sdk(house: &House, command: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let (program, rest) = command.split_first().expect("a program");
    let program = root.join(program);
    assert!(program.exists(), "{} is not there: run `tests/run install`", program.display());
    let mut child = tokio::process::Command::new(program)
        .current_dir(root)
        .args(rest)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the client starts");
    let keys: BTreeMap<_, _> = house.keys().collect();
    let told = json!({ "url": house.url(), "admin_url": house.admin_url(), "keys": keys });
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(told.to_string().as_bytes()).await.expect("it reads");
    drop(stdin);
    let output = wait::within(LONG, "the end of the client", child.wait_with_output()).await;
    let output = output.expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complaint}");
    said
}

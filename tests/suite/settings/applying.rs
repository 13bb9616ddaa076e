//! What a file says is applied when somebody wants it, and takes no secret away by the way.

use super::*;
use std::process::Stdio;
use tokio::io::AsyncWriteExt;

const APPLY: [&str; 5] = ["apply", "--config", "penstock.toml", "-f", "settings.yaml"];
const SECRET: &str = "sk-canary-51d0c2b7";

async fn seal(house: &House) -> String {
    let mut command = tokio::process::Command::new(process::binary());
    command.current_dir(house.folder()).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.args(["secrets", "set-credential", "--config", "penstock.toml", "--provider", "sim"]);
    let mut child = command.spawn().expect("it can be run");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(SECRET.as_bytes()).await.expect("it reads");
    drop(stdin);
    let output = wait::within(SOON, "the end of the command", child.wait_with_output()).await;
    let output = output.expect("it ends");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn with_credential(credential: &Value) -> Settings {
    let provider = json!({
        "dialect": "simulated", "base_url": "{upstream}", "credential": credential,
        "terms": { "trains": false, "retention_days": 0 },
    });
    shop().and("Provider", "sim", provider)
}

#[tokio::test]
async fn without_a_terminal_nothing_is_applied_unless_yes_is_said() {
    let house = House::open(shop()).await;
    let before = house.run(&EXPORT).await.ok();
    let more = shop().and("User", "bob", json!({})).render(house.upstream());
    fs::write(house.path("settings.yaml"), more).unwrap();

    let refused = house.run(&APPLY).await;
    let shown = house.run(&[&APPLY[..], &["--dry-run"]].concat()).await;
    let after = house.run(&EXPORT).await.ok();
    let done = house.run(&[&APPLY[..], &["-y"]].concat()).await;
    let again = house.run(&APPLY).await;

    assert_eq!(refused.code(), Some(2), "{refused:?}");
    assert!(refused.stderr.contains("--yes") && refused.stdout.contains("bob"), "{refused:?}");
    assert_eq!(shown.code(), Some(0), "{shown:?}");
    assert_eq!(after, before);
    assert_eq!(done.code(), Some(0), "{done:?}");
    assert_eq!(again.code(), Some(0), "what changes nothing needs no consent: {again:?}");
}

#[tokio::test]
async fn a_file_that_would_drop_a_sealed_credential_is_refused_until_somebody_says_so() {
    let house = House::open(shop()).await;
    let told = seal(&house).await;
    let before = house.run(&EXPORT).await.ok();
    let text = |settings: Settings| settings.render(house.upstream());

    let bare = house.try_apply(&text(shop())).await;
    let env = house.try_apply(&text(with_credential(&json!({ "env": "X" })))).await;
    let kept = house.try_apply(&text(with_credential(&json!({ "stored": true })))).await;
    let after = house.run(&EXPORT).await.ok();
    fs::write(house.path("settings.yaml"), text(shop())).unwrap();
    let meant = [&APPLY[..], &["--yes", "--replace-credentials"]].concat();
    let meant = house.run(&meant).await;

    let sentence = "write `credential: { stored: true }` for it";
    assert!(told.contains(sentence), "{told}");
    for refused in [bare, env] {
        assert_eq!(refused.code(), Some(2), "{refused:?}");
        let line = refused.stderr.lines().find(|line| line.contains("provider sim: credential:"));
        assert!(line.is_some_and(|line| line.contains(sentence)), "{refused:?}");
        assert!(refused.stderr.contains("nothing was changed"), "{refused:?}");
    }
    assert_eq!(kept.code(), Some(0), "{kept:?}");
    assert_eq!(after, before);
    assert!(meant.stdout.contains("THE SEALED VALUE IS DROPPED"), "{meant:?}");
    assert!(!house.run(&EXPORT).await.ok().contains("stored: true"));
}

#[tokio::test]
async fn an_export_applies_to_a_fresh_store_which_tells_what_is_to_be_stored() {
    let house = House::open(shop()).await;
    seal(&house).await;
    let admin = ["admin-key", "--config", "penstock.toml", "--operator", "--name", "ci"];
    house.run(&admin).await.ok();
    let exported = house.run(&EXPORT).await.ok();

    let mut fresh = House::open(Settings::bare("other")).await;
    let applied = fresh.try_apply(&exported).await;
    fresh.keep_keys();
    fresh.knows("ada").await;
    let refused = fresh.chat("ada", QUICK, json!({})).await;

    assert!(exported.contains("roles: [operator]"), "{exported}");
    assert_eq!(applied.code(), Some(0), "{applied:?}");
    let how = "penstock secrets set-credential --org acme --provider sim";
    let warned = |line: &str| line.starts_with("warning: ") && line.ends_with(how);
    assert!(applied.stderr.lines().any(warned), "{applied:?}");
    assert_eq!(refused.status, 503);
    let again = fresh.run(&["export-config", "--config", "penstock.toml", "--org", "acme"]).await;
    let of_acme = house.run(&["export-config", "--config", "penstock.toml", "--org", "acme"]).await;
    let body = |text: String| text.split_once('\n').unwrap().1.to_owned();
    assert_eq!(body(again.ok()), body(of_acme.ok()));
}

//! A credential that was sealed reaches its provider, and nobody else.

use serde_json::json;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
};
use tests::{
    house::{House, Plan},
    process::{self, Ran},
    scripted::{Act, Scripted},
    settings::Settings,
    wait::{self, SOON},
};
use tokio::io::AsyncWriteExt;

const CONFIG: &str = "penstock.toml";
const CANARY: &str = "sk-canary-3f9c1d7e5b24a680";
const SET: [&str; 8] =
    ["secrets", "set-credential", "--config", CONFIG, "--org", "acme", "--provider", "sim"];
const REWRAP: [&str; 4] = ["secrets", "rewrap", "--config", CONFIG];
const SERVE: [&str; 3] = ["serve", "--config", CONFIG];
const EXPORT: [&str; 3] = ["export-config", "--config", CONFIG];

/// Answers whoever comes with the canary, and refuses everybody else.
fn provider() -> Scripted {
    Scripted::serve(|head, _| {
        let wanted = format!("authorization: bearer {CANARY}");
        let known = head.lines().any(|line| line.eq_ignore_ascii_case(&wanted));
        let answer = json!({
            "id": "c1", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{
                "index": 0, "finish_reason": "stop",
                "message": { "role": "assistant", "content": "hello" },
            }],
            "usage": { "prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4 },
        });
        let refusal = json!({ "error": { "message": "who are you?", "type": "auth" } });
        let (status, body) = if known { ("200 OK", answer) } else { ("401 Unauthorized", refusal) };
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n",
            body.len()
        );
        Act::Raw((head + &body).into_bytes())
    })
}

fn shop() -> Settings {
    Settings::of("acme").model("chat", &["m"]).key("ada")
}

/// Runs `penstock` with this on its standard input.
async fn say(folder: &Path, args: &[&str], input: &str) -> Ran {
    let mut command = tokio::process::Command::new(process::binary());
    command.current_dir(folder).args(args).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it can be run");
    let mut stdin = child.stdin.take().expect("it is piped");
    // A command that does not read has ended, and tells why.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = wait::within(3 * SOON, "the end of the command", child.wait_with_output());
    let output = output.await.expect("it ends");
    Ran {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

async fn answered(house: &House) {
    wait::until(SOON, "an answer of the provider", || async {
        let status = house.chat("ada", "chat", json!({})).await.status;
        if status == 200 { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
}

/// A file that only its owner may read.
fn private(path: &Path, text: &str) {
    fs::write(path, text).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("it is ours");
}

/// Every file below `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// The files below `folder` that hold these bytes.
fn holders(folder: &Path, wanted: &[u8]) -> Vec<PathBuf> {
    let mut all = files(folder);
    all.retain(|path| {
        let bytes = fs::read(path).expect("a file");
        bytes.windows(wanted.len()).any(|window| window == wanted)
    });
    all
}

#[tokio::test]
async fn a_sealed_credential_reaches_its_provider_and_is_found_nowhere_else() {
    let provider = provider();
    let plan = Plan::new(shop()).upstream(provider.base_url()).with("log", "level", "\"debug\"");
    let mut house = plan.open().await;
    assert_ne!(house.chat("ada", "chat", json!({})).await.status, 200);

    let said = say(house.folder(), &SET, &format!("  {CANARY}\n")).await;
    assert!(said.status.success() && !said.stdout.contains(CANARY), "{said:?}");
    answered(&house).await;

    let exported = house.run(&EXPORT).await.ok();
    assert!(exported.contains("stored: true"), "{exported}");
    assert!(!exported.contains(CANARY) && !exported.contains("sealed"), "{exported}");
    assert!(house.try_apply(&exported).await.ok().contains("no changes"));
    // What the file says again is left as it is sealed.
    answered(&house).await;
    // The files are searched while they are in use, and again when they are closed.
    assert_eq!(holders(house.folder(), CANARY.as_bytes()), Vec::<PathBuf>::new());
    house.terminate().await;
    assert_eq!(holders(house.folder(), CANARY.as_bytes()), Vec::<PathBuf>::new());
    let master = fs::read_to_string(house.path("master.key")).expect("it was made");
    let only = [house.path("master.key")];
    assert_eq!(holders(house.folder(), master.trim().as_bytes()), only);
}

#[tokio::test]
async fn what_cannot_be_sealed_is_refused_without_being_repeated() {
    let house = House::open(shop()).await;

    let unknown = ["secrets", "set-credential", "--config", CONFIG, "--org", "acme"];
    let unknown = [unknown.as_slice(), &["--provider", "nobody"]].concat();
    let two_lines = format!("{CANARY}\n{CANARY}\n");
    for (args, input) in [(unknown.as_slice(), CANARY), (&SET, &two_lines), (&SET, " \n")] {
        let said = say(house.folder(), args, input).await;
        assert_eq!(said.code(), Some(2), "{said:?}");
        assert!(!said.stderr.contains(CANARY), "{said:?}");
    }
}

#[tokio::test]
async fn the_master_key_can_be_replaced_and_the_old_one_dropped() {
    let provider = provider();
    let plan = Plan::new(shop()).upstream(provider.base_url());
    let mut house = plan.clone().open().await;
    say(house.folder(), &SET, CANARY).await.ok();
    answered(&house).await;
    house.terminate().await;
    let made = house.run(&["secrets", "generate-master-key"]).await.ok();
    private(&house.path("new.key"), &made);
    let configure = |house: &House, settings: &[(&str, &str)]| {
        let with = |plan: Plan, (key, file): &(&str, &str)| {
            plan.with("secrets", key, &format!("{file:?}"))
        };
        let plan = settings.iter().fold(plan.clone(), with);
        fs::write(house.path(CONFIG), plan.toml()).expect("a file");
    };
    let new = ("master_key_file", "new.key");

    configure(&house, &[new]);
    for args in [SERVE.as_slice(), &REWRAP] {
        let refused = house.run(args).await;
        assert_eq!(refused.code(), Some(1), "{refused:?}");
        assert!(refused.stderr.contains("penstock secrets rewrap"), "{refused:?}");
        assert!(!refused.stderr.contains(made.trim()), "{refused:?}");
    }

    configure(&house, &[new, ("older_master_keys_file", "master.key")]);
    // The running gateway has both, as it must while the keys change.
    house.start().await;
    answered(&house).await;
    let rewrapped = house.run(&REWRAP).await.ok();
    assert!(!rewrapped.starts_with("0 "), "{rewrapped}");
    assert!(house.run(&REWRAP).await.ok().starts_with("0 "), "the second time nothing is left");
    answered(&house).await;
    house.terminate().await;

    configure(&house, &[new]);
    house.start().await;
    answered(&house).await;
    house.terminate().await;
    configure(&house, &[("master_key_file", "master.key")]);
    assert_eq!(house.run(&SERVE).await.code(), Some(1), "the old key opens nothing any more");
}

#[tokio::test]
async fn a_start_without_the_right_master_key_is_refused() {
    let plan = Plan::new(shop());
    let mut house = plan.clone().open().await;
    house.terminate().await;
    let refused = |ran: Ran, words: &[&str]| {
        assert_eq!(ran.code(), Some(1), "{ran:?}");
        for word in words {
            assert!(ran.stderr.contains(word), "`{word}` is not told:\n{}", ran.stderr);
        }
    };

    let key = house.path("master.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).expect("it is ours");
    refused(house.run(&SERVE).await, &["master.key", "chmod 600"]);
    fs::rename(&key, house.path("aside")).expect("it is there");
    refused(house.run(&SERVE).await, &["master.key", "put the file back"]);
    assert!(!key.exists(), "no new key is made");
    for (text, word) in [("changeme", "instead of 32"), ("hunter2!", "a word")] {
        private(&key, text);
        refused(house.run(&SERVE).await, &["generate-master-key", word]);
    }
    private(&key, &house.run(&["secrets", "generate-master-key"]).await.ok());
    refused(house.run(&SERVE).await, &["is not among those that are configured"]);
    let missing = plan.with("secrets", "master_key_env", "\"NO_SUCH_VARIABLE_7319\"");
    fs::write(house.path(CONFIG), missing.toml()).expect("a file");
    refused(house.run(&SERVE).await, &["NO_SUCH_VARIABLE_7319"]);
}

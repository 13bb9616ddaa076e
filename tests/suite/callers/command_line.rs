//! `penstock login` and `penstock token`, against a provider of the test's own.

use super::*;
use std::{os::unix::fs::PermissionsExt, path::Path, process::Stdio};
use tests::process::binary;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(binary());
    // Nothing that could open a window is on this path.
    command.args(args).env("XDG_CONFIG_HOME", folder).env("PATH", "").stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn run(folder: &Path, args: &[&str]) -> Ended {
    let what = format!("the end of `penstock {}`", args.join(" "));
    let output = wait::within(3 * SOON, &what, command(folder, args).output()).await.unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn tokens(provider: &Provider, signer: &Signer, nonce: Option<&str>, refresh: &str) -> Value {
    let mut claims = with(claims(provider, "ada"), "aud", json!("penstock-cli"));
    if let Some(nonce) = nonce {
        claims["nonce"] = json!(nonce);
    }
    json!({ "id_token": signer.token(&claims), "refresh_token": refresh })
}

#[tokio::test]
async fn a_person_signs_in_with_a_code_and_runs_with_the_token() {
    let provider = Provider::start();
    let signer = signer(&provider, "a");
    let house = open(acme(&provider)).await;
    let folder = tempfile::tempdir().unwrap();
    provider.keep_waiting(1);
    let device = "urn:ietf:params:oauth:grant-type:device_code";
    provider.grant(device, tokens(&provider, &signer, None, "first"));

    let gateway = house.url();
    let args = ["login", "--gateway", gateway, "--org", "acme", "--device"];
    let login = run(folder.path(), &args).await;
    assert_eq!(login.code, Some(0), "{}", login.stderr);
    assert!(login.stderr.contains("WDJB-MJHT"), "{}", login.stderr);
    assert_eq!(login.stdout, "");

    let printed = run(folder.path(), &["token"]).await;
    assert_eq!(printed.stderr, "");
    let credential = printed.stdout.trim().to_owned();
    assert_eq!(chat(&house, &credential, &[]).await.status, 200);
    assert_eq!(rows_of(&house, "ada", 1).await.len(), 1);

    let file = folder.path().join("penstock/credentials.json");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    refreshes(&house, &provider, &signer, folder.path(), &file).await;

    assert_eq!(run(folder.path(), &["logout"]).await.code, Some(0));
    let out = run(folder.path(), &["token"]).await;
    assert_eq!((out.code, out.stdout.as_str()), (Some(1), ""));
    assert!(out.stderr.contains("penstock login"), "{}", out.stderr);
}

/// A credential that is nearly over is fetched anew; one that cannot be is told about.
async fn refreshes(
    house: &House,
    provider: &Provider,
    signer: &Signer,
    folder: &Path,
    file: &Path,
) {
    let age = || {
        let text = std::fs::read_to_string(file).unwrap();
        let mut saved: Value = serde_json::from_str(&text).unwrap();
        for known in saved["gateways"].as_object_mut().unwrap().values_mut() {
            known["expires"] = json!(store::clock::now().0 - 1);
        }
        std::fs::write(file, saved.to_string()).unwrap();
    };
    age();
    provider.grant("refresh_token", tokens(provider, signer, None, "second"));
    let fresh = run(folder, &["token", "--gateway", house.url()]).await;
    assert_eq!(fresh.code, Some(0), "{}", fresh.stderr);
    assert_eq!(chat(house, fresh.stdout.trim(), &[]).await.status, 200);
    let sent = provider.forms().into_iter().rfind(|it| it["grant_type"] == "refresh_token");
    assert_eq!(sent.unwrap()["refresh_token"], "first");
    age();
    provider.be_away(true);
    let stale = run(folder, &["token"]).await;
    assert_eq!((stale.code, stale.stdout.as_str()), (Some(1), ""));
    assert!(stale.stderr.contains("penstock login"), "{}", stale.stderr);
}

#[tokio::test]
async fn a_browser_brings_the_code_back_over_loopback() {
    let provider = Provider::start();
    let signer = signer(&provider, "a");
    let house = open(acme(&provider)).await;
    let folder = tempfile::tempdir().unwrap();
    let args = ["login", "--gateway", house.url(), "--org", "acme"];
    let mut child: Child = command(folder.path(), &args).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let page = loop {
        let line = wait::within(SOON, "an address", lines.next_line()).await.unwrap().unwrap();
        if let Ok(page) = url::Url::parse(line.trim()) {
            break page;
        }
    };
    let asked: BTreeMap<String, String> = page.query_pairs().into_owned().collect();
    assert_eq!(asked["code_challenge_method"], "S256");
    let answer = tokens(&provider, &signer, Some(&asked["nonce"]), "first");
    provider.grant("authorization_code", answer);

    let back = |state: &str| format!("{}?code=the+code&state={state}", asked["redirect_uri"]);
    assert_eq!(house.client.get(&back("forged")).await.status, 404);
    assert_eq!(house.client.get(&back(&asked["state"])).await.status, 200);

    let ended = wait::within(SOON, "the end of `penstock login`", child.wait()).await.unwrap();
    assert!(ended.success());
    let form = provider.forms().pop().unwrap();
    let hash =
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, form["code_verifier"].as_bytes());
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    assert_eq!(URL_SAFE_NO_PAD.encode(hash.as_ref()), asked["code_challenge"]);
    let printed = run(folder.path(), &["token"]).await;
    assert_eq!(chat(&house, printed.stdout.trim(), &[]).await.status, 200);
}

//! `penstock login` against a certified OpenID provider, then the official SDK with the token.

use super::*;
use std::{path::Path, process::Stdio};
use tests::process::binary;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};
use url::Url;

/// Redirects that a sign-in follows, at most.
const REDIRECTS_MAX: usize = 20;

#[tokio::test]
async fn a_person_signs_in_at_a_certified_provider_and_runs_an_sdk() {
    let (_running, issuer) = identity_provider().await;
    let house = open(company(&issuer)).await;
    let account = json!({ "email": "ada@example.com", "email_verified": true, "name": "Ada" });
    let url = format!("{issuer}/accounts/sub-ada");
    let request = client::build(Method::PUT, &url, &[], account.to_string().into());
    assert_eq!(house.client.send(request).await.status, 204);
    let folder = tempfile::tempdir().unwrap();

    let mut login = Command::new(binary())
        .args(["login", "--gateway", house.url(), "--org", "acme"])
        .env("XDG_CONFIG_HOME", folder.path())
        .env("PATH", "")
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(login.stderr.take().unwrap()).lines();
    let page = loop {
        let line = wait::within(SOON, "an address", lines.next_line()).await.unwrap().unwrap();
        if let Ok(page) = Url::parse(line.trim()) {
            break page;
        }
    };
    walk(&house, page).await;
    let ended = wait::within(SOON, "the end of `penstock login`", login.wait()).await.unwrap();
    let mut rest = Vec::new();
    while let Ok(Some(line)) = lines.next_line().await {
        rest.push(line);
    }
    assert!(ended.success(), "{rest:?}");

    let said = sdk(&house, folder.path()).await;

    println!("{said}");
    assert_eq!(rows_of(&house, "ada", 1).await.len(), 1);
}

fn company(issuer: &str) -> Settings {
    let identity = json!({ "issuer": issuer, "subject": "sub-ada" });
    let member = json!({ "who": { "user": "ada" }, "role": "developer" });
    Settings::of("acme")
        .model("m", &[MODEL])
        .and("User", "ada", json!({ "identities": [identity] }))
        .and("Project", "main", json!({ "members": [member] }))
        .and("User", "boss", json!({ "roles": ["owner"] }))
        .and("AdminKey", "boss", json!({ "owner": { "user": "boss" } }))
        .and(
            "IdentityProvider",
            "company",
            json!({ "issuer": issuer, "client_id": "penstock", "cli_client_id": "penstock-cli" }),
        )
}

/// A provider that runs for as long as both of its pipes are open.
struct Running {
    _child: Child,
    _stdin: ChildStdin,
    _lines: Lines<BufReader<ChildStdout>>,
}

async fn identity_provider() -> (Running, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let node = root.join("tests/.venv/bin/node");
    assert!(node.exists(), "{} is not there: run `tests/run install`", node.display());
    let mut child = Command::new(node)
        .current_dir(root)
        .arg("tests/clients/oidc/provider.mjs")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the provider starts");
    let nowhere = "https://penstock.example.com/";
    let told = json!({ "redirects": [nowhere], "logouts": [nowhere] });
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(format!("{told}\n").as_bytes()).await.expect("it reads");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let line = wait::within(3 * SOON, "the provider's address", lines.next_line()).await;
    let line = line.expect("it can be read").expect("it says where it is");
    let issuer = line.strip_prefix("identity provider on ").expect("its address").to_owned();
    (Running { _child: child, _stdin: stdin, _lines: lines }, issuer)
}

/// A browser in which `sub-ada` signs in: it keeps cookies and follows redirects to their end.
async fn walk(house: &House, mut page: Url) {
    let mut jar: BTreeMap<String, String> = BTreeMap::new();
    for _ in 0..REDIRECTS_MAX {
        let cookies: Vec<_> = jar.iter().map(|(name, it)| format!("{name}={it}")).collect();
        let cookies = cookies.join("; ");
        let headers =
            [("accept", "text/html"), ("x-account", "sub-ada"), ("cookie", cookies.as_str())];
        let request = client::build(Method::GET, page.as_str(), &headers, "".into());
        let answer = house.client.send(request).await;
        for line in answer.headers.get_all("set-cookie") {
            let line = line.to_str().unwrap();
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            jar.insert(name.to_owned(), value.to_owned());
            jar.retain(|_, value| !value.is_empty());
        }
        let status = answer.status.as_u16();
        let Some(next) = answer.header("location").filter(|_| (300..400).contains(&status)) else {
            assert_eq!(status, 200, "{page} {}", answer.text().await);
            return;
        };
        page = page.join(next).unwrap();
    }
    panic!("too many redirects, last {page}")
}

async fn sdk(house: &House, config: &Path) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let mut child = Command::new(root.join("tests/.venv/bin/python"))
        .current_dir(root)
        .arg("tests/clients/python/signed_in.py")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the client starts");
    let told = json!({ "url": house.url(), "penstock": binary(), "config": config });
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(told.to_string().as_bytes()).await.expect("it reads");
    drop(stdin);
    let output = wait::within(3 * SOON, "the end of the client", child.wait_with_output()).await;
    let output = output.expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

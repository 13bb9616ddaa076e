//! Every row leaves for every sink at least once, whatever happens to the gateway and the sinks.

use super::{ask, make_unit, org, plan, rows};
use http::Method;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
};
use tests::{
    house::House,
    json::At,
    scripted::{Act, Scripted},
    wait::{self, SOON},
};
use tokio::{io::AsyncReadExt, net::TcpListener};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

/// 24 bytes in base64.
const SECRET: &str = "cGVuc3RvY2stdGVzdC1zZWNyZXQtMjRi";

/// What a receiver was sent: heads and bodies.
type Came = Arc<Mutex<Vec<(String, String)>>>;

/// Takes two of three events.
fn receiver(came: &Came) -> Scripted {
    let (came, asked) = (Arc::clone(came), Mutex::new(0));
    Scripted::serve(move |head, body| {
        let mut asked = asked.lock().expect("a part of the scene");
        *asked += 1;
        if *asked % 3 == 0 {
            return Act::Raw(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n".to_vec());
        }
        came.lock().expect("a part of the scene").push((head.to_owned(), body.to_owned()));
        Act::Raw(b"HTTP/1.1 204 Yes\r\nconnection: close\r\n\r\n".to_vec())
    })
}

/// A collector of syslog over TLS, with a certificate of its own; where it listens.
async fn collector(folder: &Path, came: Arc<Mutex<String>>) -> u16 {
    let (certificate, key) = (folder.join("ca.pem"), folder.join("key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-subj", "/CN=localhost", "-days", "2"])
        .args(["-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .expect("these tests need OpenSSL");
    assert!(made.status.success(), "{made:?}");
    let chain = CertificateDer::pem_file_iter(&certificate)
        .expect("a part of the scene")
        .map(|it| it.expect("a part of the scene"))
        .collect();
    let key = PrivateKeyDer::from_pem_file(&key).expect("a part of the scene");
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("a part of the scene")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a part of the scene");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a part of the scene");
    let port = listener.local_addr().expect("a part of the scene").port();
    #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Whoever speaks no TLS is not listened to.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut buffer = [0; 16 * 1024];
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                let text =
                    String::from_utf8_lossy(buffer.get(..read).unwrap_or_default()).into_owned();
                came.lock().expect("a part of the scene").push_str(&text);
            }
        }
    });
    port
}

/// Messages by their counts, as RFC 5425 frames them.
fn unframed(text: &str) -> Vec<String> {
    let (mut rest, mut messages) = (text, Vec::new());
    while let Some((count, after)) = rest.split_once(' ') {
        let count: usize = count.parse().expect("a count");
        let Some(message) = after.get(..count) else { break };
        messages.push(message.to_owned());
        rest = after.get(count..).unwrap_or_default();
    }
    messages
}

/// The events of each org, by the number of their row.
fn by_org<'e>(events: impl Iterator<Item = &'e Value>) -> BTreeMap<String, BTreeSet<i64>> {
    let mut found: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
    for event in events {
        let org = event.text("metadata.tenant_uid");
        assert_eq!(org, event.text("unmapped.org"));
        found.entry(org.to_owned()).or_default().insert(event.int("metadata.sequence"));
    }
    found
}

struct Everything {
    webhook: Came,
    syslog: Arc<Mutex<String>>,
    file: PathBuf,
}

impl Everything {
    fn seen(&self) -> [Vec<Value>; 3] {
        let json = |text: &str| serde_json::from_str::<Value>(text).expect("an event");
        let webhook = self
            .webhook
            .lock()
            .expect("a part of the scene")
            .iter()
            .map(|(_, body)| json(body))
            .collect();
        let text = self.syslog.lock().expect("a part of the scene").clone();
        let syslog = unframed(&text).into_iter().map(|message| {
            let (head, body) = message.split_once(" - {").expect("a message");
            assert!(head.starts_with("<1") && head.contains(" penstock "), "{head}");
            json(&format!("{{{body}"))
        });
        let file = fs::read_to_string(&self.file).unwrap_or_default();
        let file = file.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        [webhook, syslog.collect(), file]
    }
}

/// A house whose log goes to a webhook that is moody, to syslog over TLS and to a file.
async fn watched() -> (House, Everything, Scripted, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a part of the scene");
    let everything = Everything {
        webhook: Came::default(),
        syslog: Arc::default(),
        file: folder.path().join("events.ndjson"),
    };
    let hook = receiver(&everything.webhook);
    let port = collector(folder.path(), Arc::clone(&everything.syslog)).await;
    let at = |name: &str| folder.path().join(name).display().to_string();
    fs::write(folder.path().join("secret"), format!("whsec_{SECRET}\n"))
        .expect("a part of the scene");
    let sinks = [
        format!(
            "name = 'siem', kind = 'webhook', url = '{}', secret_file = '{}'",
            hook.base_url(),
            at("secret")
        ),
        format!(
            "name = 'collector', kind = 'syslog', to = 'tls://localhost:{port}', ca_file = '{}'",
            at("ca.pem")
        ),
        format!("name = 'events', kind = 'file', path = '{}'", at("events.ndjson")),
    ];
    let sinks = format!("[{}]", sinks.map(|sink| format!("{{ {sink} }}")).join(", "));
    let settings = org("acme").with(org("globex"));
    let house = plan(settings).with("audit", "sinks", &sinks).open().await;
    (house, everything, hook, folder)
}

#[tokio::test]
async fn every_row_reaches_every_sink_though_the_gateway_is_killed_again_and_again() {
    let (mut house, everything, _hook, _folder) = watched().await;
    let key = json!({ "name": "fresh", "project": "main", "owner": { "user": "ada" } });
    let (status, told) = ask(&house, "acme-boss", Method::POST, "/admin/v1/keys", &key).await;
    assert_eq!(status, 201, "{told}");
    let told: Value = serde_json::from_str(&told).unwrap();
    let fresh = told.text("secret");
    assert!(20 < fresh.len());
    for round in 0..3 {
        for org in ["acme", "globex"] {
            for unit in 0..4 {
                let name = format!("unit-{round}-{unit}");
                assert_eq!(make_unit(&house, org, &name).await, 201);
            }
        }
        house.kill9();
        house.start().await;
    }
    let (acme, globex) = (rows(&house, "acme").await, rows(&house, "globex").await);
    let wanted = by_rows([&acme, &globex]);

    let seen = wait::until(3 * SOON, "every row at every sink", || async {
        let seen = everything.seen();
        let lacking = seen.iter().map(|events| {
            let found = by_org(events.iter());
            let lacks = |(org, seqs): (&String, &BTreeSet<i64>)| {
                seqs.difference(found.get(org).unwrap_or(&BTreeSet::new())).count()
            };
            wanted.iter().map(lacks).sum::<usize>()
        });
        let lacking: Vec<usize> = lacking.collect();
        if lacking.iter().all(|rows| *rows == 0) { Ok(seen) } else { Err(format!("{lacking:?}")) }
    })
    .await;

    let secrets: Vec<&String> = house.keys().map(|(_, secret)| secret).collect();
    for events in seen {
        let text = format!("{events:?}");
        assert!(!text.contains(fresh) && secrets.iter().all(|it| !text.contains(it.as_str())));
        assert!(text.contains("key.created"));
        for event in &events {
            let code = event.text("metadata.event_code");
            let class = event.int("class_uid");
            assert!([3001, 3002, 3004, 6003].contains(&class), "{code}: {class}");
        }
        let made = events.iter().find(|it| it.text("metadata.event_code") == "unit.created");
        assert_eq!(made.unwrap().int("type_uid"), 300_401);
    }
}

fn by_rows(chains: [&Vec<Value>; 2]) -> BTreeMap<String, BTreeSet<i64>> {
    let each = chains.map(|rows| {
        let org = rows.first().map_or("", |row| row.text("org"));
        (org.to_owned(), rows.iter().map(|row| row.int("seq")).collect())
    });
    each.into()
}

#[tokio::test]
async fn a_webhook_is_signed_as_standard_webhooks_are() {
    let (house, everything, _hook, folder) = watched().await;
    assert_eq!(make_unit(&house, "acme", "one").await, 201);

    let (head, body) = wait::until(SOON, "a webhook", || async {
        let came = everything.webhook.lock().unwrap();
        came.last().cloned().ok_or_else(|| "nothing".to_owned())
    })
    .await;

    let header = |name: &str| {
        let value = head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        });
        value.unwrap_or_else(|| panic!("no `{name}` in {head}"))
    };
    let (id, moment) = (header("webhook-id"), header("webhook-timestamp"));
    fs::write(folder.path().join("signed"), format!("{id}.{moment}.{body}")).unwrap();
    let recipe = format!(
        "key=$(printf %s {SECRET} | base64 -d | od -An -v -tx1 | tr -d ' \\n')
         openssl dgst -sha256 -mac HMAC -macopt hexkey:$key -binary signed | base64"
    );
    let ran = Command::new("sh").args(["-c", &recipe]).current_dir(folder.path()).output().unwrap();
    let expected = format!("v1,{}", String::from_utf8_lossy(&ran.stdout).trim());
    assert_eq!(header("webhook-signature"), expected);
    let event: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(id, event.text("metadata.uid"));
}

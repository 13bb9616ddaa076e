//! A small identity provider in the test's own process, that counts how often it is asked.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

#[derive(Default)]
struct State {
    keys: Mutex<Vec<Value>>,
    key_fetches: AtomicUsize,
    away: AtomicBool,
    /// What the token endpoint gives to each grant type, and whether it is asked to wait first.
    grants: Mutex<BTreeMap<String, Value>>,
    pending: AtomicUsize,
    /// The forms that came to the token endpoint.
    forms: Mutex<Vec<BTreeMap<String, String>>>,
}

/// Serves on loopback to the end of the test's process.
pub(super) struct Provider {
    issuer: String,
    state: Arc<State>,
}

impl Provider {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State::default());
        let (serving, name) = (Arc::clone(&state), issuer.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (state, issuer) = (Arc::clone(&serving), name.clone());
                std::thread::spawn(move || serve(stream, &state, &issuer));
            }
        });
        Self { issuer, state }
    }

    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    pub(super) fn publish(&self, keys: Vec<Value>) {
        *self.state.keys.lock().unwrap() = keys;
    }

    pub(super) fn key_fetches(&self) -> usize {
        self.state.key_fetches.load(Ordering::Relaxed)
    }

    /// It closes every connection without an answer from now on, or no more.
    pub(super) fn be_away(&self, away: bool) {
        self.state.away.store(away, Ordering::Relaxed);
    }

    /// What a grant of this type is answered with.
    pub(super) fn grant(&self, grant_type: &str, answer: Value) {
        self.state.grants.lock().unwrap().insert(grant_type.to_owned(), answer);
    }

    /// The next so many questions for a device's code are answered with a wait.
    pub(super) fn keep_waiting(&self, times: usize) {
        self.state.pending.store(times, Ordering::Relaxed);
    }

    pub(super) fn forms(&self) -> Vec<BTreeMap<String, String>> {
        self.state.forms.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, state: &State, issuer: &str) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
    let Some((line, body)) = request(&mut stream) else { return };
    if state.away.load(Ordering::Relaxed) {
        return;
    }
    let path = line.split(' ').nth(1).unwrap_or_default();
    let (status, answer) = match path.split('?').next().unwrap_or_default() {
        "/.well-known/openid-configuration" => (200, discovery(issuer)),
        "/keys" => {
            state.key_fetches.fetch_add(1, Ordering::Relaxed);
            (200, json!({ "keys": *state.keys.lock().unwrap() }))
        }
        "/device" => (200, device(issuer)),
        "/token" => token(state, &body),
        _ => (404, json!({ "error": "not_found" })),
    };
    let text = answer.to_string();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        text.len()
    );
    let _ = stream.write_all((head + &text).as_bytes());
}

fn discovery(issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/keys"),
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "device_authorization_endpoint": format!("{issuer}/device"),
        "scopes_supported": ["openid", "email", "offline_access"],
    })
}

fn device(issuer: &str) -> Value {
    json!({
        "device_code": "the device's code", "user_code": "WDJB-MJHT",
        "verification_uri": format!("{issuer}/activate"), "expires_in": 600, "interval": 1,
    })
}

fn token(state: &State, body: &str) -> (u16, Value) {
    let form: BTreeMap<String, String> =
        url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let grant_type = form.get("grant_type").cloned().unwrap_or_default();
    state.forms.lock().unwrap().push(form);
    let waits = state
        .pending
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
    if grant_type.ends_with("device_code") && waits.is_ok() {
        return (400, json!({ "error": "authorization_pending" }));
    }
    match state.grants.lock().unwrap().get(&grant_type) {
        Some(answer) => (200, answer.clone()),
        None => (400, json!({ "error": "invalid_grant" })),
    }
}

/// The first line and the body.
fn request(stream: &mut TcpStream) -> Option<(String, String)> {
    let (mut unread, mut buffer) = (Vec::new(), [0; 16 * 1024]);
    loop {
        let read = stream.read(&mut buffer).ok().filter(|read| 0 < *read)?;
        unread.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&unread).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        if length.unwrap_or(0) <= body.len() {
            return Some((head.lines().next()?.to_owned(), body.to_owned()));
        }
    }
}

/// A private key of Ed25519, and its name.
pub(super) struct Signer {
    pair: Ed25519KeyPair,
    kid: String,
}

impl Signer {
    pub(super) fn new(kid: &str) -> Self {
        Self { pair: Ed25519KeyPair::generate().unwrap(), kid: kid.to_owned() }
    }

    pub(super) fn jwk(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key().as_ref());
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": self.kid, "x": x, "use": "sig" })
    }

    /// The public key as X.509's SubjectPublicKeyInfo (RFC 8410) in PEM.
    pub(super) fn pem(&self) -> String {
        let prefix = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        let der = [prefix.as_slice(), self.pair.public_key().as_ref()].concat();
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
    }

    pub(super) fn public_key(&self) -> Vec<u8> {
        self.pair.public_key().as_ref().to_vec()
    }

    pub(super) fn head(&self) -> Value {
        json!({ "alg": "EdDSA", "typ": "JWT", "kid": self.kid })
    }

    pub(super) fn token(&self, claims: &Value) -> String {
        self.sign(&self.head(), claims)
    }

    pub(super) fn sign(&self, head: &Value, claims: &Value) -> String {
        let message = message(head, claims);
        let signature = URL_SAFE_NO_PAD.encode(self.pair.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }
}

/// What is signed of a token.
pub(super) fn message(head: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(head), part(claims))
}

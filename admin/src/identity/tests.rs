//! Tokens that must not be believed, and how often a provider is asked.

mod keys;

use super::{kept::FLOOR, *};
use crate::outbound::{Fetched, Outbound};
use async_trait::async_trait;
use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
        RsaKeyPair,
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};

const ORG: OrgId = OrgId::from_bytes([1; 16]);
const ISSUER: &str = "https://login.example.com";
const OTHER: &str = "https://other.example.com";
const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// A provider whose answers a test sets.
#[derive(Default)]
struct Provider {
    keys: Mutex<Option<Value>>,
    key_fetches: AtomicUsize,
    discoveries: AtomicUsize,
    /// What its discovery document says of itself.
    calls_itself: Option<&'static str>,
}

impl Provider {
    fn with(keys: Value) -> Arc<Self> {
        Arc::new(Self { keys: Mutex::new(Some(keys)), ..Self::default() })
    }

    fn publish(&self, keys: Option<Value>) {
        *self.keys.lock().unwrap() = keys;
    }

    fn fetches(&self) -> usize {
        self.key_fetches.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Outbound for Provider {
    async fn fetch(&self, fetch: Fetch) -> Result<Fetched, OutboundFault> {
        // Others run while a server answers.
        tokio::task::yield_now().await;
        let body = if fetch.url.ends_with("/.well-known/openid-configuration") {
            self.discoveries.fetch_add(1, Ordering::Relaxed);
            let base = fetch.url.trim_end_matches("/.well-known/openid-configuration");
            let itself = self.calls_itself.unwrap_or(base);
            json!({ "issuer": itself, "jwks_uri": format!("{base}/keys") })
        } else {
            self.key_fetches.fetch_add(1, Ordering::Relaxed);
            let keys = self.keys.lock().unwrap().clone();
            json!({ "keys": keys.ok_or(OutboundFault::Unreachable)? })
        };
        let (status, headers) = (StatusCode::OK, axum::http::HeaderMap::new());
        Ok(Fetched { status, headers, body: body.to_string().into() })
    }
}

/// A provider's private key.
struct Signer {
    pair: Ed25519KeyPair,
    kid: String,
}

impl Signer {
    fn new(kid: &str) -> Self {
        Self { pair: Ed25519KeyPair::generate().unwrap(), kid: kid.to_owned() }
    }

    fn jwk(&self) -> Value {
        let x = B64.encode(self.pair.public_key().as_ref());
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": self.kid, "x": x, "use": "sig" })
    }

    fn head(&self) -> Value {
        json!({ "alg": "EdDSA", "kid": self.kid, "typ": "JWT" })
    }

    fn sign(&self, head: &Value, claims: &Value) -> String {
        let message = message(head, claims);
        let signature = B64.encode(self.pair.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }

    fn token(&self, claims: &Value) -> String {
        self.sign(&self.head(), claims)
    }
}

fn message(head: &Value, claims: &Value) -> String {
    format!("{}.{}", B64.encode(head.to_string()), B64.encode(claims.to_string()))
}

fn claims() -> Value {
    let secs = NOW.0 / 1000;
    json!({ "iss": ISSUER, "sub": "ada", "aud": "us", "exp": secs + 300, "iat": secs - 10 })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn algorithms() -> Vec<String> {
    ["EdDSA", "ES256", "RS256"].map(str::to_owned).to_vec()
}

fn expected(algorithms: &[String]) -> Expected<'_> {
    let audiences = &["us"];
    Expected {
        org: ORG,
        issuer: ISSUER,
        jwks_uri: None,
        algorithms,
        audiences,
        skew_secs: 60,
        nonce: None,
    }
}

async fn verify(issuers: &Issuers, token: &str) -> Result<Map<String, Value>, Rejected> {
    issuers.verify(&expected(&algorithms()), token, NOW).await
}

#[tokio::test]
async fn a_token_that_is_all_that_was_expected_is_believed() {
    let signer = Signer::new("a");
    let issuers = Issuers::new(Provider::with(json!([signer.jwk()])));

    for claims in [claims(), with("aud", json!(["them", "us"])), with("exp", json!(1.9e9))] {
        let believed = verify(&issuers, &signer.token(&claims)).await.unwrap();
        assert_eq!(believed.get("sub"), Some(&json!("ada")));
    }
    let no_kid = signer.sign(&json!({ "alg": "EdDSA" }), &claims());
    assert!(verify(&issuers, &no_kid).await.is_ok(), "there is only one key");
}

#[tokio::test]
async fn every_usual_kind_of_key_verifies() {
    let random = SystemRandom::new();
    let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = ec.public_key().as_ref();
    let (x, y) = (B64.encode(&point[1..33]), B64.encode(&point[33..]));
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let n = B64.encode(rsa.public_key().modulus().big_endian_without_leading_zero());
    let e = B64.encode(rsa.public_key().exponent().big_endian_without_leading_zero());
    let keys = json!([
        { "kty": "oct", "kid": "secret", "k": "AAAA" },
        { "kty": "EC", "crv": "P-256", "kid": "ec", "x": x, "y": y, "alg": "ES256" },
        { "kty": "RSA", "kid": "rsa", "n": n, "e": e },
        { "kty": "XX", "kid": "new" },
    ]);
    let issuers = Issuers::new(Provider::with(keys));

    let text = message(&json!({ "alg": "ES256", "kid": "ec" }), &claims());
    let signed = B64.encode(ec.sign(&random, text.as_bytes()).unwrap());
    assert!(verify(&issuers, &format!("{text}.{signed}")).await.is_ok());

    let text = message(&json!({ "alg": "RS256", "kid": "rsa" }), &claims());
    let mut signed = vec![0; rsa.public_modulus_len()];
    rsa.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signed).unwrap();
    assert!(verify(&issuers, &format!("{text}.{}", B64.encode(&signed))).await.is_ok());

    // The public key as the secret of an HMAC: the oldest trick.
    let der: PublicKeyX509Der<'_> = rsa.public_key().as_der().unwrap();
    let text = message(&json!({ "alg": "HS256", "kid": "rsa" }), &claims());
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, der.as_ref());
    let forged = B64.encode(aws_lc_rs::hmac::sign(&key, text.as_bytes()));
    let forged = format!("{text}.{forged}");
    assert_eq!(verify(&issuers, &forged).await, Err(Rejected::Algorithm));
    let mut careless = algorithms();
    careless.push("HS256".to_owned());
    let refused = issuers.verify(&expected(&careless), &forged, NOW).await;
    assert_eq!(refused, Err(Rejected::Algorithm), "not even where it was configured");
}

#[tokio::test]
async fn what_a_token_brings_along_does_not_choose_its_key() {
    let (signer, thief) = (Signer::new("a"), Signer::new("a"));
    let provider = Provider::with(json!([signer.jwk()]));
    let issuers = Issuers::new(Arc::clone(&provider) as Arc<dyn Outbound>);
    for (name, value) in [
        ("jwk", thief.jwk()),
        ("jku", json!("https://thief.example.com/keys")),
        ("x5u", json!("https://thief.example.com/cert")),
        ("x5c", json!(["AAAA"])),
    ] {
        let mut head = thief.head();
        head[name] = value;
        let refused = verify(&issuers, &thief.sign(&head, &claims())).await;
        assert_eq!(refused, Err(Rejected::Signature), "{name}");
    }
    assert_eq!(provider.fetches(), 1, "of its own address");
}

#[tokio::test]
async fn tokens_that_are_wrong_in_any_way_are_rejected() {
    let signer = Signer::new("a");
    let issuers = Issuers::new(Provider::with(json!([signer.jwk()])));
    let (good, secs) = (claims(), NOW.0 / 1000);
    let head = |alg: &str| json!({ "alg": alg, "kid": "a" });
    let unsigned = |alg: &str| format!("{}.", message(&head(alg), &good));
    let mut critical = signer.head();
    critical["crit"] = json!(["b64"]);
    let mut logout = signer.head();
    logout["typ"] = json!("logout+jwt");
    let mut altered = signer.token(&good);
    altered.truncate(altered.rfind('.').unwrap());
    let short = format!("{altered}.{}", B64.encode([0; 63]));
    let rows = [
        ("none", unsigned("none")),
        ("NoNe", unsigned("NoNe")),
        ("an empty algorithm", unsigned("")),
        ("no signature", unsigned("EdDSA")),
        ("HS256", signer.sign(&head("HS256"), &good)),
        ("another algorithm than its key's", signer.sign(&head("ES256"), &good)),
        ("eddsa in small letters", signer.sign(&head("eddsa"), &good)),
        ("an extension", signer.sign(&critical, &good)),
        ("a token for logging out", signer.sign(&logout, &good)),
        ("a short signature", short),
        ("a foreign issuer", signer.token(&with("iss", json!(OTHER)))),
        ("an issuer with a slash", signer.token(&with("iss", json!(format!("{ISSUER}/"))))),
        ("no issuer", signer.token(&with("iss", Value::Null))),
        ("a list of issuers", signer.token(&with("iss", json!([ISSUER])))),
        ("a foreign audience", signer.token(&with("aud", json!("them")))),
        ("no audience", signer.token(&with("aud", Value::Null))),
        ("a nested audience", signer.token(&with("aud", json!([["us"]])))),
        ("expired beyond the skew", signer.token(&with("exp", json!(secs - 60)))),
        ("no end", signer.token(&with("exp", Value::Null))),
        ("an end in words", signer.token(&with("exp", json!("tomorrow")))),
        ("an end beyond all time", signer.token(&with("exp", json!(1e300)))),
        ("a negative end", signer.token(&with("exp", json!(-1)))),
        ("not yet", signer.token(&with("nbf", json!(secs + 61)))),
        ("issued in the future", signer.token(&with("iat", json!(secs + 61)))),
        ("huge", signer.token(&with("pad", json!("x".repeat(100_000))))),
        ("two parts", "ey.ey".to_owned()),
        ("five parts", format!("{}.a.b", signer.token(&good))),
        ("no JSON", "eyJh.eyJh.eyJh".to_owned()),
        ("nothing", String::new()),
    ];
    for (what, token) in rows {
        assert!(verify(&issuers, &token).await.is_err(), "{what}");
    }
    for skewed in [with("exp", json!(secs - 59)), with("nbf", json!(secs + 59))] {
        assert!(verify(&issuers, &signer.token(&skewed)).await.is_ok());
    }
}

#[tokio::test]
async fn two_issuers_with_one_kid_do_not_speak_for_each_other() {
    let (ours, theirs) = (Signer::new("1"), Signer::new("1"));
    let issuers = Issuers::new(Provider::with(json!([ours.jwk()])));
    assert!(verify(&issuers, &ours.token(&claims())).await.is_ok());

    assert_eq!(verify(&issuers, &theirs.token(&claims())).await, Err(Rejected::Signature));

    let lying = Provider { calls_itself: Some(OTHER), ..Provider::default() };
    lying.publish(Some(json!([theirs.jwk()])));
    let refused = verify(&Issuers::new(Arc::new(lying)), &theirs.token(&claims())).await;
    let why = ProviderFault::Unreadable("it is the document of another issuer");
    assert_eq!(refused, Err(Rejected::Provider(why)));
}

#[tokio::test]
async fn a_nonce_is_held_against_the_sign_in() {
    let signer = Signer::new("a");
    let issuers = Issuers::new(Provider::with(json!([signer.jwk()])));
    let algorithms = algorithms();
    let sign_in = Expected { nonce: Some("n"), ..expected(&algorithms) };

    for (claims, good) in
        [(with("nonce", json!("n")), true), (with("nonce", json!("m")), false), (claims(), false)]
    {
        let verified = issuers.verify(&sign_in, &signer.token(&claims), NOW).await;
        assert_eq!(verified.is_ok(), good, "{claims}");
    }
}

#[tokio::test(start_paused = true)]
async fn random_kids_cost_one_fetch_in_ten_seconds_and_known_keys_go_on_working() {
    let signer = Signer::new("a");
    let provider = Provider::with(json!([signer.jwk()]));
    let issuers = Arc::new(Issuers::new(Arc::clone(&provider) as Arc<dyn Outbound>));
    let good = signer.token(&claims());
    assert!(verify(&issuers, &good).await.is_ok());
    tokio::time::advance(FLOOR).await;

    let flood = (0..10_000).map(|at| {
        let issuers = Arc::clone(&issuers);
        let stranger = json!({ "alg": "EdDSA", "kid": format!("random {at}") });
        let token = signer.sign(&stranger, &claims());
        async move { verify(&issuers, &token).await.is_err() }
    });
    let refused = futures_util::future::join_all(flood).await;

    assert!(refused.into_iter().all(|refused| refused));
    assert_eq!(provider.fetches(), 2, "the first, and one for all of the flood");
    assert!(verify(&issuers, &good).await.is_ok());
    assert_eq!(provider.discoveries.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_rotated_key_is_found_and_the_old_one_kept_while_the_provider_is_away() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let provider = Provider::with(json!([old.jwk()]));
    let issuers = Issuers::new(Arc::clone(&provider) as Arc<dyn Outbound>);
    let (by_old, by_new) = (old.token(&claims()), new.token(&claims()));
    assert!(verify(&issuers, &by_old).await.is_ok());

    provider.publish(None);
    tokio::time::advance(2 * FRESH).await;
    issuers.refresh_ahead().await;
    assert!(verify(&issuers, &by_old).await.is_ok(), "it is away");
    assert!(verify(&issuers, &by_new).await.is_err());

    provider.publish(Some(json!([new.jwk()])));
    assert!(verify(&issuers, &by_new).await.is_err(), "it was asked a moment ago");
    tokio::time::advance(FLOOR).await;
    assert!(verify(&issuers, &by_new).await.is_ok());
    assert_eq!(verify(&issuers, &by_old).await, Err(Rejected::UnknownKey), "it was withdrawn");
}

#[tokio::test(start_paused = true)]
async fn old_keys_are_renewed_before_anybody_waits_for_them() {
    let signer = Signer::new("a");
    let provider = Provider::with(json!([signer.jwk()]));
    let issuers = Issuers::new(Arc::clone(&provider) as Arc<dyn Outbound>);
    assert!(verify(&issuers, &signer.token(&claims())).await.is_ok());

    issuers.refresh_ahead().await;
    assert_eq!(provider.fetches(), 1, "they are fresh");
    tokio::time::advance(FRESH).await;
    issuers.refresh_ahead().await;
    assert_eq!(provider.fetches(), 2);
}

#[tokio::test]
async fn an_org_with_ever_new_issuers_drives_out_its_own_and_nobody_elses() {
    let signer = Signer::new("a");
    let provider = Provider::with(json!([signer.jwk()]));
    let issuers = Issuers::new(Arc::clone(&provider) as Arc<dyn Outbound>);
    assert!(verify(&issuers, &signer.token(&claims())).await.is_ok());

    let thief = OrgId::from_bytes([2; 16]);
    for at in 0..2 * ISSUERS_MAX {
        let issuer = format!("https://{at}.example.com");
        drop(lock(&issuers.key_sets).get(thief, &issuer, None));
    }

    let kept = lock(&issuers.key_sets).kept.len();
    assert_eq!(kept, 1 + ISSUERS_OF_ORG_MAX);
    assert!(verify(&issuers, &signer.token(&claims())).await.is_ok());
    assert_eq!(provider.fetches(), 1, "its keys were kept");
}

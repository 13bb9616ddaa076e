//! A provider's key set (RFC 7517), as far as signatures are checked with it.

use super::ProviderFault;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

/// Keys that are kept of one set.
pub const KEYS_MAX: usize = 128;
/// Bytes of a `kid`, at most.
pub const KID_BYTES_MAX: usize = 256;
/// Bits of an RSA modulus (RFC 7518, section 3.3, and what the cryptography takes).
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// One public key, and what it is for.
#[derive(Clone, Debug)]
pub struct Key {
    kid: Option<String>,
    shape: Shape,
    /// The only algorithm that it is for, if its set says so.
    alg: Option<Algorithm>,
    key: DecodingKey,
}

/// Kinds of keys; each goes with its own algorithms only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Rsa,
    P256,
    P384,
    Ed25519,
}

#[derive(Debug, Default)]
pub struct KeySet(Vec<Key>);

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a set. Keys that no signature is checked with are left out, and so are those of no
    /// known kind: a set may have more than we know.
    pub fn read(body: &[u8]) -> Result<Self, ProviderFault> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(body)
            .map_err(|_| ProviderFault::Unreadable("it is no key set"))?;
        let keys = set.keys.into_iter().filter_map(|key| Key::read(key).ok().flatten());
        Ok(Self(keys.take(KEYS_MAX).collect()))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one key with this `kid` that is for `algorithm`. A token without a `kid` is checked with
    /// the only key for its algorithm, if there is but one.
    pub fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<Key> {
        let named = |key: &&Key| kid.is_none() || key.kid.as_deref() == kid;
        let mut fitting = self.0.iter().filter(|key| key.is_for(algorithm)).filter(named);
        let first = fitting.next()?;
        fitting.next().is_none().then(|| first.clone())
    }
}

impl Key {
    /// A public key in PEM (RFC 7468), of any of the kinds that are known.
    pub fn from_pem(pem: &str) -> Option<Self> {
        let bytes = pem.as_bytes();
        let of = |shape, key| Self { kid: None, shape, alg: None, key };
        if let Ok(key) = DecodingKey::from_ed_pem(bytes) {
            return Some(of(Shape::Ed25519, key));
        }
        if let Ok(key) = DecodingKey::from_rsa_pem(bytes) {
            return Some(of(Shape::Rsa, key));
        }
        let key = DecodingKey::from_ec_pem(bytes).ok()?;
        let shape = match key.try_get_as_bytes().ok()?.len() {
            65 => Shape::P256,
            97 => Shape::P384,
            _ => return None,
        };
        Some(of(shape, key))
    }

    /// An Ed25519 public key of 32 bytes.
    pub fn from_ed25519(public: &[u8]) -> Self {
        let key = DecodingKey::from_ed_der(public);
        Self { kid: None, shape: Shape::Ed25519, alg: Some(Algorithm::EdDSA), key }
    }

    pub fn is_for(&self, algorithm: Algorithm) -> bool {
        self.alg.is_none_or(|alg| alg == algorithm) && shape_of(algorithm) == Some(self.shape)
    }

    pub(super) fn decoding_key(&self) -> &DecodingKey {
        &self.key
    }

    fn read(key: Value) -> serde_json::Result<Option<Self>> {
        let jwk: Jwk = serde_json::from_value(key)?;
        let for_signatures = jwk.purpose.as_deref().is_none_or(|purpose| purpose == "sig");
        let short = jwk.kid.as_ref().is_none_or(|kid| kid.len() <= KID_BYTES_MAX);
        if !for_signatures || !short {
            return Ok(None);
        }
        let alg = match jwk.alg.as_deref().map(algorithm) {
            Some(None) => return Ok(None),
            Some(known) => known,
            None => None,
        };
        let part = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        let found = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => part(&jwk.n)
                .zip(part(&jwk.e))
                .filter(|(n, _)| is_rsa(n))
                .map(|(n, e)| (Shape::Rsa, DecodingKey::from_rsa_raw_components(&n, &e))),
            ("EC", Some("P-256")) => {
                ec(part(&jwk.x), part(&jwk.y), 32).map(|key| (Shape::P256, key))
            }
            ("EC", Some("P-384")) => {
                ec(part(&jwk.x), part(&jwk.y), 48).map(|key| (Shape::P384, key))
            }
            ("OKP", Some("Ed25519")) => part(&jwk.x)
                .filter(|x| x.len() == 32)
                .map(|x| (Shape::Ed25519, DecodingKey::from_ed_der(&x))),
            _ => None,
        };
        Ok(found.map(|(shape, key)| Self { kid: jwk.kid, shape, alg, key }))
    }
}

/// The algorithm of this name, if it is one of public keys. `none` and `HS*` are no algorithms.
pub fn algorithm(word: &str) -> Option<Algorithm> {
    match word {
        "RS256" => Some(Algorithm::RS256),
        "RS384" => Some(Algorithm::RS384),
        "RS512" => Some(Algorithm::RS512),
        "PS256" => Some(Algorithm::PS256),
        "PS384" => Some(Algorithm::PS384),
        "PS512" => Some(Algorithm::PS512),
        "ES256" => Some(Algorithm::ES256),
        "ES384" => Some(Algorithm::ES384),
        "EdDSA" => Some(Algorithm::EdDSA),
        _ => None,
    }
}

fn shape_of(algorithm: Algorithm) -> Option<Shape> {
    match algorithm {
        Algorithm::RS256
        | Algorithm::RS384
        | Algorithm::RS512
        | Algorithm::PS256
        | Algorithm::PS384
        | Algorithm::PS512 => Some(Shape::Rsa),
        Algorithm::ES256 => Some(Shape::P256),
        Algorithm::ES384 => Some(Shape::P384),
        Algorithm::EdDSA => Some(Shape::Ed25519),
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => None,
        // One that a later version of the crate may know.
        _ => None,
    }
}

fn is_rsa(modulus: &[u8]) -> bool {
    let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
    let bytes = modulus.len().saturating_sub(zeros);
    let spare = modulus.get(zeros).map_or(0, |byte| byte.leading_zeros());
    let bits = (bytes * 8).saturating_sub(usize::try_from(spare).unwrap_or(0));
    RSA_BITS.contains(&bits)
}

/// An uncompressed point (SEC 1, section 2.3.3).
fn ec(x: Option<Vec<u8>>, y: Option<Vec<u8>>, bytes: usize) -> Option<DecodingKey> {
    let (x, y) = (x.filter(|x| x.len() == bytes)?, y.filter(|y| y.len() == bytes)?);
    let point = [&[4], x.as_slice(), y.as_slice()].concat();
    Some(DecodingKey::from_ec_der(&point))
}

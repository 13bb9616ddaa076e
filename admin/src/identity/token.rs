//! One signed token (RFC 7519 over RFC 7515): what it is before, and after, it is believed.

use super::{
    Expected, Rejected,
    jwks::{self, KID_BYTES_MAX, Key},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, crypto};
use policies::time::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Bytes of a token, at most.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Seconds of Unix time beyond which no moment is meant: the year 9999.
const SECS_MAX: f64 = 253_402_300_799.0;

/// A token whose signature nobody has checked. Nothing that it claims may decide anything but with
/// which key it is checked.
pub struct Unverified<'a> {
    head: Head,
    claims: Map<String, Value>,
    message: &'a str,
    signature: &'a str,
}

/// The members of a header that are looked at; the others, keys among them, are not.
#[derive(Deserialize)]
struct Head {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

/// Whether it has the form of a signed token: three parts of base64url with dots between.
pub fn is_token(text: &str) -> bool {
    let of_token = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    text.starts_with("ey")
        && text.bytes().all(of_token)
        && text.bytes().filter(|byte| *byte == b'.').count() == 2
}

impl<'a> Unverified<'a> {
    pub fn read(token: &'a str) -> Result<Self, Rejected> {
        if TOKEN_BYTES_MAX < token.len() {
            return Err(Rejected::TooLong);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(Rejected::Malformed("no parts"))?;
        let (head, body) = message.split_once('.').ok_or(Rejected::Malformed("two parts"))?;
        let decoded = |part: &str| {
            URL_SAFE_NO_PAD.decode(part).map_err(|_| Rejected::Malformed("not base64url"))
        };
        let head: Head = serde_json::from_slice(&decoded(head)?)
            .map_err(|_| Rejected::Malformed("its header cannot be read"))?;
        let claims = serde_json::from_slice(&decoded(body)?)
            .map_err(|_| Rejected::Malformed("its claims cannot be read"))?;
        // An extension that must be understood is one that we do not (RFC 7515, section 4.1.11).
        if head.crit.is_some() {
            return Err(Rejected::Malformed("it needs an extension"));
        }
        if head.kid.as_ref().is_some_and(|kid| KID_BYTES_MAX < kid.len()) {
            return Err(Rejected::Malformed("its `kid` is too long"));
        }
        if !head.typ.as_deref().is_none_or(is_usual) {
            return Err(Rejected::Malformed("it is a token for another purpose"));
        }
        Ok(Self { head, claims, message, signature })
    }

    pub fn kid(&self) -> Option<&str> {
        self.head.kid.as_deref()
    }

    /// Who it says has issued it: good for finding the issuer that is configured, no more.
    pub fn claimed_issuer(&self) -> Option<&str> {
        text(&self.claims, "iss")
    }

    /// To whom it says it is made out.
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        strings(self.claims.get("aud"))
    }

    /// Its algorithm, which must be one of `allowed`.
    pub fn algorithm_among(&self, allowed: &[String]) -> Result<Algorithm, Rejected> {
        let listed = allowed.contains(&self.head.alg);
        let algorithm = jwks::algorithm(&self.head.alg).filter(|_| listed);
        algorithm.ok_or(Rejected::Algorithm)
    }

    /// Whether it claims what is expected: one that does not is not worth a signature.
    pub fn might_be(&self, expected: &Expected<'_>, now: Timestamp) -> bool {
        let algorithm = self.algorithm_among(expected.algorithms);
        algorithm.is_ok() && self.must_claim(expected, now).is_ok()
    }

    pub(super) fn must_claim(
        &self,
        expected: &Expected<'_>,
        now: Timestamp,
    ) -> Result<(), Rejected> {
        check(&self.claims, expected, now)
    }

    /// Its claims, if `key` has signed them. Whether they are good is another question.
    pub fn signed_by(
        self,
        key: &Key,
        algorithm: Algorithm,
    ) -> Result<Map<String, Value>, Rejected> {
        let same = jwks::algorithm(&self.head.alg) == Some(algorithm);
        if !same || !key.is_for(algorithm) {
            return Err(Rejected::Algorithm);
        }
        let message = self.message.as_bytes();
        match crypto::verify(self.signature, message, key.decoding_key(), algorithm) {
            Ok(true) => Ok(self.claims),
            Ok(false) | Err(_) => Err(Rejected::Signature),
        }
    }
}

/// Tokens of other kinds (logout, DPoP proofs, security events) say so in `typ` and must not pass
/// for one of these (RFC 8725, section 3.11; RFC 9068, section 2.1).
fn is_usual(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    matches!(typ.as_str(), "jwt" | "at+jwt" | "application/jwt" | "application/at+jwt")
}

/// Checks issuer, audience, times and nonce.
pub fn check(
    claims: &Map<String, Value>,
    expected: &Expected<'_>,
    now: Timestamp,
) -> Result<(), Rejected> {
    if text(claims, "iss") != Some(expected.issuer) {
        return Err(Rejected::Claim("iss"));
    }
    let ours = |audience: &str| expected.audiences.contains(&audience);
    if !strings(claims.get("aud")).any(ours) {
        return Err(Rejected::Claim("aud"));
    }
    check_times(claims, expected.skew_secs, now)?;
    if let Some(nonce) = expected.nonce {
        if text(claims, "nonce") != Some(nonce) {
            return Err(Rejected::Claim("nonce"));
        }
        // OpenID Connect Core 1.0, section 3.1.3.7.
        if text(claims, "azp").is_some_and(|party| !ours(party)) {
            return Err(Rejected::Claim("azp"));
        }
    }
    Ok(())
}

/// `exp` must be there; `nbf` and `iat` hold if they are.
pub fn check_times(
    claims: &Map<String, Value>,
    skew_secs: u32,
    now: Timestamp,
) -> Result<(), Rejected> {
    let skew = i64::from(skew_secs) * 1000;
    let expires = moment(claims, "exp")?.ok_or(Rejected::Claim("exp"))?;
    if expires.plus_millis(skew) <= now {
        return Err(Rejected::Expired);
    }
    for name in ["nbf", "iat"] {
        if moment(claims, name)?.is_some_and(|from| now.plus_millis(skew) < from) {
            return Err(Rejected::NotYet);
        }
    }
    Ok(())
}

/// A claim that is a moment (RFC 7519, `NumericDate`: seconds, with a fraction or without).
pub fn moment(
    claims: &Map<String, Value>,
    name: &'static str,
) -> Result<Option<Timestamp>, Rejected> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    if let Some(secs) = value.as_i64().filter(|secs| (0..=253_402_300_799).contains(secs)) {
        return Ok(Some(Timestamp(secs * 1000)));
    }
    let secs = value.as_f64().filter(|secs| (0.0..=SECS_MAX).contains(secs));
    let secs = secs.ok_or(Rejected::Claim(name))?;
    // Within the bounds above a millisecond is no problem for either type.
    #[expect(clippy::cast_possible_truncation, reason = "bounded above")]
    Ok(Some(Timestamp((secs * 1000.0) as i64)))
}

/// A claim that is a text, and not an empty one.
pub fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    claims.get(name)?.as_str().filter(|text| !text.is_empty())
}

/// A claim that is one text or a list of them.
pub fn strings(claim: Option<&Value>) -> impl Iterator<Item = &str> {
    let one = claim.and_then(Value::as_str);
    let list = claim.and_then(Value::as_array).into_iter().flatten();
    one.into_iter().chain(list.filter_map(Value::as_str))
}

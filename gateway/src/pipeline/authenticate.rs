//! Stage 1: who is asking. Reads headers only.

use super::identity::{Bearer, Identities};
use crate::{
    doorman::Doorman,
    snapshot::{KnownKey, Snapshot, World},
};
use admin::identity::token;
use aws_lc_rs::digest;
use http::{HeaderMap, HeaderName, header};
use policies::{
    ids::OrgId,
    key::{ADMIN_KEY_PREFIX, KEY_PREFIX},
    refusal::{Place, Refusal},
    time::Timestamp,
};
use std::{net::IpAddr, sync::Arc};

/// Bytes of a credential, at most.
const CREDENTIAL_BYTES_MAX: usize = token::TOKEN_BYTES_MAX;

/// The headers that may carry a Penstock key: OpenAI's, Anthropic's, Azure's, and our own.
static KEY_HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("x-penstock-key"),
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
];

/// OpenAI's header for naming an org.
pub const ORGANIZATION: HeaderName = HeaderName::from_static("openai-organization");
/// Our own, as in administration.
pub const ORG: HeaderName = HeaderName::from_static("x-penstock-org");

/// The org that a request names. That both headers agree is checked where the org is known.
pub fn organization(headers: &HeaderMap) -> Option<&str> {
    let named = headers.get(&ORG).or_else(|| headers.get(&ORGANIZATION));
    named.and_then(|value| value.to_str().ok()).filter(|org| !org.is_empty())
}

/// Someone whose credential is known.
pub struct Caller {
    world: Arc<World>,
    holder: Holder,
    address: IpAddr,
}

/// Whose credential it is.
#[derive(Clone, Debug)]
pub enum Holder {
    Key(KnownKey),
    /// Of a signed token.
    Bearer(Bearer),
}

impl Holder {
    pub fn org(&self) -> OrgId {
        match self {
            Self::Key(known) => known.org,
            Self::Bearer(bearer) => bearer.org,
        }
    }
}

impl Caller {
    pub fn holder(&self) -> &Holder {
        &self.holder
    }

    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The world in which the key was found: everything later is read from the same one.
    pub fn world(&self) -> &Arc<World> {
        &self.world
    }
}

/// What stage 1 looks at beside the request.
pub struct Gate<'a> {
    pub snapshot: &'a Snapshot,
    pub doorman: &'a Doorman,
    pub identities: &'a Identities,
    pub now: Timestamp,
}

/// Waits only for keys of an issuer that are not known yet.
pub async fn authenticate(
    gate: Gate<'_>,
    headers: &HeaderMap,
    address: IpAddr,
) -> Result<Caller, Refusal> {
    let Gate { snapshot, doorman, identities, now } = gate;
    let world = snapshot.current();
    let holder = match credential(headers)? {
        Some(secret) if !secret.starts_with(KEY_PREFIX) && token::is_token(secret) => {
            let org = organization(headers);
            identities.bearer(&world, secret, org, now).await?.map(Holder::Bearer)
        }
        Some(secret) => {
            let hash = digest::digest(&digest::SHA256, secret.as_bytes());
            let hash = hash.as_ref().try_into().ok();
            hash.and_then(|hash| world.key(&hash)).map(Holder::Key)
        }
        None => None,
    };
    let Some(holder) = holder else {
        let patience = doorman.failed(address);
        let is_admin_key = credential(headers)?.is_some_and(|it| it.starts_with(ADMIN_KEY_PREFIX));
        return Err(match (patience, is_admin_key) {
            (true, false) => Refusal::Unauthenticated,
            (true, true) => Refusal::AdminKey,
            (false, _) => flood("your address", doorman.failures_max()),
        });
    };
    let key = match &holder {
        Holder::Key(known) => known.key,
        Holder::Bearer(bearer) => bearer.flood_key(),
    };
    if !doorman.admits(&key) {
        return Err(flood("your key", doorman.key_max()));
    }
    Ok(Caller { world, holder, address })
}

fn flood(level: &'static str, limit: i64) -> Refusal {
    Refusal::RateLimited { place: Place { level, own: true }, limit, retry_millis: 1_000 }
}

/// The one credential of the request. Two different ones are refused: else a restriction could
/// hang on which of them is looked at.
fn credential(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let bearers = headers.get_all(header::AUTHORIZATION).into_iter();
    let bearer = bearers.map(|value| {
        let text = value.to_str().unwrap_or_default();
        let (scheme, secret) = text.split_once(' ').unwrap_or((text, ""));
        if scheme.eq_ignore_ascii_case("bearer") { secret.trim() } else { "" }
    });
    let named = KEY_HEADERS.iter().flat_map(|name| headers.get_all(name));
    let named = named.map(|value| value.to_str().unwrap_or_default().trim());
    let mut found = None;
    for secret in bearer.chain(named) {
        match found {
            None => found = Some(secret),
            Some(other) if other == secret => {}
            Some(_) => return Err(Refusal::AmbiguousCredentials),
        }
    }
    Ok(found.filter(|secret| (1..=CREDENTIAL_BYTES_MAX).contains(&secret.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, http::HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_key_is_taken_from_any_of_the_headers_that_clients_use() {
        for (name, value) in [
            ("authorization", "Bearer k"),
            ("authorization", "bearer  k"),
            ("x-api-key", "k"),
            ("api-key", "k"),
            ("x-penstock-key", "k"),
        ] {
            assert_eq!(credential(&headers(&[(name, value)])), Ok(Some("k")), "{name}: {value}");
        }
        let twice = headers(&[("authorization", "Bearer k"), ("x-api-key", "k")]);
        assert_eq!(credential(&twice), Ok(Some("k")));
    }

    #[test]
    fn two_different_credentials_are_none() {
        for other in [("x-api-key", "b"), ("authorization", "Bearer b"), ("api-key", "")] {
            let both = headers(&[("authorization", "Bearer a"), other]);
            assert_eq!(credential(&both), Err(Refusal::AmbiguousCredentials), "{other:?}");
        }
    }

    #[test]
    fn other_schemes_are_no_credential() {
        for value in ["Basic a", "Bearer", "Bearer ", "k", ""] {
            assert_eq!(credential(&headers(&[("authorization", value)])), Ok(None), "{value}");
        }
    }
}

//! Whose word is taken: issuers of tokens, their keys, and what a token must say to be believed.
//!
//! The key of a signature is chosen by the issuer that an administrator configured, the token's
//! `kid` and an algorithm that the administrator allowed. The token's own `alg` is only compared,
//! and keys or addresses of keys that a token brings along are never looked at (RFC 8725, 3.1 and
//! 3.10).

pub mod credential;
pub mod jwks;
pub mod kept;
pub mod token;

use self::{jwks::KeySet, kept::Kept, token::Unverified};
use crate::outbound::{Fetch, Outbound, OutboundFault};
use axum::http::{HeaderValue, StatusCode, header};
use futures_util::{StreamExt, stream};
use policies::{ids::OrgId, time::Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Issuers whose documents are kept at once; the one asked for least recently makes room.
const ISSUERS_MAX: usize = 4096;
/// The same of one org, as many as it may name: beyond that its own make room, and nobody else's.
const ISSUERS_OF_ORG_MAX: usize = 64;
/// Key sets that are renewed ahead at once.
const RENEWALS_MAX: usize = 8;
/// A document is fetched again when it is this old.
const FRESH: Duration = Duration::from_secs(3600);

/// Why a token was not believed. For logs and administrators; a caller only learns that it was not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    #[error("the token is longer than {} bytes", token::TOKEN_BYTES_MAX)]
    TooLong,
    #[error("it is no signed JSON web token: {0}")]
    Malformed(&'static str),
    #[error("its algorithm is not among those that are accepted")]
    Algorithm,
    #[error("no key of its issuer has its `kid` and algorithm")]
    UnknownKey,
    #[error("its signature is wrong")]
    Signature,
    #[error("`{0}` is missing, or not what it must be")]
    Claim(&'static str),
    #[error("it has expired")]
    Expired,
    #[error("it is not good yet")]
    NotYet,
    #[error("the issuer's documents cannot be had: {0}")]
    Provider(#[from] ProviderFault),
}

/// Why a provider's document cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderFault {
    #[error(transparent)]
    Outbound(#[from] OutboundFault),
    #[error("it answers with status {0}")]
    Status(u16),
    #[error("it cannot be read: {0}")]
    Unreadable(&'static str),
    /// An earlier try is too recent, or too many wait for it.
    #[error("it was asked for a moment ago")]
    TooSoon,
}

/// What a token must be.
#[derive(Clone, Debug)]
pub struct Expected<'a> {
    /// The org that takes the issuer's word.
    pub org: OrgId,
    pub issuer: &'a str,
    /// Where the keys are; none: where the discovery document says.
    pub jwks_uri: Option<&'a str>,
    pub algorithms: &'a [String],
    /// `aud` must name one of these.
    pub audiences: &'a [&'a str],
    /// Seconds by which its clock may differ from ours.
    pub skew_secs: u32,
    /// The nonce of a sign-in; none where there was none.
    pub nonce: Option<&'a str>,
}

/// An OpenID provider's description of itself (OpenID Connect Discovery 1.0, section 3).
#[derive(Clone, Debug, Deserialize)]
pub struct Discovery {
    pub issuer: String,
    pub jwks_uri: String,
    pub authorization_endpoint: Option<String>,
    pub token_endpoint: Option<String>,
    pub device_authorization_endpoint: Option<String>,
    pub end_session_endpoint: Option<String>,
    pub userinfo_endpoint: Option<String>,
    pub scopes_supported: Option<Vec<String>>,
    /// None: `client_secret_basic` alone.
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// Whether its answers to a browser say who it is (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

/// Every issuer that is asked about, with its documents. Shared by both planes.
pub struct Issuers {
    outbound: Arc<dyn Outbound>,
    discoveries: Mutex<Shelf<Discovery>>,
    key_sets: Mutex<Shelf<KeySet>>,
}

/// Documents by issuer, and by the address of the keys where an administrator gave one.
struct Shelf<T> {
    kept: HashMap<Name, Place<T>>,
    asked: u64,
}

/// A document with when it was last asked for, and the org that asked first.
struct Place<T> {
    asked: u64,
    org: OrgId,
    kept: Arc<Kept<T>>,
}

type Name = (String, Option<String>);

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { kept: HashMap::new(), asked: 0 }
    }
}

impl<T> Shelf<T> {
    fn get(&mut self, org: OrgId, issuer: &str, jwks_uri: Option<&str>) -> Arc<Kept<T>> {
        self.asked += 1;
        let name = (issuer.to_owned(), jwks_uri.map(str::to_owned));
        if !self.kept.contains_key(&name) {
            self.make_room(org);
        }
        let asked = self.asked;
        let new = || Place { asked, org, kept: Arc::default() };
        let place = self.kept.entry(name).or_insert_with(new);
        place.asked = asked;
        Arc::clone(&place.kept)
    }

    fn make_room(&mut self, org: OrgId) {
        let theirs = self.kept.values().filter(|place| place.org == org).count();
        let too_many = ISSUERS_OF_ORG_MAX <= theirs;
        if !too_many && self.kept.len() < ISSUERS_MAX {
            return;
        }
        let going = self.kept.iter().filter(|(_, place)| !too_many || place.org == org);
        let oldest = going.min_by_key(|(_, place)| place.asked).map(|(name, _)| name.clone());
        if let Some(oldest) = oldest {
            self.kept.remove(&oldest);
        }
    }
}

impl Issuers {
    pub fn new(outbound: Arc<dyn Outbound>) -> Self {
        Self { outbound, discoveries: Mutex::default(), key_sets: Mutex::default() }
    }

    /// The way out, for the further steps of a sign-in.
    pub fn outbound(&self) -> &Arc<dyn Outbound> {
        &self.outbound
    }

    /// The provider's description of itself, at most an hour old unless the provider is away.
    /// `org`: the one that takes its word.
    pub async fn discovery(
        &self,
        org: OrgId,
        issuer: &str,
    ) -> Result<Arc<Discovery>, ProviderFault> {
        let kept = lock(&self.discoveries).get(org, issuer, None);
        let known = kept.good();
        if let Some(good) = known.as_ref().filter(|good| good.age() < FRESH) {
            return Ok(good.value());
        }
        let seen = known.as_ref().map(|good| good.edition());
        match kept.renew(seen, || self.fetch_discovery(issuer)).await {
            Ok(good) => Ok(good.value()),
            Err(fault) => known.map(|good| good.value()).ok_or(fault),
        }
    }

    /// The claims of a token that is all that was expected. A key that is known costs no wait.
    pub async fn verify(
        &self,
        expected: &Expected<'_>,
        token: &str,
        now: Timestamp,
    ) -> Result<Map<String, Value>, Rejected> {
        let unverified = Unverified::read(token)?;
        let algorithm = unverified.algorithm_among(expected.algorithms)?;
        let kept = lock(&self.key_sets).get(expected.org, expected.issuer, expected.jwks_uri);
        let mut good = kept.good();
        let mut key = good.as_ref().and_then(|good| good.value().find(unverified.kid(), algorithm));
        if key.is_none() {
            // A token of somebody else is no reason to fetch anything.
            unverified.must_claim(expected, now)?;
            let seen = good.as_ref().map(|good| good.edition());
            let fetched = kept.renew(seen, || self.fetch_keys(expected)).await;
            let fetched = match fetched {
                Ok(fetched) => fetched,
                Err(ProviderFault::TooSoon) if good.is_some() => return Err(Rejected::UnknownKey),
                Err(fault) => return Err(fault.into()),
            };
            key = fetched.value().find(unverified.kid(), algorithm);
            good = Some(fetched);
        }
        drop(good);
        let claims = unverified.signed_by(&key.ok_or(Rejected::UnknownKey)?, algorithm)?;
        token::check(&claims, expected, now)?;
        Ok(claims)
    }

    /// Renews key sets that have become old, so that no request has to wait for it. To be called
    /// every few seconds; it may take as long as the slowest of them.
    pub async fn refresh_ahead(&self) {
        let old: Vec<_> = {
            let shelf = lock(&self.key_sets);
            let all = shelf.kept.iter();
            let old = all.filter_map(|((issuer, jwks_uri), place)| {
                let (org, kept) = (place.org, Arc::clone(&place.kept));
                let good = kept.good().filter(|good| FRESH <= good.age())?;
                Some(((org, issuer.clone(), jwks_uri.clone()), kept, good.edition()))
            });
            old.collect()
        };
        // One that answers late holds up no more than its own place.
        let renewals = stream::iter(old).for_each_concurrent(RENEWALS_MAX, async |old| {
            let ((org, issuer, jwks_uri), kept, edition) = old;
            let source = (org, issuer.as_str(), jwks_uri.as_deref());
            let renewed = kept.renew(Some(edition), || self.fetch_key_set(source)).await;
            if let Err(fault) = renewed {
                tracing::warn!(%issuer, %fault, "the keys of an issuer are old");
            }
        });
        renewals.await;
    }

    async fn fetch_keys(&self, expected: &Expected<'_>) -> Result<KeySet, ProviderFault> {
        self.fetch_key_set((expected.org, expected.issuer, expected.jwks_uri)).await
    }

    async fn fetch_key_set(
        &self,
        (org, issuer, jwks_uri): (OrgId, &str, Option<&str>),
    ) -> Result<KeySet, ProviderFault> {
        let url = match jwks_uri {
            Some(url) => url.to_owned(),
            None => self.discovery(org, issuer).await?.jwks_uri.clone(),
        };
        let fetched = KeySet::read(&self.document(&url).await?);
        match &fetched {
            Ok(keys) => tracing::info!(%issuer, keys = keys.len(), "keys fetched"),
            Err(fault) => tracing::warn!(%issuer, %fault, "keys cannot be read"),
        }
        fetched
    }

    async fn fetch_discovery(&self, issuer: &str) -> Result<Discovery, ProviderFault> {
        let base = issuer.strip_suffix('/').unwrap_or(issuer);
        let body = self.document(&format!("{base}/.well-known/openid-configuration")).await?;
        let discovery: Discovery = serde_json::from_slice(&body)
            .map_err(|_| ProviderFault::Unreadable("it is no discovery document"))?;
        // Else one provider could speak for another (OpenID Connect Discovery 1.0, section 4.3).
        if discovery.issuer != issuer {
            return Err(ProviderFault::Unreadable("it is the document of another issuer"));
        }
        Ok(discovery)
    }

    async fn document(&self, url: &str) -> Result<axum::body::Bytes, ProviderFault> {
        let mut fetch = Fetch::get(url);
        fetch.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let fetched = self.outbound.fetch(fetch).await?;
        match fetched.status {
            StatusCode::OK => Ok(fetched.body),
            status => Err(ProviderFault::Status(status.as_u16())),
        }
    }
}

fn lock<T>(shelf: &Mutex<Shelf<T>>) -> std::sync::MutexGuard<'_, Shelf<T>> {
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

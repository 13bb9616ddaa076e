//! The identity provider, as a public client at a command line sees it.

use super::Way;
use admin::{
    identity::{Discovery, Expected, Issuers},
    outbound::Fetched,
};
use anyhow::{Context, bail};
use http::StatusCode;
use policies::authority::INSTALLATION;
use serde::Deserialize;
use std::sync::Arc;
use store::clock;

/// Signature algorithms of ID tokens that are accepted here; the gateway has its own list.
const ALGORITHMS: [&str; 8] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "ES256", "ES384", "EdDSA"];
const SKEW_SECS: u32 = 120;

pub(super) struct Provider {
    discovery: Arc<Discovery>,
    client_id: String,
    scopes: Vec<String>,
}

/// What a token endpoint gives (RFC 6749, section 5.1; OpenID Connect Core 1.0, section 3.1.3.3).
#[derive(Deserialize)]
pub(super) struct Tokens {
    pub(super) id_token: Option<String>,
    pub(super) refresh_token: Option<String>,
}

/// What it says instead (RFC 6749, section 5.2).
#[derive(Deserialize)]
pub(super) struct Fault {
    pub(super) error: String,
    error_description: Option<String>,
}

impl Provider {
    pub(super) async fn find(
        issuers: &Issuers,
        issuer: String,
        client_id: String,
        mut scopes: Vec<String>,
    ) -> anyhow::Result<Self> {
        let discovery = issuers.discovery(INSTALLATION, &issuer).await;
        let discovery = discovery.with_context(|| format!("asking the provider {issuer}"))?;
        let offline = "offline_access";
        let offered = discovery.scopes_supported.iter().flatten().any(|scope| scope == offline);
        if offered && !scopes.iter().any(|scope| scope == offline) {
            scopes.push(offline.to_owned());
        }
        Ok(Self { discovery, client_id, scopes })
    }

    pub(super) fn discovery(&self) -> &Discovery {
        &self.discovery
    }

    pub(super) fn client_id(&self) -> &str {
        &self.client_id
    }

    pub(super) fn scope(&self) -> String {
        self.scopes.join(" ")
    }

    /// Whether a refresh token is asked for: providers give one only if people consent.
    pub(super) fn is_offline(&self) -> bool {
        self.scopes.iter().any(|scope| scope == "offline_access")
    }

    pub(super) fn token_endpoint(&self) -> anyhow::Result<&str> {
        self.discovery.token_endpoint.as_deref().context("the provider has no token endpoint")
    }

    pub(super) async fn refresh(&self, way: &Way, refresh_token: &str) -> anyhow::Result<Tokens> {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
            ("client_id", &self.client_id),
        ];
        read(&way.post(self.token_endpoint()?, &form).await?)
    }

    /// Checks that the ID token is an answer to this sign-in.
    pub(super) async fn check(
        &self,
        way: &Way,
        tokens: &Tokens,
        nonce: &str,
    ) -> anyhow::Result<()> {
        let id_token = tokens.id_token.as_deref().context("the provider gave no ID token")?;
        let algorithms = ALGORITHMS.map(str::to_owned);
        let expected = Expected {
            org: INSTALLATION,
            issuer: &self.discovery.issuer,
            jwks_uri: None,
            algorithms: &algorithms,
            audiences: &[&self.client_id],
            skew_secs: SKEW_SECS,
            nonce: Some(nonce),
        };
        let verified = way.issuers.verify(&expected, id_token, clock::now()).await;
        verified.map(drop).context("the provider's ID token is not good")
    }
}

/// What a token endpoint has answered.
pub(super) fn read(answer: &Fetched) -> anyhow::Result<Tokens> {
    if answer.status != StatusCode::OK {
        bail!("the provider says: {}", told(answer));
    }
    serde_json::from_slice(&answer.body).context("the provider's answer cannot be read")
}

/// The error of an answer, for people.
pub(super) fn told(answer: &Fetched) -> String {
    match serde_json::from_slice::<Fault>(&answer.body) {
        Ok(Fault { error, error_description: Some(more) }) => format!("{error}: {more}"),
        Ok(Fault { error, error_description: None }) => error,
        Err(_) => format!("status {}", answer.status),
    }
}

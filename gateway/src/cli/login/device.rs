//! Signing in with a browser on another device (RFC 8628).

use super::{
    Way,
    provider::{self, Fault, Provider, Tokens},
};
use anyhow::{Context, bail};
use http::StatusCode;
use serde::Deserialize;
use std::time::Duration;
use tokio::time::Instant;

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// Between two questions, where the provider names no time; and what `slow_down` adds to it.
const INTERVAL_SECS: u64 = 5;
/// The longest that any answer makes us wait between two questions.
const INTERVAL_SECS_MAX: u64 = 60;
/// How long a person may take, whatever the provider allows.
const PATIENCE_SECS_MAX: u64 = 1_800;

#[derive(Deserialize)]
struct Started {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: Option<String>,
    expires_in: u64,
    interval: Option<u64>,
}

pub(super) async fn sign_in(way: &Way, provider: &Provider) -> anyhow::Result<Tokens> {
    let endpoint = provider.discovery().device_authorization_endpoint.as_deref();
    let endpoint = endpoint.context("the provider has no sign-in for other devices")?;
    let scope = provider.scope();
    let form = [("client_id", provider.client_id()), ("scope", &scope)];
    let answer = way.post(endpoint, &form).await?;
    if answer.status != StatusCode::OK {
        bail!("the provider says: {}", provider::told(&answer));
    }
    let started: Started = serde_json::from_slice(&answer.body)?;
    let page = started.verification_uri_complete.as_ref().unwrap_or(&started.verification_uri);
    eprintln!("Sign in here:\n\n  {page}\n\nwith the code {}\n", started.user_code);
    ask(way, provider, &started).await
}

/// Asks until the person is done.
async fn ask(way: &Way, provider: &Provider, started: &Started) -> anyhow::Result<Tokens> {
    let over = Instant::now() + Duration::from_secs(started.expires_in.min(PATIENCE_SECS_MAX));
    let mut interval = started.interval.unwrap_or(INTERVAL_SECS).max(1);
    while Instant::now() < over {
        tokio::time::sleep(Duration::from_secs(interval.min(INTERVAL_SECS_MAX))).await;
        let form = [
            ("grant_type", GRANT_TYPE),
            ("device_code", &started.device_code),
            ("client_id", provider.client_id()),
        ];
        // A provider that does not answer once may the next time (section 3.5).
        let Ok(answer) = way.post(provider.token_endpoint()?, &form).await else {
            interval = interval.saturating_mul(2);
            continue;
        };
        let fault = serde_json::from_slice::<Fault>(&answer.body).map(|fault| fault.error);
        match fault.as_deref() {
            Ok("authorization_pending") => {}
            Ok("slow_down") => interval = interval.saturating_add(INTERVAL_SECS),
            Ok(_) | Err(_) => return provider::read(&answer),
        }
    }
    bail!("nobody signed in before the code expired")
}

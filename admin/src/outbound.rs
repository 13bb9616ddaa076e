//! The way out to servers that an org names: sign-in providers, key sets, sinks of events.

use async_trait::async_trait;
use axum::{
    body::Bytes,
    http::{HeaderMap, Method, StatusCode},
};
use std::time::Duration;

/// Bytes of an answer, at most: these are small documents.
pub const DOCUMENT_BYTES_MAX: usize = 1 << 20;
/// From the first step of the connection to the last byte of the answer.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// One request to somebody else's server.
#[derive(Clone, Debug)]
pub struct Fetch {
    pub method: Method,
    /// `https://..`; `http://..` only where the operator allows private networks.
    pub url: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Fetch {
    pub fn get(url: impl Into<String>) -> Self {
        let (method, headers) = (Method::GET, HeaderMap::new());
        Self { method, url: url.into(), headers, body: Bytes::new() }
    }
}

/// What came back, whatever its status says. A redirect is an answer: it is not followed.
#[derive(Clone, Debug)]
pub struct Fetched {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Why nothing came back. Its text holds nothing of what was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutboundFault {
    #[error("the address may not be connected to: {0}")]
    Forbidden(String),
    #[error("the server cannot be reached")]
    Unreachable,
    #[error("the server did not answer in time")]
    Late,
    #[error("the answer is larger than {DOCUMENT_BYTES_MAX} bytes")]
    TooLarge,
}

/// Fetches within [`PATIENCE`] and [`DOCUMENT_BYTES_MAX`], follows no redirect, and connects to no
/// address that the operator has not allowed, whatever a name resolves to at that moment.
#[async_trait]
pub trait Outbound: Send + Sync {
    async fn fetch(&self, fetch: Fetch) -> Result<Fetched, OutboundFault>;
}

/// No way out: nobody can be asked.
pub struct Nowhere;

#[async_trait]
impl Outbound for Nowhere {
    async fn fetch(&self, _: Fetch) -> Result<Fetched, OutboundFault> {
        Err(OutboundFault::Unreachable)
    }
}

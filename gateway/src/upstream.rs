//! The one way out of the gateway to a model.

use crate::config::{self, Upstream as Deadlines};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{HttpConnector, dns::Name},
    },
    rt::{TokioExecutor, TokioTimer},
};
use policies::egress;
use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

/// Idle connections to one provider, at most, and how long they are kept: below the idle time of
/// the usual servers (60 s and up), so that no request meets a connection that was just closed.
const IDLE_CONNECTIONS_MAX: usize = 1024;
const IDLE_CONNECTION: Duration = Duration::from_secs(45);

/// How long a provider may take to answer a trial.
const TRIAL: Duration = Duration::from_secs(10);

const USER_AGENT: &str = concat!("penstock/", env!("CARGO_PKG_VERSION"));

/// The header by which a provider can name our attempt (OpenAI documents it under this name).
pub const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-client-request-id");

/// Why no answer began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// Nothing was sent: name, connection or TLS failed.
    #[error("the provider could not be reached")]
    Unreachable,
    /// It was sent, and the connection broke.
    #[error("the provider broke off")]
    BrokenOff,
    #[error("the provider did not answer in time")]
    Late,
}

type Carrier = Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>;

/// Two ways with connections of their own: to wherever the operator points, and to the public
/// internet alone.
pub struct Upstream {
    anywhere: Carrier,
    public: Carrier,
    first_byte: Duration,
}

/// What one attempt sends. The request is built anew: no header of the caller goes along.
pub struct Sending<'a> {
    pub uri: &'a Uri,
    pub authorization: Option<&'a HeaderValue>,
    /// `req_../attempt`.
    pub attempt: String,
    pub stream: bool,
    /// No private address is connected to.
    pub public_only: bool,
    pub body: Bytes,
}

impl Upstream {
    pub fn new(deadlines: &Deadlines) -> Self {
        let carrier = |public_only| carrier(Resolver { public_only }, deadlines);
        let first_byte = config::millis(deadlines.first_byte_millis);
        Self { anywhere: carrier(false), public: carrier(true), first_byte }
    }

    pub async fn send(&self, sending: Sending<'_>) -> Result<Response<Incoming>, NoAnswer> {
        let carrier = if sending.public_only { &self.public } else { &self.anywhere };
        if sending.public_only && is_private_literal(sending.uri) {
            return Err(NoAnswer::Unreachable);
        }
        let request = sending.request().map_err(|_| NoAnswer::Unreachable)?;
        match tokio::time::timeout(self.first_byte, carrier.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(fault)) if fault.is_connect() => Err(NoAnswer::Unreachable),
            Ok(Err(_)) => Err(NoAnswer::BrokenOff),
            Err(_late) => Err(NoAnswer::Late),
        }
    }
}

impl Upstream {
    /// The status of a GET: whether a provider is there and takes the credential.
    pub async fn try_out(
        &self,
        uri: &Uri,
        authorization: Option<&HeaderValue>,
        public_only: bool,
    ) -> Result<StatusCode, NoAnswer> {
        if public_only && is_private_literal(uri) {
            return Err(NoAnswer::Unreachable);
        }
        let carrier = if public_only { &self.public } else { &self.anywhere };
        let mut request = Request::new(Full::default());
        request.uri_mut().clone_from(uri);
        let agent = HeaderValue::from_static(USER_AGENT);
        request.headers_mut().insert(header::USER_AGENT, agent);
        if let Some(authorization) = authorization {
            request.headers_mut().insert(header::AUTHORIZATION, authorization.clone());
        }
        match tokio::time::timeout(TRIAL, carrier.request(request)).await {
            Ok(Ok(answer)) => Ok(answer.status()),
            Ok(Err(_)) => Err(NoAnswer::Unreachable),
            Err(_late) => Err(NoAnswer::Late),
        }
    }
}

/// An address that is written out is asked of no resolver.
fn is_private_literal(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse().is_ok_and(egress::is_private)
}

fn carrier(resolver: Resolver, deadlines: &Deadlines) -> Carrier {
    let mut http = HttpConnector::new_with_resolver(resolver);
    http.set_nodelay(true);
    http.enforce_http(false);
    http.set_connect_timeout(Some(config::millis(deadlines.connect_millis)));
    let https = HttpsConnectorBuilder::new()
        .with_webpki_roots()
        .https_or_http()
        .enable_http1()
        .enable_http2()
        .wrap_connector(http);
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_CONNECTION)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .build(https)
}

impl Sending<'_> {
    fn request(self) -> http::Result<Request<Full<Bytes>>> {
        let accept = if self.stream { "text/event-stream" } else { "application/json" };
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(self.uri)
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(header::ACCEPT, HeaderValue::from_static(accept))
            .header(header::USER_AGENT, HeaderValue::from_static(USER_AGENT))
            .header(CLIENT_REQUEST_ID, self.attempt);
        if let Some(authorization) = self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        request.body(Full::new(self.body))
    }
}

/// Resolves names, and leaves out addresses to which no connection is ever made. It runs at each
/// connect, so a name that changes its mind after a check gains nothing.
#[derive(Clone, Copy, Debug)]
pub struct Resolver {
    /// Private addresses are left out too.
    public_only: bool,
}

impl tower::Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, io::Error>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let public_only = self.public_only;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed = found.filter(|address| {
                let private = public_only && egress::is_private(address.ip());
                !private && !egress::is_forbidden(address.ip())
            });
            let allowed: Vec<SocketAddr> = allowed.collect();
            if allowed.is_empty() {
                let refused = "the name leads to no address that may be connected to";
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, refused));
            }
            Ok(allowed.into_iter())
        })
    }
}

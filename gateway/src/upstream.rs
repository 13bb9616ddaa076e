//! The one way out of the gateway to a model.

use crate::config::{self, Upstream as Deadlines};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
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
    sync::{Arc, OnceLock},
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

/// Whether a request is on its way: decided once, by whoever comes first.
#[derive(Clone, Debug, Default)]
pub struct Departure(Arc<OnceLock<Fate>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// A connection stands, and has asked for the body.
    Gone,
    /// No byte of the body will ever go out.
    CalledOff,
}

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

type Carrier = Client<HttpsConnector<HttpConnector<Resolver>>, Outgoing>;

/// A body that says when it leaves.
#[derive(Debug, Default)]
struct Outgoing {
    body: Full<Bytes>,
    departure: Departure,
}

#[derive(Debug, thiserror::Error)]
#[error("the request was called off")]
struct CalledOff;

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
    pub departure: Departure,
}

// === impl Departure ===

impl Departure {
    /// Keeps the request from leaving. False: it has left.
    pub fn call_off(&self) -> bool {
        *self.0.get_or_init(|| Fate::CalledOff) == Fate::CalledOff
    }

    fn leave(&self) -> bool {
        *self.0.get_or_init(|| Fate::Gone) == Fate::Gone
    }
}

// === impl Outgoing ===

impl Body for Outgoing {
    type Data = Bytes;
    type Error = CalledOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CalledOff>>> {
        if !self.departure.leave() {
            return Poll::Ready(Some(Err(CalledOff)));
        }
        let frame = Pin::new(&mut self.body).poll_frame(context);
        frame.map_err(|never| match never {})
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

// === impl Upstream ===

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
        let departure = sending.departure.clone();
        let request = sending.request().map_err(|_| NoAnswer::Unreachable)?;
        let fault = match tokio::time::timeout(self.first_byte, carrier.request(request)).await {
            Ok(Ok(response)) => return Ok(response),
            Ok(Err(_)) => NoAnswer::BrokenOff,
            Err(_late) => NoAnswer::Late,
        };
        // However far it came: without its body nothing was asked.
        Err(if departure.call_off() { NoAnswer::Unreachable } else { fault })
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
        let mut request = Request::new(Outgoing::default());
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
    fn request(self) -> http::Result<Request<Outgoing>> {
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
        request.body(Outgoing { body: Full::new(self.body), departure: self.departure })
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    /// Silent for so long, a provider is late.
    const FIRST_BYTE_MILLIS: u64 = 300;

    fn upstream() -> Upstream {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Upstream::new(&Deadlines {
            connect_millis: 5_000,
            first_byte_millis: FIRST_BYTE_MILLIS,
            idle_millis: 5_000,
            total_millis: 5_000,
            read_on_millis: 5_000,
            answer_bytes_max: 1_000,
            attempts_max: 1,
        })
    }

    async fn send(uri: &str, departure: &Departure) -> Result<StatusCode, NoAnswer> {
        let (body, departure) = (Bytes::from_static(b"{}"), departure.clone());
        let (uri, attempt) = (uri.parse().unwrap(), "req/1".to_owned());
        let (authorization, stream, public_only) = (None, false, false);
        let sending =
            Sending { uri: &uri, authorization, attempt, stream, public_only, body, departure };
        upstream().send(sending).await.map(|answer| answer.status())
    }

    #[tokio::test]
    async fn a_connection_that_never_stood_has_sent_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, departure) = (listener.local_addr().unwrap(), Departure::default());

        // It waits for a handshake that never comes.
        let sent = send(&format!("https://{address}/v1"), &departure).await;

        assert_eq!(sent, Err(NoAnswer::Unreachable));
        assert!(departure.call_off());
    }

    #[tokio::test]
    async fn a_request_that_left_cannot_be_called_off() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, departure) = (listener.local_addr().unwrap(), Departure::default());

        let sent = send(&format!("http://{address}/v1"), &departure).await;

        assert_eq!(sent, Err(NoAnswer::Late), "it was written to a connection nobody reads");
        assert!(!departure.call_off());
    }

    #[tokio::test]
    async fn of_a_request_that_was_called_off_no_body_goes_out() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, departure) = (listener.local_addr().unwrap(), Departure::default());
        assert!(departure.call_off());
        let provider = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await.unwrap();
            // Whoever has sent nothing may hear nothing.
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            all
        };

        let uri = format!("http://{address}/v1");
        let (sent, heard) = tokio::join!(send(&uri, &departure), provider);

        assert_eq!(sent, Err(NoAnswer::Unreachable));
        assert!(!heard.ends_with(b"{}"), "{}", heard.escape_ascii());
    }
}

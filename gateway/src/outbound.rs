//! The way out to servers that an org names, and not the operator: it leads nowhere else.

use admin::outbound::{DOCUMENT_BYTES_MAX, Fetch, Fetched, Outbound, OutboundFault, PATIENCE};
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Uri, uri::Scheme};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
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
    net::{IpAddr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

/// Idle connections to one server, and how long they are kept.
const IDLE_CONNECTIONS_MAX: usize = 4;
const IDLE_CONNECTION: Duration = Duration::from_secs(30);

const USER_AGENT: &str = concat!("penstock/", env!("CARGO_PKG_VERSION"));

/// Which addresses may be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    Public,
    /// And those of the operator's own networks and of this machine.
    PublicAndPrivate,
    /// Without TLS: nothing beyond the operator's own networks.
    Private,
}

type Carrier = Client<HttpsConnector<HttpConnector<Guard>>, Full<Bytes>>;

/// Two ways out: with TLS, and without it to private networks, where the operator allows those.
pub struct Ways {
    tls: (Reach, Carrier),
    plain: Option<(Reach, Carrier)>,
}

impl Ways {
    /// `private_networks`: whether an org may name servers in the operator's own networks.
    pub fn new(private_networks: bool) -> Self {
        let reach = if private_networks { Reach::PublicAndPrivate } else { Reach::Public };
        let plain = private_networks.then(|| (Reach::Private, carrier(Reach::Private)));
        Self { tls: (reach, carrier(reach)), plain }
    }

    fn way(&self, uri: &Uri) -> Result<&Carrier, OutboundFault> {
        let forbidden = |why: &str| OutboundFault::Forbidden(why.to_owned());
        let way = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => Some(&self.tls),
            Some(scheme) if *scheme == Scheme::HTTP => self.plain.as_ref(),
            Some(_) | None => None,
        };
        let (reach, carrier) = way.ok_or_else(|| forbidden("it must begin with https://"))?;
        if uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
            return Err(forbidden("it must name a host, and no user"));
        }
        let host = uri.host().unwrap_or_default();
        egress::check_host(host).map_err(OutboundFault::Forbidden)?;
        // An address that is written out is asked of no resolver.
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match bare.parse() {
            Ok(address) if !reach.allows(address) => Err(forbidden("its network is not allowed")),
            Ok(_) | Err(_) => Ok(carrier),
        }
    }
}

#[async_trait]
impl Outbound for Ways {
    async fn fetch(&self, fetch: Fetch) -> Result<Fetched, OutboundFault> {
        let not_a_url = |_| OutboundFault::Forbidden("it is no URL".to_owned());
        let uri: Uri = fetch.url.parse().map_err(not_a_url)?;
        let carrier = self.way(&uri)?;
        let mut request = Request::new(Full::new(fetch.body));
        (*request.method_mut(), *request.uri_mut()) = (fetch.method, uri);
        *request.headers_mut() = fetch.headers;
        let agent = http::HeaderValue::from_static(USER_AGENT);
        request.headers_mut().entry(http::header::USER_AGENT).or_insert(agent);
        let answered = async {
            let answer = carrier.request(request).await.map_err(|fault| told(&fault))?;
            let (head, body) = answer.into_parts();
            let whole = Limited::new(body, DOCUMENT_BYTES_MAX).collect().await;
            let whole = whole.map_err(|fault| match fault.is::<LengthLimitError>() {
                true => OutboundFault::TooLarge,
                false => OutboundFault::Unreachable,
            })?;
            Ok(Fetched { status: head.status, headers: head.headers, body: whole.to_bytes() })
        };
        tokio::time::timeout(PATIENCE, answered).await.unwrap_or(Err(OutboundFault::Late))
    }
}

/// The guard's refusal lies at the bottom of what the connector tells.
fn told(fault: &hyper_util::client::legacy::Error) -> OutboundFault {
    let mut cause: Option<&dyn std::error::Error> = Some(fault);
    while let Some(here) = cause {
        let io = here.downcast_ref::<io::Error>();
        if io.is_some_and(|io| io.kind() == io::ErrorKind::PermissionDenied) {
            return OutboundFault::Forbidden(FORBIDDEN.to_owned());
        }
        cause = here.source();
    }
    OutboundFault::Unreachable
}

const FORBIDDEN: &str = "its name leads to no address that is allowed";

fn carrier(reach: Reach) -> Carrier {
    let mut http = HttpConnector::new_with_resolver(Guard(reach));
    http.set_nodelay(true);
    http.enforce_http(false);
    http.set_connect_timeout(Some(PATIENCE));
    let builder = HttpsConnectorBuilder::new().with_webpki_roots();
    let https = match reach {
        Reach::Private => builder.https_or_http().enable_http1().wrap_connector(http),
        Reach::Public | Reach::PublicAndPrivate => {
            builder.https_only().enable_http1().wrap_connector(http)
        }
    };
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_CONNECTION)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .build(https)
}

impl Reach {
    fn allows(self, address: IpAddr) -> bool {
        if egress::is_forbidden(address) {
            return false;
        }
        match self {
            Self::Public => !egress::is_private(address),
            Self::PublicAndPrivate => true,
            Self::Private => egress::is_private(address),
        }
    }
}

/// Resolves names to addresses that are allowed, and to no others. The connection is made to what
/// it returns, so a name that changes its mind after a check gains nothing.
#[derive(Clone, Copy, Debug)]
struct Guard(Reach);

impl tower::Service<Name> for Guard {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, io::Error>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let Self(reach) = *self;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<_> = found.filter(|address| reach.allows(address.ip())).collect();
            if allowed.is_empty() {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, FORBIDDEN));
            }
            Ok(allowed.into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(private_networks: bool, url: &str) -> bool {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let uri = url.parse().unwrap();
        matches!(Ways::new(private_networks).way(&uri), Err(OutboundFault::Forbidden(_)))
    }

    #[test]
    fn an_org_reaches_no_private_network_unless_the_operator_says_so() {
        for url in [
            "https://127.0.0.1/",
            "https://10.1.2.3:8443/",
            "https://192.168.0.1/",
            "https://100.64.0.1/",
            "https://[::1]/",
            "https://[fd12::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://[64:ff9b::10.0.0.1]/",
            "http://example.com/",
        ] {
            assert!(refused(false, url), "{url}");
        }
        for url in ["https://10.1.2.3/", "http://127.0.0.1:9/", "http://[::1]:9/"] {
            assert!(!refused(true, url), "{url}");
        }
        assert!(!refused(false, "https://login.example.com/x?y=z"));
    }

    #[test]
    fn nobody_reaches_what_is_forbidden_or_anything_public_without_tls() {
        for url in [
            "https://169.254.169.254/",
            "https://[fe80::1]/",
            "https://0x7f.1/",
            "https://user@example.com/",
            "http://93.184.216.34/",
            "ftp://example.com/",
        ] {
            assert!(refused(true, url), "{url}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_to_a_private_address_is_not_connected_to() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();

        let fetched = Ways::new(false).fetch(Fetch::get("https://localhost:9/")).await;

        assert_eq!(fetched.unwrap_err(), OutboundFault::Forbidden(FORBIDDEN.to_owned()));
    }
}

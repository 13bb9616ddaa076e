//! The service between hyper and ours: one authority, refusals, and the end of each answer.

use super::{Notice, Serving, Violation, head::is_authority};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, Version, header, uri::PathAndQuery};
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, service::Service, upgrade::OnUpgrade};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// Wraps the service of one connection.
#[derive(Clone, Debug)]
pub struct Answering<S> {
    service: S,
    notice: Arc<Notice>,
}

/// A body that says when it is over.
#[derive(Debug)]
pub struct Answer<B> {
    body: Content<B>,
    // Dropped with the body, which hyper does once the last byte is in its hands.
    _serving: Serving,
}

#[derive(Debug)]
enum Content<B> {
    Ours(B),
    Refusal(Option<Bytes>),
}

type Answered<B, E> = Pin<Box<dyn Future<Output = Result<Response<Answer<B>>, E>> + Send>>;

// === impl Answering ===

impl<S> Answering<S> {
    /// `notice` is the one of the [`super::Strict`] beneath, over HTTP/2 one of its own.
    pub fn new(service: S, notice: Arc<Notice>) -> Self {
        Self { service, notice }
    }
}

impl<S, B> Service<Request<Incoming>> for Answering<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    B: 'static,
{
    type Response = Response<Answer<B>>;
    type Error = S::Error;
    type Future = Answered<B, S::Error>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let version = request.version();
        if version >= Version::HTTP_2 {
            // Over HTTP/1 the framing beneath has counted it already.
            self.notice.begin();
        }
        let serving = self.notice.serving();
        let refusal = self.notice.refusal().or_else(|| canonical(&mut request).err());
        if let Some(violation) = refusal {
            return Box::pin(async move { Ok(refuse(violation, version, serving)) });
        }
        // Nothing here is ever upgraded; without this, a handler could.
        request.extensions_mut().remove::<OnUpgrade>();
        let notice = Arc::clone(&self.notice);
        let answered = self.service.call(request);
        Box::pin(async move {
            let response = answered.await?;
            // If the body broke under the service, its own answer is about a request that was
            // never sent.
            Ok(match notice.refusal() {
                Some(violation) => refuse(violation, version, serving),
                None => {
                    response.map(|body| Answer { body: Content::Ours(body), _serving: serving })
                }
            })
        })
    }
}

fn refuse<B>(violation: Violation, version: Version, serving: Serving) -> Response<Answer<B>> {
    violation
        .answer(version)
        .map(|body| Answer { body: Content::Refusal(Some(body)), _serving: serving })
}

/// Leaves a request with one authority, in `Host`, and with path and query as its URI.
///
/// An absolute-form target wins over `Host` (RFC 9112 section 3.2.2). Over HTTP/2 a `Host` that
/// differs from `:authority` is malformed (RFC 9113 section 8.3.1).
fn canonical<T>(request: &mut Request<T>) -> Result<(), Violation> {
    let http2 = request.version() >= Version::HTTP_2;
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Violation::HostRepeated);
    }
    let Some(authority) = request.uri().authority() else {
        let sound = host.is_some_and(|host| is_authority(host.as_bytes()));
        // HTTP/1.0 needs no `Host`, and beneath us HTTP/1.1 was held to it.
        return if sound || !http2 { Ok(()) } else { Err(Violation::HostMissing) };
    };
    if !is_authority(authority.as_str().as_bytes()) {
        return Err(Violation::HostInvalid);
    }
    let same =
        |host: &HeaderValue| host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes());
    if http2 && !host.is_none_or(same) {
        return Err(Violation::HostRepeated);
    }
    let value = HeaderValue::from_str(authority.as_str()).map_err(|_| Violation::HostInvalid)?;
    let path = request.uri().path_and_query().cloned();
    request.headers_mut().insert(header::HOST, value);
    *request.uri_mut() = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    Ok(())
}

// === impl Answer ===

impl<B: Body<Data = Bytes> + Unpin> Body for Answer<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match &mut self.get_mut().body {
            Content::Ours(body) => Pin::new(body).poll_frame(cx),
            Content::Refusal(bytes) => {
                Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Content::Ours(body) => body.is_end_stream(),
            Content::Refusal(bytes) => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Content::Ours(body) => body.size_hint(),
            Content::Refusal(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
        }
    }
}

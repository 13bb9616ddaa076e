//! A small HTTP client that shows what really came, piece by piece.

use crate::wait::{self, SOON};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use std::time::Duration;

/// Idle connections that are kept for the next request.
const IDLE_CONNECTIONS_MAX: usize = 256;

#[derive(Clone)]
pub struct Client {
    pool: Pool<HttpConnector, Full<Bytes>>,
}

/// Why no answer came: the connection failed, or ended too early.
pub type NoAnswer = String;

impl Default for Client {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(5)));
        let pool = Pool::builder(TokioExecutor::new())
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .retry_canceled_requests(false)
            .build(connector);
        Self { pool }
    }
}

impl Client {
    /// Sends a request and waits for the head of its answer.
    pub async fn try_send(&self, request: Request<Full<Bytes>>) -> Result<Answer, NoAnswer> {
        let what = format!("an answer to {} {}", request.method(), request.uri());
        let sent = wait::within(3 * SOON, &what, self.pool.request(request)).await;
        let (head, body) = sent.map_err(|fault| format!("{what}: {fault:?}"))?.into_parts();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    pub async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        self.try_send(request).await.unwrap_or_else(|why| wait::fail(&why))
    }

    pub async fn get(&self, url: &str) -> Answer {
        self.send(build(Method::GET, url, &[], Bytes::new())).await
    }

    pub async fn post(&self, url: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/json")];
        self.send(build(Method::POST, url, &headers, body.to_string().into())).await
    }
}

/// A request from its parts.
pub fn build(
    method: Method,
    url: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(body)).expect("a well-formed request")
}

/// An answer whose head has come. Dropping it hangs up.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Incoming,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Our id of the request.
    pub fn request_id(&self) -> String {
        self.header("x-request-id").expect("every answer has an id").to_owned()
    }

    /// The next piece of the body as it came; none at its end.
    pub async fn piece(&mut self) -> Option<Result<Bytes, NoAnswer>> {
        loop {
            let frame =
                wait::within(SOON, "the next piece of an answer", self.body.frame()).await?;
            match frame.map(hyper::body::Frame::into_data) {
                Ok(Ok(bytes)) => return Some(Ok(bytes)),
                // Trailers: not a piece.
                Ok(Err(_)) => (),
                Err(fault) => return Some(Err(format!("{fault:?}"))),
            }
        }
    }

    /// The whole body, or what broke it off.
    pub async fn try_bytes(mut self) -> Result<Bytes, NoAnswer> {
        let mut all = Vec::new();
        while let Some(piece) = self.piece().await {
            all.extend_from_slice(&piece?);
        }
        Ok(all.into())
    }

    pub async fn bytes(self) -> Bytes {
        self.try_bytes().await.unwrap_or_else(|why| wait::fail(&why))
    }

    pub async fn text(self) -> String {
        String::from_utf8(self.bytes().await.to_vec()).expect("text is UTF-8")
    }

    pub async fn json(self) -> Value {
        let text = self.text().await;
        serde_json::from_str(&text).unwrap_or_else(|_| wait::fail(&format!("not JSON: {text}")))
    }
}

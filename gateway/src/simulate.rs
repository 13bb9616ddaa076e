//! The simulated provider: it speaks the OpenAI dialect over real HTTP and counts what it sends.
//!
//! A model's name scripts the answer and what goes wrong with it (see [`model::help`]). The oracle
//! under `/oracle/` tells what was asked and what was handed to the socket. Nothing here is shared
//! with the product's own reading and counting, so that the two can be compared.

mod ask;
mod chat;
mod complaint;
mod control;
mod embed;
mod events;
mod fixed;
pub mod model;
pub mod oracle;
mod play;
mod schema;
pub mod summary;
mod surface;
mod usage;
mod words;

#[cfg(test)]
mod tests;

use bytes::{Bytes, BytesMut};
use complaint::Complaint;
use control::Question;
use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use oracle::{Observed, Oracle};
use play::{Body, CutOff};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use summary::Summary;
use surface::Posted;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The largest request read.
const REQUEST_BYTES_MAX: usize = 64 * 1024 * 1024;
const CONNECTIONS_MAX: usize = 16_384;
/// How long open connections may go on once the drain begins.
const DRAIN_MILLIS_MAX: u64 = 2_000;
/// The wait after a connection could not be accepted, for want of descriptors as a rule.
const ACCEPT_RETRY_MILLIS: u64 = 20;

/// Serves a simulator of its own on `listener` until `drain` is cancelled; see
/// [`Simulator::serve`].
///
/// # Errors
/// None at present; the type leaves room for a listener that fails for good.
pub async fn serve(listener: TcpListener, drain: CancellationToken) -> io::Result<()> {
    Simulator::new().serve(listener, drain).await
}

/// A simulated provider and its oracle. Clones are the same simulator.
#[derive(Clone)]
pub struct Simulator {
    oracle: Oracle,
}

// === impl Simulator ===

impl Default for Simulator {
    fn default() -> Self {
        Self::new()
    }
}

impl Simulator {
    /// A simulator that has seen nothing yet. Its clock starts now.
    pub fn new() -> Self {
        Self { oracle: Oracle::new() }
    }

    /// Answers HTTP/1.1 on `listener` until `drain` is cancelled, then lets open answers end for
    /// at most two seconds.
    ///
    /// # Errors
    /// None at present; a connection that cannot be accepted is tried again.
    pub async fn serve(&self, listener: TcpListener, drain: CancellationToken) -> io::Result<()> {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let connections = TaskTracker::new();
        while let Some(accepted) = drain.run_until_cancelled(listener.accept()).await {
            let Ok((stream, _peer)) = accepted else {
                sleep(Duration::from_millis(ACCEPT_RETRY_MILLIS)).await;
                continue;
            };
            let place = Arc::clone(&places).acquire_owned();
            let Some(Ok(place)) = drain.run_until_cancelled(place).await else { break };
            let (simulator, drain) = (self.clone(), drain.child_token());
            connections.spawn(async move {
                simulator.connection(stream, &drain).await;
                drop(place);
            });
        }
        drop(listener);
        connections.close();
        connections.wait().await;
        Ok(())
    }

    /// The requests after the one numbered `since`, oldest first; 0 is all that are remembered.
    pub fn requests(&self, since: u64) -> Vec<Observed> {
        self.oracle.after(since).iter().map(|entry| self.oracle.observe(entry)).collect()
    }

    /// The newest request that came with this `x-client-request-id`.
    pub fn request(&self, client_request_id: &str) -> Option<Observed> {
        self.oracle.by_client(client_request_id).map(|entry| self.oracle.observe(&entry))
    }

    /// Sums over the requests that are remembered.
    pub fn summary(&self) -> Summary {
        summary::summed(&self.oracle)
    }

    // There are no read deadlines: the simulator is for loopback, and a timer for each request
    // would be paid by every bench.
    async fn connection(&self, stream: TcpStream, drain: &CancellationToken) {
        // Without it small events wait for the peer's acknowledgement; worse is merely slower.
        let _ = stream.set_nodelay(true);
        let answer = service_fn(|request| self.answer(request));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
        let mut connection = pin!(connection);
        // How a connection ends is in the oracle, request by request.
        if drain.run_until_cancelled(connection.as_mut()).await.is_none() {
            connection.as_mut().graceful_shutdown();
            let _ = timeout(Duration::from_millis(DRAIN_MILLIS_MAX), connection).await;
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, CutOff> {
        let arrived = Instant::now();
        let (head, incoming) = request.into_parts();
        let Some(body) = whole(incoming).await? else {
            return Ok(surface::complain(&Complaint::too_large()));
        };
        let posted = head.method == Method::POST;
        let path = head.uri.path();
        if let Some(path) = path.strip_prefix("/oracle/") {
            let query = head.uri.query().unwrap_or("");
            let question = Question { method: &head.method, path, query, body: &body };
            return Ok(control::reply(&self.oracle, question).await);
        }
        match path {
            "/v1/chat/completions" if posted => {
                let posted = Posted { headers: head.headers, body, arrived };
                surface::chat(&self.oracle, posted).await
            }
            "/v1/embeddings" if posted => {
                let posted = Posted { headers: head.headers, body, arrived };
                surface::embeddings(&self.oracle, posted).await
            }
            "/v1/models" if head.method == Method::GET => Ok(surface::models()),
            _ => Ok(match path.strip_prefix("/v1/models/") {
                Some(name) if head.method == Method::GET => surface::model(name),
                Some(_) | None => surface::complain(&Complaint::nothing_here()),
            }),
        }
    }
}

/// The whole body; nothing where it is larger than is read.
async fn whole(mut incoming: Incoming) -> Result<Option<Bytes>, CutOff> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        let Ok(data) = frame.map_err(|_| CutOff)?.into_data() else { continue };
        if first.is_empty() {
            first = data;
            continue;
        }
        if REQUEST_BYTES_MAX < first.len() + rest.len() + data.len() {
            return Ok(None);
        }
        rest.extend_from_slice(&data);
    }
    if rest.is_empty() {
        return Ok(Some(first));
    }
    let mut all = BytesMut::with_capacity(first.len() + rest.len());
    all.extend_from_slice(&first);
    all.extend_from_slice(&rest);
    Ok(Some(all.freeze()))
}

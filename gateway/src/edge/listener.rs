//! The accept loop: connections in, requests to a service, an orderly end.

mod connection;
mod crowd;
mod opening;

#[cfg(test)]
mod tests;

use super::framing::Patience;
use bytes::Bytes;
use connection::Protocols;
use crowd::{Crowd, Full, Place};
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, service::Service};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The first pause after an accept that failed for want of descriptors or memory; it doubles.
const ACCEPT_PAUSE_MIN: Duration = Duration::from_millis(10);
/// The longest such pause.
const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);
/// The most refused connections that are told so at the same time; more are closed in silence.
const FAREWELLS_MAX: usize = 64;
/// How long a closed connection is still read, so that its last answer isn't reset away.
const LINGER_MAX: Duration = Duration::from_secs(1);
/// How long and how far a refused connection is read, so that its 503 isn't reset away.
const FAREWELL_MAX: Duration = Duration::from_secs(1);
const FAREWELL_READS_MAX: usize = 16;
const FAREWELL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
content-type: application/json\r\ncontent-length: 107\r\nretry-after: 1\r\n\
connection: close\r\n\r\n\
{\"error\":{\"message\":\"too many connections\",\"type\":\"service_unavailable\",\
\"param\":null,\"code\":\"unavailable\"}}";

/// The limits of one listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From accept until it is known whether the client speaks HTTP/1 or HTTP/2.
    pub first_byte: Duration,
    /// From the first byte of a request head to its last.
    pub header: Duration,
    /// How long a connection may stay open between requests.
    pub idle: Duration,
    /// The waiting time over which a request body's rate is averaged, and its grace.
    pub body_grace: Duration,
    /// The least rate of a request body, in bytes per second.
    pub body_bytes_per_second_min: u64,
    /// How long a client may take no byte of its answer.
    pub write_stall: Duration,
    /// The most connections in all.
    pub connections_max: usize,
    /// The most connections of one IPv4 address or one IPv6 /64.
    pub connections_per_address_max: usize,
}

// === impl Limits ===

impl Limits {
    const fn patience(&self) -> Patience {
        Patience {
            header: self.header,
            idle: self.idle,
            body_grace: self.body_grace,
            body_bytes_per_second_min: self.body_bytes_per_second_min,
            write_stall: self.write_stall,
            linger: LINGER_MAX,
        }
    }
}

/// Accepts connections until `drain` is cancelled, then lets what is in flight finish.
///
/// `make` gives the service of one connection, from the client's address. An HTTP/1 request with
/// broken framing never reaches it. A request that does has exactly one authority, in `Host`: that
/// of an absolute-form target or of `:authority` is moved there, and its URI is path and query.
///
/// After `drain` the listener is closed at once, idle connections too; requests in flight get
/// `deadline` to finish, then their connections are dropped. Returns when none is left.
pub async fn serve<M, S, B>(
    listener: TcpListener,
    limits: Limits,
    make: M,
    drain: CancellationToken,
    deadline: Duration,
) where
    M: Fn(SocketAddr) -> S,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let crowd = Crowd::new(limits.connections_max, limits.connections_per_address_max);
    let tasks = TaskTracker::new();
    let cut = CancellationToken::new();
    let protocols = Protocols::new(limits, drain.clone(), cut.clone(), tasks.clone());
    let farewells = Arc::new(Semaphore::new(FAREWELLS_MAX));
    let mut pause = Pause::default();
    loop {
        let accepted = tokio::select! {
            biased;
            () = drain.cancelled() => break,
            accepted = pause.accept(&listener) => accepted,
        };
        let Ok((stream, address)) = accepted else { continue };
        // Small events must not wait for the acknowledgement of the one before. If the socket is
        // already dead, its first read says so.
        let _ = stream.set_nodelay(true);
        match crowd.enter(address.ip()) {
            Ok(place) => {
                let connection = protocols.clone().serve(stream, make(address));
                start(&tasks, &cut, place, connection);
            }
            Err(full) => turn_away(&tasks, &cut, &farewells, stream, full),
        }
    }
    drop(listener);
    tasks.close();
    tracing::info!(connections = crowd.len(), "listener closed, connections drain");
    if timeout(deadline, tasks.wait()).await.is_err() {
        tracing::warn!(connections = crowd.len(), "drain deadline passed, connections dropped");
        cut.cancel();
        tasks.wait().await;
    }
}

/// Runs a connection in a task of its own: a panic in it ends nothing else.
fn start<F>(tasks: &TaskTracker, cut: &CancellationToken, place: Place, connection: F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let cut = cut.clone();
    tasks.spawn(async move {
        // The place is given back however the connection ends.
        let _place = place;
        cut.run_until_cancelled(connection).await;
    });
}

/// Tells a client that there is no room for it, if that costs little.
fn turn_away(
    tasks: &TaskTracker,
    cut: &CancellationToken,
    farewells: &Arc<Semaphore>,
    mut stream: TcpStream,
    full: Full,
) {
    tracing::warn!(?full, "connection turned away");
    let Ok(permit) = Arc::clone(farewells).try_acquire_owned() else { return };
    let cut = cut.clone();
    let farewell = async move {
        let _permit = permit;
        if stream.write_all(FAREWELL).await.is_err() || stream.shutdown().await.is_err() {
            return;
        }
        let mut space = [0_u8; 4096];
        for _ in 0..FAREWELL_READS_MAX {
            if !matches!(stream.read(&mut space).await, Ok(1..)) {
                return;
            }
        }
    };
    tasks.spawn(async move {
        // Whoever doesn't read the farewell in time does without.
        let _ = cut.run_until_cancelled(timeout(FAREWELL_MAX, farewell)).await;
    });
}

/// How long the next accept waits after one that failed.
#[derive(Debug, Default)]
struct Pause {
    length: Duration,
    until: Option<Instant>,
}

// === impl Pause ===

impl Pause {
    /// Accepts once; after a failure for want of something, waits first. Dropping it halfway
    /// loses nothing.
    async fn accept(&mut self, listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        if let Some(until) = self.until {
            sleep_until(until).await;
        }
        let accepted = listener.accept().await;
        match &accepted {
            Ok(_) => *self = Self::default(),
            Err(error) => self.lengthen(error),
        }
        accepted
    }

    fn lengthen(&mut self, error: &io::Error) {
        if is_of_one_connection(error) {
            return;
        }
        self.length = (self.length * 2).clamp(ACCEPT_PAUSE_MIN, ACCEPT_PAUSE_MAX);
        self.until = Some(Instant::now() + self.length);
        tracing::error!(%error, pause_millis = self.length.as_millis(), "accept failed");
    }
}

/// Whether an accept failed because the client was already gone, which says nothing of the next.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

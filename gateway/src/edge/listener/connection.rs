//! One connection from its first byte to its close, over HTTP/1 or HTTP/2.

use super::{
    super::framing::{Answering, HEAD_LINES_MAX, Notice, Strict},
    Limits,
    opening::{Opened, Opening, open},
};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{
    body::Incoming,
    rt::Executor,
    server::conn::{http1, http2},
    service::Service,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// hyper's buffer for one connection: a whole head, and a good piece of a body.
const BUFFER_BYTES_MAX: usize = 128 << 10;
const STREAMS_MAX: u32 = 200;
const HEADER_LIST_BYTES_MAX: u32 = 32 << 10;
/// Streams that the client opened and reset before we saw them (rapid reset).
const RESETS_PENDING_MAX: usize = 20;
/// Streams that we reset because the client broke the protocol on them.
const RESETS_LOCAL_MAX: usize = 100;
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_ANSWER_MAX: Duration = Duration::from_secs(20);
/// What an HTTP/2 client may send ahead: for one stream, and for all of a connection.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// What may wait to be sent on one stream.
const STREAM_SEND_BYTES_MAX: usize = 128 << 10;

/// Serves connections in either protocol.
#[derive(Clone, Debug)]
pub(super) struct Protocols {
    limits: Limits,
    drain: CancellationToken,
    http1: http1::Builder,
    http2: http2::Builder<Streams>,
}

/// Runs the streams of HTTP/2 where the drain can count them and cut them off.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    tasks: TaskTracker,
    cut: CancellationToken,
}

// === impl Streams ===

impl<F: Future + Send + 'static> Executor<F> for Streams
where
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        let cut = self.cut.clone();
        self.tasks.spawn(async move {
            cut.run_until_cancelled(stream).await;
        });
    }
}

// === impl Protocols ===

impl Protocols {
    pub(super) fn new(
        limits: Limits,
        drain: CancellationToken,
        cut: CancellationToken,
        tasks: TaskTracker,
    ) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            // Without half-close hyper sees a hang-up while an answer is under way.
            .half_close(false)
            .keep_alive(true)
            // Every piece of an answer leaves at once.
            .pipeline_flush(false)
            .header_read_timeout(None)
            .max_headers(HEAD_LINES_MAX)
            .max_buf_size(BUFFER_BYTES_MAX);
        let mut http2 = http2::Builder::new(Streams { tasks, cut });
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(HEADER_LIST_BYTES_MAX)
            .max_pending_accept_reset_streams(RESETS_PENDING_MAX)
            .max_local_error_reset_streams(RESETS_LOCAL_MAX)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(STREAM_SEND_BYTES_MAX)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_ANSWER_MAX);
        Self { limits, drain, http1, http2 }
    }

    /// Serves one connection until either side ends it.
    pub(super) async fn serve<T, S, B>(self, io: T, service: S)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let opening = tokio::select! {
            () = self.drain.cancelled() => return,
            opening = timeout(self.limits.first_byte, open(io)) => opening,
        };
        let notice = Arc::new(Notice::default());
        let service = Answering::new(service, Arc::clone(&notice));
        match opening {
            Ok(Ok(Opening::Http1(io))) => self.serve_http1(io, service, notice).await,
            Ok(Ok(Opening::Http2(io))) => self.serve_http2(io, service, &notice).await,
            Ok(Err(_)) => tracing::debug!("client left before its first request"),
            Err(_) => tracing::debug!("client was silent, connection closed"),
        }
    }

    async fn serve_http1<T, S, B>(self, io: Opened<T>, service: S, notice: Arc<Notice>)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<B>>,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        B: Body + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let io = TokioIo::new(Strict::new(io, self.limits.patience(), notice));
        let mut connection = pin!(self.http1.serve_connection(io, service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.drain.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        report(ended);
    }

    async fn serve_http2<T, S, B>(self, io: Opened<T>, service: S, notice: &Notice)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<B>>,
        S::Future: Send + 'static,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut connection = pin!(self.http2.serve_connection(TokioIo::new(io), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => return report(ended),
            () = self.drain.cancelled() => None,
            () = idle(notice, self.limits.idle) => Some(self.limits.idle),
        };
        connection.as_mut().graceful_shutdown();
        match ended {
            // The drain has its own deadline.
            None => report(connection.await),
            // A client that ignores the farewell while nothing is in flight is cut off.
            Some(limit) => match timeout(limit, connection).await {
                Ok(ended) => report(ended),
                Err(_) => tracing::debug!("idle client did not close, connection dropped"),
            },
        }
    }
}

/// Ends once no request was in flight for a whole `limit`.
async fn idle(notice: &Notice, limit: Duration) {
    let mut begun = notice.begun();
    loop {
        sleep_until(Instant::now() + limit).await;
        if !notice.is_serving() && notice.begun() == begun {
            return;
        }
        begun = notice.begun();
    }
}

/// Facts only: hyper's errors say what kind of thing failed, never which bytes.
fn report(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(
            timeout = error.is_timeout(),
            incomplete = error.is_incomplete_message(),
            "connection ended by an error"
        );
    }
}

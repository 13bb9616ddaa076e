//! A scripted client, hyper, and a service that tells what it was asked.

use super::super::{Answering, Notice, Patience, Strict};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A client that sends given pieces as fast as they are read, and keeps what it gets.
pub(super) struct Script {
    pieces: VecDeque<Vec<u8>>,
    left: Arc<AtomicUsize>,
    ends: bool,
    got: Arc<Mutex<Vec<u8>>>,
}

// === impl Script ===

impl Script {
    pub(super) fn whole(sent: &[u8]) -> Self {
        Self::cut(sent, sent.len())
    }

    /// Pieces of `size` bytes each. The client waits for the answer and doesn't hang up.
    pub(super) fn cut(sent: &[u8], size: usize) -> Self {
        Self::pieces(sent.chunks(size.max(1)).map(<[u8]>::to_vec).collect())
    }

    pub(super) fn pieces(pieces: VecDeque<Vec<u8>>) -> Self {
        let left = Arc::new(AtomicUsize::new(pieces.iter().map(Vec::len).sum()));
        Self { pieces, left, ends: false, got: Arc::default() }
    }

    /// Hangs up behind the last piece.
    pub(super) fn then_hang_up(mut self) -> Self {
        self.ends = true;
        self
    }

    /// How many bytes nobody has read.
    pub(super) fn left(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.left)
    }
}

impl AsyncRead for Script {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(mut piece) = this.pieces.pop_front() else {
            return if this.ends { Poll::Ready(Ok(())) } else { Poll::Pending };
        };
        let rest = piece.split_off(piece.len().min(buf.remaining()));
        buf.put_slice(&piece);
        this.left.fetch_sub(piece.len(), Ordering::SeqCst);
        if !rest.is_empty() {
            this.pieces.push_front(rest);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.got.lock().unwrap().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Runs a connection with the framing layer to its end; what the client got.
pub(super) async fn exchange(script: Script, patience: Patience) -> String {
    let got = Arc::clone(&script.got);
    serve(script, patience).await;
    let bytes = got.lock().unwrap().clone();
    String::from_utf8(bytes).expect("answers are text")
}

/// Runs a connection on hyper alone.
pub(super) async fn exchange_bare(script: Script) -> String {
    let got = Arc::clone(&script.got);
    let notice = Arc::new(Notice::default());
    let service = service_fn(move |request| {
        notice.begin();
        let serving = notice.serving();
        async move {
            let answer = tell(request).await;
            drop(serving);
            answer
        }
    });
    let mut builder = http1::Builder::new();
    builder.header_read_timeout(None).max_headers(128);
    let _ = builder.serve_connection(TokioIo::new(script), service).await;
    let bytes = got.lock().unwrap().clone();
    String::from_utf8(bytes).expect("answers are text")
}

/// Serves a connection as the listener does.
pub(super) async fn serve<T: AsyncRead + AsyncWrite + Unpin>(io: T, patience: Patience) {
    let notice = Arc::new(Notice::default());
    let strict = Strict::new(io, patience, Arc::clone(&notice));
    let service = Answering::new(service_fn(tell), notice);
    let mut builder = http1::Builder::new();
    builder.header_read_timeout(None).max_headers(128);
    // An error here is a connection that was cut, which the tests see in what the client got.
    let _ = builder.serve_connection(TokioIo::new(strict), service).await;
}

/// The status codes of all answers, in order.
pub(super) fn statuses(got: &str) -> Vec<&str> {
    got.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect()
}

/// Answers with method, target, host and length of the body.
async fn tell(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let answer = |status: StatusCode, text: String| {
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = status;
        response.headers_mut().insert(header::DATE, "now".parse().unwrap());
        Ok(response)
    };
    let (parts, body) = request.into_parts();
    match parts.uri.path() {
        "/unread" => return answer(StatusCode::UNAUTHORIZED, String::new()),
        "/slow" => tokio::time::sleep(Duration::from_secs(200)).await,
        _ => {}
    }
    if parts.uri.path() == "/large" {
        return answer(StatusCode::OK, "x".repeat(8 << 20));
    }
    let Ok(body) = body.collect().await else {
        return answer(StatusCode::IM_A_TEAPOT, "the body broke".to_owned());
    };
    let host = parts.headers.get(header::HOST).map_or("-", |host| host.to_str().unwrap());
    let length = body.to_bytes().len();
    answer(StatusCode::OK, format!("{} {} {host} {length}\n", parts.method, parts.uri))
        .map(|response: Response<Full<Bytes>>| response)
}

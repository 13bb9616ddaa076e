//! The first bytes of a connection, which tell HTTP/2 from HTTP/1.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// The connection preface of RFC 9113 section 3.4.
const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a client speaks, by its first bytes.
#[derive(Debug)]
pub(super) enum Opening<T> {
    /// Everything that does not begin as the preface does, HTTP or not.
    Http1(Opened<T>),
    Http2(Opened<T>),
}

/// A connection whose first bytes were looked at and will be read again.
#[derive(Debug)]
pub(super) struct Opened<T> {
    io: T,
    first: [u8; PREFACE.len()],
    /// INVARIANT: `given <= count <= first.len()`.
    given: usize,
    count: usize,
}

/// Reads until it is certain what the client speaks.
///
/// The bytes are taken and not merely peeked at: a half-sent preface would keep a socket readable
/// and make waiting for the rest a busy loop.
///
/// # Errors
/// Those of the socket, and `UnexpectedEof` if the client leaves before that.
pub(super) async fn open<T: AsyncRead + Unpin>(mut io: T) -> io::Result<Opening<T>> {
    let mut first = [0_u8; PREFACE.len()];
    let mut count = 0;
    loop {
        let read = io.read(first.get_mut(count..).unwrap_or_default()).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        count += read;
        let same = first.iter().zip(&PREFACE).take(count).all(|(sent, due)| sent == due);
        if !same {
            return Ok(Opening::Http1(Opened { io, first, given: 0, count }));
        }
        if count == PREFACE.len() {
            return Ok(Opening::Http2(Opened { io, first, given: 0, count }));
        }
    }
}

// === impl Opened ===

impl<T: AsyncRead + Unpin> AsyncRead for Opened<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let again = this.first.get(this.given..this.count).unwrap_or_default();
        if again.is_empty() {
            return Pin::new(&mut this.io).poll_read(cx, buf);
        }
        let count = again.len().min(buf.remaining());
        buf.put_slice(again.get(..count).unwrap_or_default());
        this.given += count;
        if this.given == this.count && buf.remaining() != 0 {
            // The rest of the head is usually there too, and is best checked in one piece. If it
            // is not, or the socket has failed, the next read says so.
            let _ = Pin::new(&mut this.io).poll_read(cx, buf);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Opened<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    #[tokio::test]
    async fn the_preface_is_known_at_every_cut_and_read_again() {
        for cut in 1..=PREFACE.len() {
            let (mut client, server) = tokio::io::duplex(64);
            client.write_all(&PREFACE[..cut]).await.unwrap();
            let rest = async {
                tokio::task::yield_now().await;
                client.write_all(&PREFACE[cut..]).await.unwrap();
                client.write_all(b"more").await.unwrap();
            };

            let (opening, ()) = tokio::join!(open(server), rest);

            let Opening::Http2(mut opened) = opening.unwrap() else { panic!("cut at {cut}") };
            let mut seen = [0; 28];
            opened.read_exact(&mut seen).await.unwrap();
            assert_eq!(&seen[..24], &PREFACE);
            assert_eq!(&seen[24..], b"more");
        }
    }

    #[tokio::test]
    async fn a_method_that_begins_like_the_preface_is_http_1() {
        let (mut client, server) = tokio::io::duplex(64);
        client.write_all(b"PROPFIND / HTTP/1.1\r\n").await.unwrap();

        let opening = open(server).await.unwrap();

        let Opening::Http1(mut opened) = opening else { panic!("not http/1") };
        let mut seen = [0; 21];
        opened.read_exact(&mut seen).await.unwrap();
        assert_eq!(&seen, b"PROPFIND / HTTP/1.1\r\n");
    }
}

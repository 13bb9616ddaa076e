//! Random requests, cut at random: the layer changes nothing, and never disagrees with hyper.

use super::{
    HOUR,
    stage::{Script, exchange, exchange_bare},
};
use crate::edge::framing::{Notice, Strict};
use proptest::prelude::*;
use std::{collections::VecDeque, pin::Pin, sync::Arc, task::Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A valid request of any shape.
fn request() -> impl Strategy<Value = Vec<u8>> {
    let length = (prop::collection::vec(any::<u8>(), 0..300)).prop_map(|body| {
        let mut bytes = format!("Content-Length: {}\r\n\r\n", body.len()).into_bytes();
        bytes.extend(body);
        bytes
    });
    let chunk = (prop::collection::vec(any::<u8>(), 1..80), "(;[a-z]{1,5}(=[a-z]{1,5})?)?");
    let chunked = (
        prop::collection::vec(chunk, 0..5),
        prop::collection::vec("T-[A-Z]{1,9}: [a-z]{0,9}", 0..3),
    )
        .prop_map(|(chunks, trailers)| {
            let mut bytes = b"Transfer-Encoding: chunked\r\n\r\n".to_vec();
            for (data, extension) in chunks {
                bytes.extend(format!("{:x}{extension}\r\n", data.len()).into_bytes());
                bytes.extend(data);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n");
            for trailer in trailers {
                bytes.extend(trailer.into_bytes());
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"\r\n");
            bytes
        });
    let rest = prop_oneof![Just(b"\r\n".to_vec()), length, chunked];
    let fields = prop::collection::vec("X-[A-Za-z]{1,12}:[ \t]?[ -~]{0,40}", 0..6);
    ("(GET|POST|PUT|DELETE)", "/[a-z0-9/]{0,30}(\\?[a-z=&]{0,20})?", fields, rest).prop_map(
        |(method, target, fields, rest)| {
            let mut bytes =
                format!("{method} {target} HTTP/1.1\r\nHost: h.example\r\n").into_bytes();
            for field in fields {
                bytes.extend(field.into_bytes());
                bytes.extend(b"\r\n");
            }
            bytes.extend(rest);
            bytes
        },
    )
}

/// The same bytes in pieces whose sizes repeat.
fn cut(bytes: &[u8], sizes: &[usize]) -> VecDeque<Vec<u8>> {
    let mut pieces = VecDeque::new();
    let mut rest = bytes;
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at((*size).min(rest.len()));
        pieces.push_back(piece.to_vec());
        rest = after;
    }
    pieces
}

/// Everything the layer hands up, answering each request as soon as it must.
fn handed_up(pieces: VecDeque<Vec<u8>>, space: usize) -> Vec<u8> {
    let notice = Arc::new(Notice::default());
    let script = Script::pieces(pieces).then_hang_up();
    let mut strict = Strict::new(script, HOUR, Arc::clone(&notice));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut up = Vec::new();
    let mut memory = vec![0; space];
    loop {
        let mut buf = ReadBuf::new(&mut memory);
        let read = Pin::new(&mut strict).poll_read(&mut context, &mut buf);
        match read {
            Poll::Ready(Ok(())) if buf.filled().is_empty() => return up,
            Poll::Ready(Ok(())) => up.extend_from_slice(buf.filled()),
            Poll::Ready(Err(error)) => panic!("{error}"),
            Poll::Pending => unreachable!("the script never waits"),
        }
        assert!(notice.refusal().is_none(), "{:?}", notice.refusal());
        if notice.is_serving() {
            drop(notice.serving());
            assert!(Pin::new(&mut strict).poll_flush(&mut context).is_ready());
        }
    }
}

fn block<F: Future>(work: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(work)
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() }
}

/// A place, and what stands there in the place of one byte.
fn damage() -> impl Strategy<Value = (prop::sample::Index, String)> {
    (any::<prop::sample::Index>(), "[\\r\\n\\t :;,+0-9a-fx\\x00\\x7f]{0,2}")
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn valid_requests_pass_byte_for_byte(
        requests in prop::collection::vec(request(), 1..5),
        sizes in prop::collection::vec(1_usize..200, 1..12),
        space in 1_usize..300,
    ) {
        let sent = requests.concat();

        let up = block(async { handed_up(cut(&sent, &sizes), space) });

        prop_assert_eq!(up, sent);
    }

    #[test]
    fn what_passes_is_what_hyper_alone_would_read(
        requests in prop::collection::vec(request(), 1..4),
        damage in prop::collection::vec(damage(), 0..3),
        sizes in prop::collection::vec(1_usize..200, 1..12),
    ) {
        let mut sent = requests.concat();
        for (place, text) in damage {
            let at = place.index(sent.len());
            sent.splice(at..=at, text.bytes());
        }
        let pieces = cut(&sent, &sizes);

        let (strict, bare) = block(async {
            let strict = exchange(Script::pieces(pieces.clone()).then_hang_up(), HOUR).await;
            let bare = exchange_bare(Script::pieces(pieces).then_hang_up()).await;
            (strict, bare)
        });

        // Every request that was served is one that hyper read the same way. Ours may end sooner.
        let served = |got: &str| -> Vec<String> {
            got.lines().filter(|line| line.contains(" h.example ")).map(str::to_owned).collect()
        };
        let (ours, theirs) = (served(&strict), served(&bare));
        let shown = String::from_utf8_lossy(&sent);
        prop_assert!(theirs.starts_with(&ours), "{:?}\n{}\n{}", shown, strict, bare);
    }
}

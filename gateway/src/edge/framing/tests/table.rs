//! The table of framing cases, each in one write, byte by byte and in odd pieces.

use super::{
    HOUR,
    stage::{Script, exchange, statuses},
};
use crate::edge::framing::{Violation, Violation::*};

pub(super) const ALL: [Violation; 22] = [
    NotHttp,
    RequestLine,
    RequestLineTooLong,
    Tunnel,
    HeadTooLarge,
    BareLf,
    BareCr,
    FieldName,
    FieldValue,
    Folded,
    HostMissing,
    HostRepeated,
    HostInvalid,
    ContentLength,
    TransferEncoding,
    BothLengths,
    ChunkSize,
    ChunkExtension,
    ChunkEnd,
    Trailer,
    HeadTimeout,
    BodyTimeout,
];

/// Requests that pass, with the length of the body that the service must see.
const GOOD: &[(&str, usize)] = &[
    ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", 0),
    ("\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", 0),
    ("GET / HTTP/1.1\r\nhOsT:h\r\n\r\n", 0),
    ("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 0),
    ("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", 0),
    ("GET HTTPS://a?q HTTP/1.1\r\nHost: b\r\n\r\n", 0),
    ("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", 0),
    ("GET /%7Bx?a[b]=c HTTP/1.1\r\nHost: h\r\n\r\n", 0),
    ("GET / HTTP/1.1\r\nHost: h\r\nX: \ta\tb \r\n\r\n", 0),
    ("GET / HTTP/1.1\r\nHost: h\r\nX:\r\n\r\n", 0),
    ("GET / HTTP/1.1\r\nHost: h\r\nX: \u{fc}\r\n\r\n", 0),
    ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nabcd", 4),
    ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length:  4 \r\n\r\nab\nd", 4),
    ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", 0),
    ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 004\r\n\r\nabcd", 4),
    ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", 0),
    ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", 1),
    (
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
      0A\r\n0123456789\r\n000\r\n\r\n",
        10,
    ),
    (
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
      1;a=\"b\"\r\nx\r\n0;z\r\n\r\n",
        1,
    ),
    (
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
      2\r\n\r\n\r\n0\r\nA: b\r\nC: d\r\n\r\n",
        2,
    ),
];

const HEAD: &str = "GET / HTTP/1.1\r\nHost: h\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: h\r\n";
const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Requests that must be refused: a beginning, what follows, and why.
const BAD: &[(&str, &str, Violation)] = &[
    ("", "\x16\x03\x01\x02\x00\x01\x00", NotHttp),
    ("", "SSH-2.0-OpenSSH_9.6/with-a-very-long-name", NotHttp),
    ("", "{\"model\":1}\r\n\r\n", NotHttp),
    ("", "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", RequestLine),
    ("", " GET / HTTP/1.1\r\nHost: h\r\n\r\n", RequestLine),
    ("", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", RequestLine),
    ("", "GET /\r\n\r\n", RequestLine),
    ("", "GET / HTTP/1.2\r\nHost: h\r\n\r\n", RequestLine),
    ("", "GET / HTTP/2.0\r\nHost: h\r\n\r\n", RequestLine),
    ("", "GET / http/1.1\r\nHost: h\r\n\r\n", RequestLine),
    ("", "GET / HTTP/1.1 \r\nHost: h\r\n\r\n", RequestLine),
    ("", "GET x HTTP/1.1\r\nHost: h\r\n\r\n", RequestLine),
    ("", "GET * HTTP/1.1\r\nHost: h\r\n\r\n", RequestLine),
    ("", "GET /\ta HTTP/1.1\r\nHost: h\r\n\r\n", RequestLine),
    ("", "GET /\u{fc} HTTP/1.1\r\nHost: h\r\n\r\n", RequestLine),
    ("", "GET /#f HTTP/1.1\r\nHost: h\r\n\r\n", RequestLine),
    ("", "GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n", RequestLine),
    ("", "GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n", HostInvalid),
    ("", "GET http:///x HTTP/1.1\r\nHost: h\r\n\r\n", HostInvalid),
    ("", "CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", Tunnel),
    ("", "GET / HTTP/1.1\nHost: h\r\n\r\n", BareLf),
    ("", "GET / HTTP/1.1\r\nHost: h\n\r\n", BareLf),
    ("", "GET / HTTP/1.1\r\nHost: h\r\n\n", BareLf),
    ("", "\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", BareLf),
    (HEAD, "X: a\rb\r\n\r\n", BareCr),
    (HEAD, "X: a\r\r\n\r\n", BareCr),
    (HEAD, "X\r\n\r\n", FieldName),
    (HEAD, ": x\r\n\r\n", FieldName),
    (HEAD, "X : x\r\n\r\n", FieldName),
    (HEAD, "X\u{fc}: x\r\n\r\n", FieldName),
    (HEAD, "X: a\0b\r\n\r\n", FieldValue),
    (HEAD, "X: a\x0bb\r\n\r\n", FieldValue),
    (HEAD, "X: a\x7fb\r\n\r\n", FieldValue),
    (HEAD, "X: a\r\n b\r\n\r\n", Folded),
    ("GET / HTTP/1.1\r\n", " Host: h\r\n\r\n", Folded),
    ("GET / HTTP/1.1\r\n", "\r\n", HostMissing),
    (HEAD, "Host: h\r\n\r\n", HostRepeated),
    (HEAD, "host: other\r\n\r\n", HostRepeated),
    ("GET / HTTP/1.0\r\nHost: h\r\n", "Host: h\r\n\r\n", HostRepeated),
    ("GET / HTTP/1.1\r\n", "Host:\r\n\r\n", HostInvalid),
    ("GET / HTTP/1.1\r\n", "Host: a, b\r\n\r\n", HostInvalid),
    ("GET / HTTP/1.1\r\n", "Host: u@h\r\n\r\n", HostInvalid),
    ("GET / HTTP/1.1\r\n", "Host: h/x\r\n\r\n", HostInvalid),
    (POST, "Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd", ContentLength),
    (POST, "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", ContentLength),
    (POST, "Content-Length: 4, 4\r\n\r\nabcd", ContentLength),
    (POST, "Content-Length: +4\r\n\r\nabcd", ContentLength),
    (POST, "Content-Length: -4\r\n\r\nabcd", ContentLength),
    (POST, "Content-Length: 0x4\r\n\r\nabcd", ContentLength),
    (POST, "Content-Length: 4a\r\n\r\nabcd", ContentLength),
    (POST, "Content-Length:\r\n\r\n", ContentLength),
    (POST, "Content-Length: 18446744073709551616\r\n\r\n", ContentLength),
    (POST, "Content-Length: 9223372036854775808\r\n\r\n", ContentLength),
    (POST, "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BothLengths),
    (POST, "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", BothLengths),
    (POST, "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", TransferEncoding),
    (POST, "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", TransferEncoding),
    (POST, "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", TransferEncoding),
    (POST, "Transfer-Encoding: identity\r\n\r\n", TransferEncoding),
    (POST, "Transfer-Encoding:\r\n\r\n", TransferEncoding),
    (POST, "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", TransferEncoding),
    (CHUNKED.split_at(CHUNKED.len() - 2).0, "Transfer-Encoding: chunked\r\n\r\n", TransferEncoding),
    (POST, "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", FieldName),
    ("POST / HTTP/1.0\r\nHost: h\r\n", "Transfer-Encoding: chunked\r\n\r\n", TransferEncoding),
    (CHUNKED, "\r\n\r\n", ChunkSize),
    (CHUNKED, "+1\r\nx\r\n0\r\n\r\n", ChunkSize),
    (CHUNKED, "0x1\r\nx\r\n0\r\n\r\n", ChunkSize),
    (CHUNKED, " 1\r\nx\r\n0\r\n\r\n", ChunkSize),
    (CHUNKED, "1 \r\nx\r\n0\r\n\r\n", ChunkSize),
    (CHUNKED, "1 ;a\r\nx\r\n0\r\n\r\n", ChunkSize),
    (CHUNKED, "00000000000000001\r\nx\r\n0\r\n\r\n", ChunkSize),
    (CHUNKED, "10000000000000000\r\nx\r\n", ChunkSize),
    (CHUNKED, "g\r\nx\r\n0\r\n\r\n", ChunkSize),
    (CHUNKED, "1\nx\r\n0\r\n\r\n", ChunkSize),
    (CHUNKED, "1\rx\r\n0\r\n\r\n", BareCr),
    (CHUNKED, "1;a\nb\r\nx\r\n0\r\n\r\n", BareLf),
    (CHUNKED, "1;a\rb\r\nx\r\n0\r\n\r\n", BareCr),
    (CHUNKED, "1;a\0\r\nx\r\n0\r\n\r\n", ChunkExtension),
    (CHUNKED, "1\r\nxy\r\n0\r\n\r\n", ChunkEnd),
    (CHUNKED, "1\r\nx\n0\r\n\r\n", ChunkEnd),
    (CHUNKED, "1\r\nx\r0\r\n\r\n", ChunkEnd),
    (CHUNKED, "0\r\n\n", BareLf),
    (CHUNKED, "0\r\nA: b\n\r\n", BareLf),
    (CHUNKED, "0\r\nA : b\r\n\r\n", FieldName),
    (CHUNKED, "0\r\nA: b\r\n c\r\n\r\n", Folded),
    (CHUNKED, "0\r\nContent-Length: 4\r\n\r\n", Trailer),
    (CHUNKED, "0\r\nAuthorization: x\r\n\r\n", Trailer),
];

/// Whole, byte by byte, and in pieces that fall nowhere in particular.
const SIZES: [usize; 4] = [usize::MAX, 1, 3, 17];

/// What would be answered if bytes behind a violation were taken for a request.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn sound_requests_pass_and_the_next_one_is_found_behind_them() {
    for (sent, length) in GOOD {
        let both = format!("{sent}GET /next HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        for size in SIZES {
            let got = exchange(Script::cut(both.as_bytes(), size), HOUR).await;

            assert_eq!(statuses(&got), ["200", "200"], "{sent:?} in {size}: {got}");
            assert!(got.contains(&format!(" {length}\n")), "{sent:?} in {size}: {got}");
            assert!(got.ends_with("GET /next h 0\n"), "{sent:?} in {size}: {got}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_of_http_1_0_needs_no_host() {
    let got = exchange(Script::whole(b"GET / HTTP/1.0\r\n\r\n"), HOUR).await;

    assert!(got.starts_with("HTTP/1.0 200 "), "{got}");
}

#[tokio::test(start_paused = true)]
async fn broken_requests_are_refused_and_nothing_behind_them_is_read() {
    for (begin, rest, violation) in BAD {
        let sent = format!("{begin}{rest}{SMUGGLED}");
        for size in SIZES {
            expect_refusal(sent.as_bytes(), size, *violation).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn limits_hold_to_the_byte() {
    let line = |bytes: usize| {
        let path = "a".repeat(bytes - "GET / HTTP/1.1".len());
        format!("GET /{path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    };
    let head = |bytes: usize| {
        let fixed = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX: \r\n\r\n".len();
        let value = "a".repeat(bytes - fixed);
        format!("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX: {value}\r\n\r\n")
    };
    let lines = |count: usize| {
        let more = "X: y\r\n".repeat(count - 2);
        format!("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{more}\r\n")
    };
    let extensions = |bytes: usize| {
        let extension = "a".repeat(bytes);
        let head = CHUNKED.replace("Host: h\r\n", "Host: h\r\nConnection: close\r\n");
        format!("{head}1;{extension}\r\nx\r\n0\r\n\r\n")
    };
    let trailers = |count: usize| {
        let head = CHUNKED.replace("Host: h\r\n", "Host: h\r\nConnection: close\r\n");
        format!("{head}0\r\n{}\r\n", "X: y\r\n".repeat(count))
    };
    let cases = [
        (line(16 << 10), line((16 << 10) + 1), RequestLineTooLong),
        (head(64 << 10), head((64 << 10) + 1), HeadTooLarge),
        (lines(128), lines(129), HeadTooLarge),
        (extensions(4 << 10), extensions((4 << 10) + 1), ChunkExtension),
        (trailers(32), trailers(33), Trailer),
    ];
    for (good, bad, violation) in cases {
        for size in [usize::MAX, 1000] {
            let got = exchange(Script::cut(good.as_bytes(), size), HOUR).await;
            assert_eq!(statuses(&got), ["200"], "{violation:?} {got}");
            expect_refusal(bad.as_bytes(), size, violation).await;
        }
    }
    // A head that never ends is refused too.
    expect_refusal("GET /".repeat(1 << 20).as_bytes(), 4096, RequestLineTooLong).await;
    let endless = format!("{HEAD}X: {}", "a".repeat(1 << 20));
    expect_refusal(endless.as_bytes(), 4096, HeadTooLarge).await;
}

async fn expect_refusal(sent: &[u8], size: usize, violation: Violation) {
    let got = exchange(Script::cut(sent, size), HOUR).await;

    let shown = String::from_utf8_lossy(&sent[..sent.len().min(200)]);
    assert_eq!(statuses(&got), [violation.status().as_str()], "{shown:?} in {size}: {got}");
    assert!(got.contains(violation.message()), "{shown:?} in {size}: {got}");
    assert!(got.contains("connection: close"), "{shown:?} in {size}: {got}");
    assert!(!got.contains("smuggled"), "{shown:?} in {size}: {got}");
}

//! Attacks on the wire (P1-P11): what a hostile or broken client may do to the client listener.

mod framing;
mod http2;
mod slow;

use serde_json::Value;
use std::{fmt, net::SocketAddr, time::Duration};
use tests::{
    house::{House, Plan},
    settings::Settings,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

/// No test waits longer for anything.
const LONG: Duration = Duration::from_secs(20);

/// A model that answers at once.
const MODEL: &str = "sim-economy-out7-delay0-gap0";

/// The client listener of a house, seen as bytes.
struct Gate {
    address: SocketAddr,
    key: String,
    // The house stays open as long as its gate.
    _house: House,
}

/// What came back on a connection until it was closed, or until enough was there.
struct Got {
    bytes: Vec<u8>,
}

// === impl Gate ===

impl Gate {
    /// A house with the limits that it has by default.
    async fn open() -> Self {
        Self::of(plan()).await
    }

    /// A house whose first-byte, header, idle and body times are half a second.
    async fn open_hasty() -> Self {
        let limits = ["first_byte_millis", "header_millis", "idle_millis", "body_grace_millis"];
        Self::of(limits.iter().fold(plan(), |plan, limit| plan.with("edge", limit, "500"))).await
    }

    async fn of(plan: Plan) -> Self {
        let house = plan.open().await;
        let address = house.url().trim_start_matches("http://").parse().expect("an address");
        Self { address, key: house.key("ada").to_owned(), _house: house }
    }

    async fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).await.expect("the gate is open");
        stream.set_nodelay(true).expect("a live socket");
        stream
    }

    /// Sends bytes and reads until the gateway closes.
    async fn send(&self, bytes: &[u8]) -> Got {
        let mut stream = self.connect().await;
        // The gateway may answer and close before it has read everything.
        let _ = timeout(LONG, stream.write_all(bytes)).await.expect("taken or refused in time");
        Got::all(stream).await
    }

    /// A chat request with `body`, whose connection closes behind the answer.
    fn chat(&self, body: &str) -> Vec<u8> {
        self.post(&format!("Content-Length: {}\r\nConnection: close\r\n", body.len()), body)
    }

    /// A chat request with further header lines.
    fn post(&self, lines: &str, body: &str) -> Vec<u8> {
        let key = &self.key;
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: application/json\r\n{lines}\r\n{body}"
        )
        .into_bytes()
    }

    /// The list of models: the cheapest request with a 200.
    fn models(&self, lines: &str) -> String {
        let key = &self.key;
        format!(
            "GET /v1/models HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer {key}\r\n{lines}\r\n"
        )
    }

    async fn expect_alive(&self) {
        let got = self.send(self.models("Connection: close\r\n").as_bytes()).await;
        assert_eq!(got.statuses(), ["200"], "{got:?}");
    }
}

impl fmt::Debug for Got {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

// === impl Got ===

impl Got {
    async fn all(mut stream: TcpStream) -> Self {
        let mut bytes = Vec::new();
        // A reset behind the answer takes nothing from it.
        let _ = timeout(LONG, stream.read_to_end(&mut bytes)).await.expect("closed in time");
        Self { bytes }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    fn statuses(&self) -> Vec<String> {
        self.text().split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].to_owned()).collect()
    }

    /// The code inside the error body.
    fn code(&self) -> String {
        let text = self.text();
        let (_, body) = text.split_once("\r\n\r\n").expect("a whole answer");
        let json: Value = serde_json::from_str(body).expect("an error is json");
        assert!(json.pointer("/error/message").is_some_and(Value::is_string), "{json}");
        let code = json.pointer("/error/code").and_then(Value::as_str);
        code.expect("an error has a code").to_owned()
    }
}

fn plan() -> Plan {
    Plan::new(Settings::of("acme").key("ada").model(MODEL, &[MODEL]))
}

/// The body of a chat request; `rest` follows its last field.
fn ask(rest: &str) -> String {
    format!(
        "{{\"model\":\"{}\",\"messages\":[{{\"role\":\"user\",\"content\":\"hi\"}}]{rest}}}",
        MODEL
    )
}

#[tokio::test]
async fn p2_a_bomb_in_any_coding_is_too_large_at_once() {
    let gate = Gate::open().await;
    for (coding, bomb) in [("gzip", gzip_bomb()), ("zstd", zstd_bomb())] {
        let mut sent = gate.post(
            &format!(
                "Content-Encoding: {coding}\r\nContent-Length: {}\r\nConnection: close\r\n",
                bomb.len()
            ),
            "",
        );
        sent.extend_from_slice(&bomb);
        let begun = Instant::now();

        let got = gate.send(&sent).await;

        assert_eq!(got.statuses(), ["413"], "{coding} {got:?}");
        assert_eq!(got.code(), "body_too_large");
        assert!(begun.elapsed() < Duration::from_secs(5), "{coding}");
    }
    gate.expect_alive().await;
}

#[tokio::test]
async fn p2_an_unknown_or_stacked_coding_is_unsupported() {
    let gate = Gate::open().await;
    for coding in ["br", "deflate", "gzip, gzip"] {
        let lines =
            format!("Content-Encoding: {coding}\r\nContent-Length: 2\r\nConnection: close\r\n");

        let got = gate.send(&gate.post(&lines, "{}")).await;

        assert_eq!(got.statuses(), ["415"], "{coding} {got:?}");
    }
}

#[tokio::test]
async fn p3_json_may_be_127_deep_and_no_deeper() {
    let gate = Gate::open().await;
    // The outermost object is the first level.
    let nested = |depth: usize| {
        let inner = depth - 1;
        ask(&format!(",\"x_nested\":{}{}", "[".repeat(inner), "]".repeat(inner)))
    };

    let fits = gate.send(&gate.chat(&nested(127))).await;
    assert_eq!(fits.statuses(), ["200"], "{fits:?}");
    for depth in [128, 129, 10_000, 900_000] {
        let begun = Instant::now();
        let got = gate.send(&gate.chat(&nested(depth))).await;
        assert_eq!(got.statuses(), ["400"], "{depth}");
        assert_eq!(got.code(), "malformed_request");
        assert!(begun.elapsed() < Duration::from_secs(2), "{depth}");
    }
    let open_only = gate.send(&gate.chat(&"[".repeat(900_000))).await;
    assert_eq!(open_only.statuses(), ["400"]);
    gate.expect_alive().await;
}

#[tokio::test]
async fn p4_a_body_without_a_key_is_refused_unread() {
    const CLAIMED: usize = 100 << 20;
    // What the gateway discards, and what the kernel's buffers on both sides may swallow.
    const TAKEN_MAX: usize = 24 << 20;
    let gate = Gate::open().await;
    let stream = gate.connect().await;
    let (mut from, mut to) = stream.into_split();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: gate\r\nContent-Length: {CLAIMED}\r\n\r\n"
    );
    to.write_all(head.as_bytes()).await.expect("a head is taken");
    let begun = Instant::now();
    let write = async {
        let piece = vec![b'x'; 64 << 10];
        let mut taken = 0;
        while taken < CLAIMED {
            match to.write(&piece).await {
                Ok(count) => taken += count,
                Err(_) => break,
            }
        }
        taken
    };
    let read = async {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes).await;
        Got { bytes }
    };

    let (taken, got) = timeout(LONG, async { tokio::join!(write, read) }).await.expect("closed");

    assert_eq!(got.statuses(), ["401"], "{got:?}");
    assert_eq!(got.code(), "unauthenticated");
    assert!(taken < TAKEN_MAX, "{taken} bytes");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn p5_a_key_that_is_given_twice_is_refused_whatever_its_case() {
    let gate = Gate::open().await;
    let model = MODEL;
    let messages = "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]";
    let bodies = [
        format!("{{\"model\":\"{model}\",\"model\":\"other\",{messages}}}"),
        format!("{{\"model\":\"{model}\",\"model\":\"{model}\",{messages}}}"),
        format!("{{\"model\":\"{model}\",\"mod\\u0065l\":\"other\",{messages}}}"),
        format!("{{\"model\":\"{model}\",\"Model\":\"other\",{messages}}}"),
        format!("{{\"MODEL\":\"{model}\",{messages}}}"),
        format!("{{\"model\":\"{model}\",{messages},{messages}}}"),
        format!(
            "{{\"model\":\"{model}\",\"messages\":\
             [{{\"role\":\"user\",\"content\":\"a\",\"content\":\"b\"}}]}}"
        ),
    ];
    for body in bodies {
        let got = gate.send(&gate.chat(&body)).await;

        assert_eq!(got.statuses(), ["400"], "{body} {got:?}");
        // A key that differs by case only is another reader's parameter, and told as such.
        let folded = body.contains("\"Model\"") || body.contains("\"MODEL\"");
        let code = if folded { "unsupported_parameter" } else { "malformed_request" };
        assert_eq!(got.code(), code, "{body}");
    }
}

#[tokio::test]
async fn the_first_small_event_of_a_stream_is_not_held_back() {
    const EVENT_MILLIS_MAX: u128 = 5;
    let gate = Gate::open().await;
    let body = ask(",\"stream\":true");
    let sent = gate.post(&format!("Content-Length: {}\r\n", body.len()), &body);
    let mut stream = gate.connect().await;
    let mut space = vec![0; 64 << 10];
    let mut millis = Vec::new();
    // One connection, so that the second request shows what the socket does and not the set-up.
    for _ in 0..15 {
        let begun = Instant::now();
        stream.write_all(&sent).await.expect("kept alive");
        let mut seen = Vec::new();
        let mut first = None;
        while !seen.ends_with(b"0\r\n\r\n") {
            let count =
                timeout(LONG, stream.read(&mut space)).await.expect("in time").expect("open");
            assert!(0 < count, "closed early");
            seen.extend_from_slice(&space[..count]);
            if first.is_none() && seen.windows(6).any(|six| six == b"data: ") {
                first = Some(begun.elapsed().as_millis());
            }
        }
        millis.push(first.expect("a stream has an event"));
    }
    millis.sort_unstable();

    assert!(millis[millis.len() / 2] <= EVENT_MILLIS_MAX, "{millis:?}");
}

/// 64 MiB of one letter in 420 kB: a fixed-Huffman block of repeats (RFC 1951 section 3.2.6).
fn gzip_bomb() -> Vec<u8> {
    let mut bits: Vec<bool> = Vec::new();
    let mut code = |value: u32, length: u32| {
        bits.extend((0..length).rev().map(|bit| value >> bit & 1 == 1));
    };
    // The last block (1), with fixed codes (01, lowest bit first); then one space.
    code(0b110, 3);
    code(0x30 + 0x20, 8);
    for _ in 0..(64 << 20) / 258 {
        // Length 258 (symbol 285), distance 1 (symbol 0).
        code(0b1100_0101, 8);
        code(0, 5);
    }
    code(0, 7);
    let mut bomb = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    for byte in bits.chunks(8) {
        bomb.push(byte.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit)));
    }
    // The checksum is never reached.
    bomb.extend_from_slice(&[0; 8]);
    bomb
}

/// 128 MiB of one letter in 4 kB: a frame of repeat blocks (RFC 8878 section 3.1.1.2).
fn zstd_bomb() -> Vec<u8> {
    const BLOCK_BYTES: u32 = 128 << 10;
    // Magic, no flags, a window of 1 MiB.
    let mut bomb = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 10 << 3];
    for block in 0..1024_u32 {
        let last = u32::from(block == 1023);
        let header = BLOCK_BYTES << 3 | 1 << 1 | last;
        bomb.extend_from_slice(&header.to_le_bytes()[..3]);
        bomb.push(b' ');
    }
    bomb
}

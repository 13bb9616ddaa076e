//! P10: floods and broken frames over HTTP/2, frame by frame.

use super::{Gate, LONG};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Types, flags, settings and codes of RFC 9113 sections 6 and 7.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const INITIAL_WINDOW_SIZE: u8 = 4;
const MAX_CONCURRENT_STREAMS: u8 = 3;
const MAX_HEADER_LIST_SIZE: u8 = 6;
const PROTOCOL_ERROR: u32 = 1;
const ENHANCE_YOUR_CALM: u32 = 11;

/// A client that writes what it likes.
struct Frames {
    stream: TcpStream,
}

struct Frame {
    kind: u8,
    flags: u8,
    payload: Vec<u8>,
}

// === impl Frames ===

impl Frames {
    async fn open(gate: &Gate) -> Self {
        let mut frames = Self { stream: gate.connect().await };
        frames.stream.write_all(PREFACE).await.expect("the preface is taken");
        frames.write(&frame(SETTINGS, 0, 0, &[])).await;
        frames
    }

    /// Whether the gateway still takes frames.
    async fn write(&mut self, bytes: &[u8]) -> bool {
        matches!(timeout(LONG, self.stream.write_all(bytes)).await, Ok(Ok(())))
    }

    async fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        timeout(LONG, self.stream.read_exact(&mut head)).await.expect("in time").ok()?;
        let [high, middle, low, kind, flags, ..] = head;
        let length = u32::from_be_bytes([0, high, middle, low]);
        let mut payload = vec![0; length as usize];
        timeout(LONG, self.stream.read_exact(&mut payload)).await.expect("in time").ok()?;
        Some(Frame { kind, flags, payload })
    }

    /// The code of the GOAWAY that ends the connection; none if it just ends.
    async fn goaway(&mut self) -> Option<u32> {
        loop {
            let frame = self.read().await?;
            if frame.kind == GOAWAY {
                return frame.payload.get(4..8)?.try_into().ok().map(u32::from_be_bytes);
            }
        }
    }
}

#[tokio::test]
async fn p10_the_limits_are_announced() {
    let gate = Gate::open().await;
    let mut frames = Frames::open(&gate).await;

    let first = frames.read().await.expect("settings come first");

    assert_eq!((first.kind, first.flags), (SETTINGS, 0));
    let setting = |id: u8| {
        let found = first.payload.chunks(6).find(|six| six[..2] == [0, id]);
        found.map(|six| u32::from_be_bytes([six[2], six[3], six[4], six[5]]))
    };
    assert!(setting(MAX_CONCURRENT_STREAMS).is_some_and(|streams| streams <= 200));
    assert!(setting(MAX_HEADER_LIST_SIZE).is_some_and(|bytes| bytes <= 32 << 10));
}

#[tokio::test]
async fn p10_rapid_resets_are_told_to_calm_down() {
    let gate = Gate::open().await;
    let mut frames = Frames::open(&gate).await;
    let mut flood = Vec::new();
    for stream in (1..2_001).step_by(2) {
        flood.extend(frame(HEADERS, END_STREAM | END_HEADERS, stream, &request_block(&gate)));
        flood.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }

    frames.write(&flood).await;

    assert_eq!(frames.goaway().await, Some(ENHANCE_YOUR_CALM));
    gate.expect_alive().await;
}

#[tokio::test]
async fn p10_headers_that_never_end_are_cut_off() {
    let gate = Gate::open().await;
    let mut frames = Frames::open(&gate).await;
    frames.write(&frame(HEADERS, END_STREAM, 1, &request_block(&gate))).await;
    let mut block = vec![0, 1, b'x', 0x7f, 0x81, 0x77];
    block.resize(15_000, b'y');
    let more = frame(CONTINUATION, 0, 1, &block);

    let mut taken = 0;
    while taken < 10_000 && frames.write(&more).await {
        taken += 1;
    }

    assert!(taken < 10_000, "150 MB of header were taken");
    gate.expect_alive().await;
}

#[tokio::test]
async fn p10_floods_of_settings_and_pings_leave_the_gateway_alive() {
    let gate = Gate::open().await;
    for one in [frame(SETTINGS, 0, 0, &[]), frame(PING, 0, 0, &[0; 8])] {
        let mut frames = Frames::open(&gate).await;
        // Nobody reads the acknowledgements: the gateway must stop reading, not remember them.
        let flood = one.repeat(200_000);
        let _ = timeout(std::time::Duration::from_secs(2), frames.stream.write_all(&flood)).await;
        gate.expect_alive().await;
    }
}

#[tokio::test]
async fn p10_broken_frames_end_their_connection_only() {
    let gate = Gate::open().await;
    let broken = [
        frame(DATA, 0, 0, b"on no stream"),
        frame(HEADERS, END_HEADERS, 2, &request_block(&gate)),
        frame(CONTINUATION, END_HEADERS, 1, &[]),
        frame(PING, 0, 0, &[0; 7]),
        frame(SETTINGS, 0, 0, &[0; 5]),
    ];
    for bytes in broken {
        let mut frames = Frames::open(&gate).await;

        frames.write(&bytes).await;

        let code = frames.goaway().await;
        assert!(code.is_none_or(|code| PROTOCOL_ERROR <= code), "{code:?} for {bytes:?}");
    }
    gate.expect_alive().await;
}

#[tokio::test]
async fn p10_a_window_of_zero_holds_up_only_its_own_stream() {
    let gate = Gate::open().await;
    let mut frames = Frames::open(&gate).await;
    let mut closed = vec![0, INITIAL_WINDOW_SIZE];
    closed.extend_from_slice(&0_u32.to_be_bytes());
    frames.write(&frame(SETTINGS, 0, 0, &closed)).await;
    for stream in (1..200).step_by(2) {
        let head = frame(HEADERS, END_STREAM | END_HEADERS, stream, &request_block(&gate));
        frames.write(&head).await;
    }

    gate.expect_alive().await;
}

/// `GET /v1/models` with the key of the house (RFC 7541: indexed and literal fields).
fn request_block(gate: &Gate) -> Vec<u8> {
    // :method GET, :scheme http; then :path, :authority and authorization as literals.
    let mut block = vec![0x82, 0x86];
    literal(&mut block, &[0x04], "/v1/models");
    literal(&mut block, &[0x01], "gate");
    literal(&mut block, &[0x0f, 23 - 15], &format!("Bearer {}", gate.key));
    block
}

fn literal(block: &mut Vec<u8>, name: &[u8], value: &str) {
    block.extend_from_slice(name);
    block.push(u8::try_from(value.len()).ok().filter(|length| *length < 127).expect("short"));
    block.extend_from_slice(value.as_bytes());
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, high, middle, low] = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let mut frame = vec![high, middle, low, kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

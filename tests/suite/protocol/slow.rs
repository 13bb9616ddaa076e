//! P1: clients that say nothing, or too little at a time.

use super::{Gate, Got, LONG, ask};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, interval, timeout},
};

/// The hasty limits are half a second; this leaves room for a machine that is busy.
const HASTY_MAX: Duration = Duration::from_secs(5);
const SLOW_CLIENTS: usize = 300;

#[tokio::test]
async fn p1_a_silent_connection_is_closed() {
    let gate = Gate::open_hasty().await;
    let begun = Instant::now();

    let got = gate.send(b"").await;

    assert_eq!(got.text(), "");
    assert!(begun.elapsed() < HASTY_MAX);
}

#[tokio::test]
async fn p1_a_half_sent_header_is_told_so_and_closed() {
    let gate = Gate::open_hasty().await;
    let begun = Instant::now();

    let got = gate.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: ga").await;

    assert_eq!(got.statuses(), ["408"], "{got:?}");
    assert!(begun.elapsed() < HASTY_MAX);
}

#[tokio::test]
async fn p1_dribbled_headers_and_bodies_are_told_so_and_closed() {
    let gate = Gate::open_hasty().await;
    let head = String::from_utf8(gate.post("Content-Length: 100000\r\n", "")).expect("text");
    for (whole, rest) in [("", head.as_str()), (head.as_str(), "{\"model\":")] {
        let begun = Instant::now();
        let mut stream = gate.connect().await;
        stream.write_all(whole.as_bytes()).await.expect("taken");

        let got = dribble(stream, rest).await;

        assert_eq!(got.statuses(), ["408"], "{got:?}");
        assert!(begun.elapsed() < HASTY_MAX);
    }
}

#[tokio::test]
async fn p1_an_idle_connection_is_closed_behind_its_answer() {
    let gate = Gate::open_hasty().await;

    let got = gate.send(gate.models("").as_bytes()).await;

    assert_eq!(got.statuses(), ["200"], "{got:?}");
}

#[tokio::test]
async fn p1_a_good_client_does_not_notice_hundreds_of_slow_ones() {
    let gate = Gate::open().await;
    let mut slow = Vec::new();
    for index in 0..SLOW_CLIENTS {
        let mut stream = gate.connect().await;
        if index % 3 != 0 {
            stream.write_all(b"POST /v1/chat/completions HT").await.expect("taken");
        }
        slow.push(stream);
    }
    let begun = Instant::now();

    let got = gate.send(&gate.chat(&ask(""))).await;

    assert_eq!(got.statuses(), ["200"], "{got:?}");
    assert!(begun.elapsed() < Duration::from_secs(1));
}

/// Sends a byte every 50 ms, over and over, until an answer comes.
async fn dribble(mut stream: TcpStream, text: &str) -> Got {
    let mut first = [0; 1];
    {
        let (mut from, mut to) = stream.split();
        let writing = async {
            let mut tick = interval(Duration::from_millis(50));
            for byte in text.as_bytes().iter().cycle() {
                tick.tick().await;
                if to.write_all(&[*byte]).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let reading = timeout(LONG, from.read_exact(&mut first));
        tokio::select! {
            read = reading => { read.expect("answered in time").expect("a byte"); }
            () = writing => {}
        }
    }
    let mut got = Got::all(stream).await;
    got.bytes.insert(0, u8::from_be_bytes(first));
    got
}

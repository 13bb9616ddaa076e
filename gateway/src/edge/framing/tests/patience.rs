//! Slow and absent clients, on a clock that only the test moves.

use super::stage::{serve, statuses};
use crate::edge::framing::Patience;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    task::JoinHandle,
    time::{Instant, sleep},
};

const PATIENCE: Patience = Patience {
    header: Duration::from_secs(10),
    idle: Duration::from_secs(75),
    body_grace: Duration::from_secs(10),
    body_bytes_per_second_min: 240,
    write_stall: Duration::from_secs(60),
    linger: Duration::from_secs(1),
};

#[expect(clippy::disallowed_methods, reason = "the connection ends with its test")]
fn connect() -> (DuplexStream, JoinHandle<()>) {
    let (client, server) = duplex(16 << 10);
    (client, tokio::spawn(serve(server, PATIENCE)))
}

async fn rest(client: &mut DuplexStream) -> String {
    let mut got = String::new();
    client.read_to_string(&mut got).await.unwrap();
    got
}

/// Seconds that `work` took, rounded.
async fn seconds<T>(work: impl Future<Output = T>) -> (T, u64) {
    let begun = Instant::now();
    let outcome = work.await;
    (outcome, (begun.elapsed() + Duration::from_millis(500)).as_secs())
}

#[tokio::test(start_paused = true)]
async fn a_half_sent_head_is_told_so_after_the_header_time() {
    let (mut client, _server) = connect();
    client.write_all(b"GET / HTTP/1.1\r\nHost: h").await.unwrap();

    let (got, took) = seconds(rest(&mut client)).await;

    assert_eq!(statuses(&got), ["408"], "{got}");
    assert_eq!(took, 10);
}

#[tokio::test(start_paused = true)]
async fn a_dribbling_head_gets_no_more_time_for_its_dribbles() {
    let (client, _server) = connect();
    let (mut from, mut to) = tokio::io::split(client);
    let dribble = async {
        for byte in b"GET / HTTP/1.1\r\nHost: example" {
            to.write_all(&[*byte]).await.unwrap();
            sleep(Duration::from_secs(1)).await;
        }
    };
    let mut got = [0; 12];

    let took = tokio::select! {
        (read, took) = seconds(from.read_exact(&mut got)) => { read.unwrap(); took }
        () = dribble => unreachable!("the dribble is longer than the limit"),
    };

    assert_eq!(&got, b"HTTP/1.1 408");
    assert_eq!(took, 10);
}

#[tokio::test(start_paused = true)]
async fn a_dribbling_body_is_told_so_after_its_grace() {
    let (client, _server) = connect();
    let (mut from, mut to) = tokio::io::split(client);
    to.write_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n").await.unwrap();
    let dribble = async {
        loop {
            to.write_all(b"x").await.unwrap();
            sleep(Duration::from_secs(3)).await;
        }
    };
    let mut got = [0; 12];

    let took = tokio::select! {
        (read, took) = seconds(from.read_exact(&mut got)) => { read.unwrap(); took }
        () = dribble => unreachable!("the dribble has no end"),
    };

    assert_eq!(&got, b"HTTP/1.1 408");
    assert_eq!(took, 10);
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_at_the_least_rate_passes() {
    let (mut client, _server) = connect();
    client
        .write_all(
            b"POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 18000\r\n\r\n",
        )
        .await
        .unwrap();
    for _ in 0..60 {
        sleep(Duration::from_secs(1)).await;
        client.write_all(&[b'x'; 300]).await.unwrap();
    }

    let got = rest(&mut client).await;

    assert!(got.ends_with("POST / h 18000\n"), "{got}");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_reads_late_is_not_the_clients_fault() {
    let (mut client, _server) = connect();
    client
        .write_all(
            b"POST /slow HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 50000\r\n\r\n",
        )
        .await
        .unwrap();
    client.write_all(&[b'x'; 50_000]).await.unwrap();

    let (got, took) = seconds(rest(&mut client)).await;

    assert!(got.ends_with("POST /slow h 50000\n"), "{got}");
    assert!(took <= 200);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_in_silence_and_counts_from_the_last_answer() {
    let (mut client, server) = connect();
    client.write_all(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();

    let (got, took) = seconds(rest(&mut client)).await;

    assert_eq!(statuses(&got), ["200"], "{got}");
    assert_eq!(took, 200 + 75);
    server.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_cut_off() {
    let (mut client, server) = connect();
    client.write_all(b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();

    let (ended, took) = seconds(server).await;

    ended.unwrap();
    assert_eq!(took, 60);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_gets_everything() {
    let (mut client, _server) = connect();
    client.write_all(b"GET /large HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut count = 0;
    let mut space = vec![0; 64 << 10];
    loop {
        sleep(Duration::from_secs(30)).await;
        match client.read(&mut space).await.unwrap() {
            0 => break,
            read => count += read,
        }
    }

    assert!((8 << 20) < count, "{count}");
}

#[tokio::test(start_paused = true)]
async fn a_hang_up_ends_an_answer_that_has_not_begun() {
    for behind in [&b""[..], b"GET /next HTTP/1.1\r\nHost: h\r\n\r\n", b"GET /half"] {
        let (mut client, server) = connect();
        client.write_all(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
        client.write_all(behind).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        drop(client);

        let (ended, took) = seconds(server).await;

        ended.unwrap();
        assert_eq!(took, 0, "{behind:?}");
    }
}

//! P6-P9 and P11: requests that two readers could read in two ways.

use super::Gate;

/// What would be answered if bytes behind a violation were taken for a request.
const SMUGGLED: &str = "GET /v1/models HTTP/1.1\r\nHost: gate\r\n\r\n";
const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

#[tokio::test]
async fn p6_p7_lengths_that_can_be_read_twice_are_refused_and_the_connection_closed() {
    let gate = Gate::open().await;
    let cases: [(&str, &str); 23] = [
        ("Content-Length: 2\r\nContent-Length: 2\r\n", "{}"),
        ("Content-Length: 2\r\nContent-Length: 3\r\n", "{}"),
        ("Content-Length: 2, 2\r\n", "{}"),
        ("Content-Length: +2\r\n", "{}"),
        ("Content-Length: 0x2\r\n", "{}"),
        ("Content-Length: 18446744073709551618\r\n", "{}"),
        ("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
        ("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        ("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"),
        ("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"),
        ("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"),
        ("X: a\r\n b\r\n", ""),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
        (CHUNKED, "\r\n"),
        (CHUNKED, "+2\r\n{}\r\n0\r\n\r\n"),
        (CHUNKED, "0x2\r\n{}\r\n0\r\n\r\n"),
        (CHUNKED, "2 \r\n{}\r\n0\r\n\r\n"),
        (CHUNKED, "10000000000000002\r\n{}\r\n0\r\n\r\n"),
        (CHUNKED, "2;a\nb\r\n{}\r\n0\r\n\r\n"),
        (CHUNKED, "2\n{}\n0\n\n"),
        (CHUNKED, "2\r\n{}\n0\r\n\r\n"),
    ];
    for (lines, body) in cases {
        let mut sent = gate.post(lines, body);
        sent.extend_from_slice(SMUGGLED.as_bytes());
        expect_refused(&gate, &sent, "400").await;
    }
    gate.expect_alive().await;
}

#[tokio::test]
async fn p6_chunks_to_a_client_of_http_1_0_are_refused() {
    let gate = Gate::open().await;
    let sent = "POST /v1/chat/completions HTTP/1.0\r\nHost: gate\r\n\
                Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n";

    expect_refused(&gate, sent.as_bytes(), "400").await;
}

#[tokio::test]
async fn p8_bare_lines_and_missing_or_double_hosts_are_refused() {
    let gate = Gate::open().await;
    let heads = [
        "GET /v1/models HTTP/1.1\nHost: gate\r\n\r\n",
        "GET /v1/models HTTP/1.1\r\nHost: gate\n\r\n",
        "GET /v1/models HTTP/1.1\r\nHost: gate\r\n\n",
        "GET /v1/models HTTP/1.1\r\nHost: gate\r\nX: a\rb\r\n\r\n",
        "GET /v1/models HTTP/1.1\r\nHost: gate\r\nX: a\0b\r\n\r\n",
        "GET /v1/models HTTP/1.1\r\n\r\n",
        "GET /v1/models HTTP/1.1\r\nHost: gate\r\nHost: gate\r\n\r\n",
        "GET /v1/models HTTP/1.1\r\nHost: gate\r\nHost: other\r\n\r\n",
        "GET /v1/models HTTP/1.1\r\nHost: gate, other\r\n\r\n",
        "GET http://u@gate/v1/models HTTP/1.1\r\nHost: gate\r\n\r\n",
        "CONNECT gate:443 HTTP/1.1\r\nHost: gate\r\n\r\n",
        "GET  /v1/models HTTP/1.1\r\nHost: gate\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03\r\n\r\n",
    ];
    for head in heads {
        expect_refused(&gate, format!("{head}{SMUGGLED}").as_bytes(), "400").await;
    }
}

#[tokio::test]
async fn p8_an_absolute_target_is_served_whatever_the_host() {
    let gate = Gate::open().await;
    let sent = gate
        .models("Connection: close\r\n")
        .replace("GET /v1/models", "GET http://other.example/v1/models");

    let got = gate.send(sent.as_bytes()).await;

    assert_eq!(got.statuses(), ["200"], "{got:?}");
}

#[tokio::test]
async fn p9_an_upgrade_is_ignored_and_what_follows_is_a_request() {
    let gate = Gate::open().await;
    let first = gate.models("Connection: upgrade\r\nUpgrade: foo\r\n");
    let second = gate.models("Connection: close\r\n");

    let got = gate.send(format!("{first}{second}").as_bytes()).await;

    assert_eq!(got.statuses(), ["200", "200"], "{got:?}");
}

#[tokio::test]
async fn p9_an_earlier_answer_is_whole_before_a_later_request_is_refused() {
    let gate = Gate::open().await;
    let first = gate.models("");

    let got =
        gate.send(format!("{first}GET / HTTP/1.1\nHost: gate\n\n{SMUGGLED}").as_bytes()).await;

    assert_eq!(got.statuses(), ["200", "400"], "{got:?}");
}

#[tokio::test]
async fn p11_too_many_or_too_large_headers_are_told_so() {
    let gate = Gate::open().await;
    let many = gate.models(&"X: y\r\n".repeat(200));
    let large = gate.models(&format!("X: {}\r\n", "y".repeat(1 << 20)));
    let long = gate.models("").replace("/v1/models", &format!("/v1/{}", "m".repeat(20 << 10)));

    expect_refused(&gate, many.as_bytes(), "431").await;
    expect_refused(&gate, large.as_bytes(), "431").await;
    expect_refused(&gate, long.as_bytes(), "414").await;
    gate.expect_alive().await;
}

/// One refusal, its connection closed, and nothing behind it answered.
async fn expect_refused(gate: &Gate, sent: &[u8], status: &str) {
    let got = gate.send(sent).await;

    let shown = String::from_utf8_lossy(sent.get(..400).unwrap_or(sent));
    assert_eq!(got.statuses(), [status], "{shown:?}: {got:?}");
    assert_eq!(got.code(), "malformed_request", "{shown:?}");
    assert!(got.text().contains("connection: close"), "{shown:?}: {got:?}");
}

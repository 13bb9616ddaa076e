//! Framing in one write, byte by byte and cut at random, against hyper itself.

mod differential;
mod patience;
mod stage;
mod table;

use super::*;
use stage::{Script, exchange, statuses};
use std::time::Duration;

const HOUR: Patience = Patience {
    header: Duration::from_secs(3600),
    idle: Duration::from_secs(3600),
    body_grace: Duration::from_secs(3600),
    body_bytes_per_second_min: 0,
    write_stall: Duration::from_secs(3600),
    linger: Duration::from_secs(1),
};

#[tokio::test(start_paused = true)]
async fn pipelined_requests_are_answered_in_order_at_every_cut() {
    let sent = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc\
        GET /b HTTP/1.1\r\nHost: h\r\n\r\n\
        POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
        2\r\nhi\r\n0\r\nx: y\r\n\r\n\
        GET /d HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    for size in 1..sent.len() {
        let got = exchange(Script::cut(sent, size), HOUR).await;

        let bodies: Vec<_> = got.lines().filter(|line| line.contains(" h ")).collect();
        assert_eq!(bodies, ["POST /a h 3", "GET /b h 0", "POST /c h 2", "GET /d h 0"], "{size}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_pipelined_request_is_refused_after_the_whole_earlier_answer() {
    for size in [1, 7, 4096] {
        let sent = b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\nGET /x HTTP/1.1\nHost: h\r\n\r\n\
            GET /never HTTP/1.1\r\nHost: h\r\n\r\n";

        let got = exchange(Script::cut(sent, size), HOUR).await;

        assert_eq!(statuses(&got), ["200", "400"], "{got}");
        let first = got.find("GET /slow h 0").expect("answered whole");
        assert!(first < got.find("malformed_request").expect("refused"));
        assert!(!got.contains("/never"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_json_and_closes() {
    let got = exchange(Script::whole(b"GET / HTTP/1.1\r\n\r\n"), HOUR).await;

    let (head, body) = got.split_once("\r\n\r\n").expect("a whole answer");
    assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head}");
    assert!(head.contains("\r\nconnection: close"), "{head}");
    assert!(head.contains("\r\ncontent-type: application/json"), "{head}");
    let json: serde_json::Value = serde_json::from_str(body).expect("json");
    assert_eq!(json["error"]["type"], "invalid_request_error");
    assert_eq!(json["error"]["code"], "malformed_request");
    assert!(json["error"]["param"].is_null());
}

#[tokio::test(start_paused = true)]
async fn the_authority_of_an_absolute_target_wins_over_host() {
    let sent = b"GET http://wins:8080/p?q=1 HTTP/1.1\r\nHost: loses\r\nConnection: close\r\n\r\n";

    let got = exchange(Script::whole(sent), HOUR).await;

    assert!(got.ends_with("GET /p?q=1 wins:8080 0\n"), "{got}");
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_is_ignored_and_the_next_request_is_a_request() {
    let sent = b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n\
        GET /b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

    let got = exchange(Script::whole(sent), HOUR).await;

    assert_eq!(statuses(&got), ["200", "200"], "{got}");
}

#[tokio::test(start_paused = true)]
async fn an_unread_body_costs_at_most_the_linger() {
    let mut sent =
        b"POST /unread HTTP/1.1\r\nHost: h\r\nContent-Length: 104857600\r\n\r\n".to_vec();
    sent.resize(8 << 20, b'x');
    let script = Script::cut(&sent, 64 << 10);
    let left = script.left();

    let got = exchange(script, HOUR).await;

    assert_eq!(statuses(&got), ["401"], "{got}");
    let read = sent.len() - left.load(std::sync::atomic::Ordering::SeqCst);
    assert!(read <= LINGER_BYTES_MAX + (192 << 10), "{read}");
}

#[test]
fn every_refusal_has_a_message_that_json_can_hold() {
    for violation in table::ALL {
        let answer = violation.answer(http::Version::HTTP_11);

        let json: serde_json::Value = serde_json::from_slice(answer.body()).expect("json");
        assert_eq!(json["error"]["message"], violation.message());
    }
}

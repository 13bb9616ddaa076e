//! A simulator on loopback, and a client of few words.

use crate::simulate::Simulator;
use crate::simulate::oracle::Observed;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

pub(super) struct House {
    simulator: Simulator,
    pub(super) address: std::net::SocketAddr,
    drain: CancellationToken,
}

impl Drop for House {
    fn drop(&mut self) {
        self.drain.cancel();
    }
}

impl House {
    #[expect(clippy::disallowed_methods, reason = "the server of a test ends with its runtime")]
    pub(super) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (simulator, drain) = (Simulator::new(), CancellationToken::new());
        let (served, ends) = (simulator.clone(), drain.clone());
        tokio::spawn(async move { served.serve(listener, ends).await });
        Self { simulator, address, drain }
    }

    /// Sends a request and leaves the rest to the caller.
    pub(super) async fn start(&self, line: &str, id: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let length = body.len();
        let text = format!(
            "{line} HTTP/1.1\r\nhost: sim\r\nconnection: close\r\nx-client-request-id: {id}\r\n\
             content-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    /// Status, head and body as bytes, however the connection ended.
    pub(super) async fn raw(&self, line: &str, body: &str) -> (u16, String, Vec<u8>) {
        let mut stream = self.start(line, "req/1", body).await;
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all).await;
        let Some(end) = all.windows(4).position(|four| four == b"\r\n\r\n") else {
            return (0, String::new(), all);
        };
        let head = String::from_utf8_lossy(&all[..end]).to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body = all[end + 4..].to_vec();
        let chunked = head.contains("transfer-encoding: chunked");
        (status, head, if chunked { unchunked(&body) } else { body })
    }

    pub(super) async fn json(&self, line: &str, body: &Value) -> (u16, Value) {
        let (status, _, text) = self.raw(line, &body.to_string()).await;
        (status, serde_json::from_slice(&text).unwrap_or(Value::Null))
    }

    pub(super) async fn chat(&self, body: &Value) -> Value {
        let (status, answer) = self.json("POST /v1/chat/completions", body).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// The text after each `data: `.
    pub(super) async fn stream(&self, body: &Value) -> Vec<String> {
        let (_, _, text) = self.raw("POST /v1/chat/completions", &body.to_string()).await;
        let text = String::from_utf8(text).unwrap();
        text.lines().filter_map(|line| line.strip_prefix("data: ")).map(str::to_owned).collect()
    }

    pub(super) async fn told(&self, path: &str) -> (u16, Value) {
        self.json(&format!("GET /oracle/{path}"), &Value::Null).await
    }

    pub(super) fn last(&self) -> Observed {
        self.simulator.requests(0).pop().unwrap()
    }
}

fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&body[..end]).unwrap(), 16).unwrap();
        let Some(chunk) = body.get(end + 2..end + 2 + size) else { break };
        whole.extend_from_slice(chunk);
        body = body.get(end + 4 + size..).unwrap_or_default();
    }
    whole
}

//! Raw bytes over TCP, for what no well-behaved client would send.

use crate::wait::{self, SOON};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Largest answer that is kept.
const ANSWER_BYTES_MAX: usize = 4 << 20;

pub struct Wire {
    stream: TcpStream,
}

impl Wire {
    pub async fn connect(address: &str) -> Self {
        let stream = wait::within(SOON, "a connection", TcpStream::connect(address)).await;
        let stream = stream.expect("it listens");
        stream.set_nodelay(true).expect("TCP");
        Self { stream }
    }

    /// Sends bytes; false if the other side has closed.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// All that comes until the other side closes.
    pub async fn until_closed(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let mut limited = (&mut self.stream).take(ANSWER_BYTES_MAX as u64);
        // A reset is an end too: what came before it counts.
        let _ =
            wait::within(SOON, "the end of the connection", limited.read_to_end(&mut all)).await;
        all
    }

    /// What has come once it contains `end`.
    pub async fn until(&mut self, end: &[u8]) -> Vec<u8> {
        let mut all = Vec::new();
        let mut buffer = [0; 4096];
        while !all.windows(end.len()).any(|window| window == end) {
            let read = self.stream.read(&mut buffer);
            let read = wait::within(SOON, "more of an answer", read).await.unwrap_or(0);
            if read == 0 || ANSWER_BYTES_MAX < all.len() {
                break;
            }
            all.extend_from_slice(buffer.get(..read).unwrap_or_default());
        }
        all
    }
}

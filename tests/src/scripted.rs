//! An upstream that sends given bytes, cut where the test says, whatever they are.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Longest request that is read.
const REQUEST_BYTES_MAX: usize = 4 << 20;
/// How long one request may take to come.
const READ_SECS_MAX: u64 = 20;

/// What an upstream does with one request.
#[derive(Clone, Debug)]
pub enum Act {
    /// A stream of these pieces, each in an HTTP chunk of its own.
    Pieces(Vec<Vec<u8>>),
    /// These bytes as they are, then the connection is closed.
    Raw(Vec<u8>),
}

/// Serves on loopback until it is dropped. Each request's head and body are given to `act`.
pub struct Scripted {
    base_url: String,
    over: Arc<AtomicBool>,
}

impl Scripted {
    pub fn serve(act: impl Fn(&str, &str) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let over = Arc::new(AtomicBool::new(false));
        let (ends, act) = (Arc::clone(&over), Arc::new(act));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if ends.load(Ordering::Acquire) {
                    return;
                }
                let act = Arc::clone(&act);
                // Each thread ends with its connection.
                std::thread::spawn(move || connection(stream, &*act));
            }
        });
        Self { base_url: format!("http://{address}/v1"), over }
    }

    pub fn base_url(&self) -> &str {
        &self.base_url
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        // One more connection, so that the loop looks.
        let address = self.base_url.trim_start_matches("http://").trim_end_matches("/v1");
        let _ = TcpStream::connect(address);
    }
}

fn connection(mut stream: TcpStream, act: &(impl Fn(&str, &str) -> Act + ?Sized)) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(READ_SECS_MAX)));
    let _ = stream.set_nodelay(true);
    let mut unread = Vec::new();
    while let Some((head, body)) = request(&mut stream, &mut unread) {
        let sent = match act(&head, &body) {
            Act::Raw(bytes) => {
                let _ = stream.write_all(&bytes);
                return;
            }
            Act::Pieces(pieces) => send(&mut stream, &pieces),
        };
        if sent.is_err() {
            return;
        }
    }
}

fn send(stream: &mut TcpStream, pieces: &[Vec<u8>]) -> std::io::Result<()> {
    stream.write_all(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
          transfer-encoding: chunked\r\n\r\n",
    )?;
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes())?;
        stream.write_all(piece)?;
        stream.write_all(b"\r\n")?;
    }
    stream.write_all(b"0\r\n\r\n")
}

/// The next request's head and body; none when the other side has closed.
fn request(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<(String, String)> {
    loop {
        if let Some(end) = unread.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(unread.get(..end)?).into_owned();
            let length = length_of(&head);
            let whole = end + 4 + length;
            if whole <= unread.len() {
                let rest = unread.split_off(whole);
                let body = String::from_utf8_lossy(unread.get(end + 4..)?).into_owned();
                *unread = rest;
                return Some((head, body));
            }
        }
        let mut buffer = [0; 16 * 1024];
        let read = stream.read(&mut buffer).ok()?;
        if read == 0 || REQUEST_BYTES_MAX < unread.len() {
            return None;
        }
        unread.extend_from_slice(buffer.get(..read)?);
    }
}

fn length_of(head: &str) -> usize {
    let value = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    value.unwrap_or(0)
}

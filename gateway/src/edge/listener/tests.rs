//! The accept loop over real sockets.

use super::*;
use http::{StatusCode, Version, header};
use http_body_util::{BodyExt, Empty, Full};
use hyper::{client::conn::http2 as client, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{convert::Infallible, future::pending};
use tokio::{sync::mpsc, task::JoinHandle};

const SOON: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(20);

const LIMITS: Limits = Limits {
    first_byte: LONG,
    header: LONG,
    idle: LONG,
    body_grace: LONG,
    body_bytes_per_second_min: 240,
    write_stall: LONG,
    connections_max: 64,
    connections_per_address_max: 64,
};

/// What the service of the tests tells of a request.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    Came,
    Dropped,
}

struct Told(mpsc::Sender<Event>);

impl Drop for Told {
    fn drop(&mut self) {
        // The test may have ended.
        let _ = self.0.try_send(Event::Dropped);
    }
}

struct Stand {
    address: SocketAddr,
    drain: CancellationToken,
    served: JoinHandle<()>,
    events: mpsc::Receiver<Event>,
    go: Arc<Semaphore>,
}

// === impl Stand ===

impl Stand {
    #[expect(clippy::disallowed_methods, reason = "the listener ends with its test")]
    async fn open(limits: Limits, deadline: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let drain = CancellationToken::new();
        let (tell, events) = mpsc::channel(100);
        let go = Arc::new(Semaphore::new(0));
        let gate = Arc::clone(&go);
        let make = move |from: SocketAddr| {
            let (tell, gate) = (tell.clone(), Arc::clone(&gate));
            service_fn(move |request| answer(request, from, tell.clone(), Arc::clone(&gate)))
        };
        let served = tokio::spawn(serve(listener, limits, make, drain.clone(), deadline));
        Self { address, drain, served, events, go }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn ask(&self, target: &str) -> TcpStream {
        let mut stream = self.connect().await;
        let head = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    }

    async fn http2(&self) -> client::SendRequest<Empty<Bytes>> {
        let io = TokioIo::new(self.connect().await);
        let (send, connection) = client::handshake(TokioExecutor::new(), io).await.unwrap();
        TaskTracker::new().spawn(connection);
        send
    }
}

async fn answer(
    request: Request<Incoming>,
    from: SocketAddr,
    tell: mpsc::Sender<Event>,
    go: Arc<Semaphore>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let told = Told(tell);
    told.0.send(Event::Came).await.unwrap();
    match request.uri().path() {
        "/wait" => go.acquire().await.unwrap().forget(),
        "/stuck" => pending().await,
        "/panic" => panic!("on purpose"),
        _ => {}
    }
    let host = request.headers().get(header::HOST).map_or("-", |host| host.to_str().unwrap());
    Ok(Response::new(Full::from(format!("{} {host} {}", request.uri(), from.ip()))))
}

async fn rest(mut stream: TcpStream) -> String {
    let mut got = Vec::new();
    // A reset behind the answer changes nothing about it.
    let _ = timeout(LONG, stream.read_to_end(&mut got)).await.expect("closed in time");
    String::from_utf8(got).unwrap()
}

fn request(uri: &str) -> Request<Empty<Bytes>> {
    Request::builder().version(Version::HTTP_2).uri(uri).body(Empty::new()).unwrap()
}

#[tokio::test]
async fn one_listener_speaks_both_protocols_and_gives_the_clients_address() {
    let stand = Stand::open(LIMITS, LONG).await;
    let mut old = stand.connect().await;
    old.write_all(b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut new = stand.http2().await;

    let got = rest(old).await;
    let response = new.send_request(request("http://h2.example/b?c")).await.unwrap();

    assert!(got.ends_with("/a h 127.0.0.1"), "{got}");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "/b?c h2.example 127.0.0.1");
}

#[tokio::test]
async fn a_host_that_differs_from_the_authority_is_refused_over_http_2() {
    let stand = Stand::open(LIMITS, LONG).await;
    let mut send = stand.http2().await;
    let mut odd = request("http://h2.example/");
    odd.headers_mut().insert(header::HOST, "other.example".parse().unwrap());

    let refused = send.send_request(odd).await.unwrap();
    let sound = send.send_request(request("http://h2.example/")).await.unwrap();

    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    assert_eq!(refused.headers()[header::CONTENT_TYPE], "application/json");
    assert_eq!(sound.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_silent_connection_is_closed_without_a_word() {
    let stand = Stand::open(Limits { first_byte: SOON, ..LIMITS }, LONG).await;
    let silent = stand.connect().await;
    let mut half = stand.connect().await;
    half.write_all(b"PRI * HT").await.unwrap();

    assert_eq!(rest(silent).await, "");
    assert_eq!(rest(half).await, "");
}

#[tokio::test]
async fn idle_connections_are_closed_in_both_protocols() {
    let stand = Stand::open(Limits { idle: SOON, ..LIMITS }, LONG).await;
    let old = stand.ask("/a").await;
    let mut new = stand.http2().await;
    new.send_request(request("http://h/")).await.unwrap();

    let got = rest(old).await;
    timeout(LONG, async {
        while new.ready().await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("closed in time");

    assert!(got.ends_with("/a h 127.0.0.1"), "{got}");
}

#[tokio::test]
async fn over_the_cap_a_connection_is_told_so_until_another_leaves() {
    let limits = Limits { connections_per_address_max: 1, ..LIMITS };
    let mut stand = Stand::open(limits, LONG).await;
    let first = stand.ask("/stuck").await;
    assert_eq!(stand.events.recv().await, Some(Event::Came));

    let got = rest(stand.ask("/a").await).await;

    let (head, body) = got.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{got}");
    assert!(body.starts_with('{') && body.ends_with('}'), "{body}");
    drop(first);
    assert_eq!(stand.events.recv().await, Some(Event::Dropped));
    timeout(LONG, async {
        // The place is given back a moment after the request is dropped.
        loop {
            let mut again = stand.ask("/a").await;
            let mut status = [0; 12];
            again.read_exact(&mut status).await.unwrap();
            if &status == b"HTTP/1.1 200" {
                break;
            }
        }
    })
    .await
    .expect("a place becomes free");
}

#[tokio::test]
async fn a_hang_up_is_seen_while_the_answer_is_awaited() {
    let mut stand = Stand::open(LIMITS, LONG).await;
    let client = stand.ask("/stuck").await;
    assert_eq!(stand.events.recv().await, Some(Event::Came));

    drop(client);

    let event = timeout(LONG, stand.events.recv()).await.expect("seen in time");
    assert_eq!(event, Some(Event::Dropped));
}

#[tokio::test]
async fn a_drain_lets_requests_finish_and_closes_everything_else() {
    let mut stand = Stand::open(LIMITS, LONG).await;
    let idle = stand.ask("/a").await;
    assert_eq!(stand.events.recv().await, Some(Event::Came));
    assert_eq!(stand.events.recv().await, Some(Event::Dropped));
    let silent = stand.connect().await;
    let busy = stand.ask("/wait").await;
    assert_eq!(stand.events.recv().await, Some(Event::Came));
    let mut new = stand.http2().await;
    let stream = new.send_request(request("http://h/wait"));
    let stream = async { stream.await.unwrap().into_body().collect().await.unwrap().to_bytes() };
    let flow = async {
        assert_eq!(stand.events.recv().await, Some(Event::Came));
        stand.drain.cancel();
        assert!(rest(idle).await.ends_with("/a h 127.0.0.1"));
        assert_eq!(rest(silent).await, "");
        stand.go.add_permits(2);
        rest(busy).await
    };

    let (got, streamed) = tokio::join!(flow, stream);

    assert!(got.contains("connection: close") && got.ends_with("/wait h 127.0.0.1"), "{got}");
    assert_eq!(streamed, "/wait h 127.0.0.1");
    timeout(LONG, stand.served).await.expect("ends in time").unwrap();
    assert!(TcpStream::connect(stand.address).await.is_err());
}

#[tokio::test]
async fn what_outlasts_the_deadline_is_dropped() {
    let mut stand = Stand::open(LIMITS, SOON).await;
    let stuck = stand.ask("/stuck").await;
    assert_eq!(stand.events.recv().await, Some(Event::Came));
    let mut new = stand.http2().await;
    let stream = new.send_request(request("http://h/stuck"));
    let flow = async {
        assert_eq!(stand.events.recv().await, Some(Event::Came));
        stand.drain.cancel();
        timeout(LONG, stand.served).await.expect("ends in time").unwrap();
    };

    let ((), streamed) = tokio::join!(flow, stream);

    assert!(streamed.is_err());
    assert_eq!(rest(stuck).await, "");
    assert_eq!(stand.events.recv().await, Some(Event::Dropped));
    assert_eq!(stand.events.recv().await, Some(Event::Dropped));
}

#[tokio::test]
async fn a_panic_ends_one_connection_only() {
    let stand = Stand::open(LIMITS, LONG).await;

    let got = rest(stand.ask("/panic").await).await;
    let mut new = stand.http2().await;
    let failed = new.send_request(request("http://h/panic")).await;
    let sound = new.send_request(request("http://h/a")).await.unwrap();

    assert_eq!(got, "");
    assert!(failed.is_err());
    assert_eq!(sound.status(), StatusCode::OK);
}

#[tokio::test]
async fn accepting_waits_longer_after_each_shortage_and_not_at_all_after_a_hang_up() {
    let mut pause = Pause::default();

    pause.lengthen(&io::ErrorKind::ConnectionAborted.into());
    assert_eq!(pause.until, None);
    let lengths: Vec<_> = (0..9)
        .map(|_| {
            // EMFILE
            pause.lengthen(&io::Error::from_raw_os_error(24));
            pause.length.as_millis()
        })
        .collect();

    assert_eq!(lengths, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
    assert!(pause.until.is_some());
}

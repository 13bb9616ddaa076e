//! Signing in with a browser on this machine: code with PKCE, back over loopback (RFC 8252).

use super::{
    Way,
    provider::{self, Provider, Tokens},
};
use admin::service::sign_in::secret;
use anyhow::{Context, bail, ensure};
use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::{
    net::Ipv4Addr,
    process::{Command, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// How long a person may take.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// How long a connection may take to say what it wants, and how much it may say.
const REQUEST_PATIENCE: Duration = Duration::from_secs(5);
const REQUEST_BYTES_MAX: usize = 16 * 1024;
const PATH: &str = "/callback";

pub(super) async fn sign_in(way: &Way, provider: &Provider) -> anyhow::Result<Tokens> {
    let endpoint = provider.discovery().authorization_endpoint.as_deref();
    let endpoint = endpoint.context("the provider has no page for signing in; try --device")?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let redirect = format!("http://127.0.0.1:{}{PATH}", listener.local_addr()?.port());
    let (state, nonce, verifier) = (secret()?, secret()?, secret()?);
    let hash = digest::digest(&digest::SHA256, verifier.as_bytes());
    let challenge = URL_SAFE_NO_PAD.encode(hash.as_ref());
    let mut url = url::Url::parse(endpoint)?;
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", provider.client_id())
        .append_pair("redirect_uri", &redirect)
        .append_pair("scope", &provider.scope())
        .append_pair("state", &state)
        .append_pair("nonce", &nonce)
        .append_pair("code_challenge", &challenge)
        .append_pair("code_challenge_method", "S256");
    if provider.is_offline() {
        url.query_pairs_mut().append_pair("prompt", "consent");
    }
    eprintln!("Sign in here:\n\n  {url}\n");
    open(url.as_str());
    let code = tokio::time::timeout(PATIENCE, answer(&listener, &state)).await;
    let code = code.context("nobody signed in")??;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", &redirect),
        ("client_id", provider.client_id()),
        ("code_verifier", &verifier),
    ];
    let tokens = provider::read(&way.post(provider.token_endpoint()?, &form).await?)?;
    provider.check(way, &tokens, &nonce).await?;
    Ok(tokens)
}

/// Shows the page if there is something to show it with; the address was printed.
fn open(url: &str) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut command = Command::new(opener);
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // Without such a program, people copy the address.
    drop(command.spawn());
}

/// The code that the browser brings back. What else comes is turned away and changes nothing.
async fn answer(listener: &TcpListener, state: &str) -> anyhow::Result<String> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        let Some(target) = target(&mut stream).await else { continue };
        let came = target.strip_prefix(PATH).and_then(|rest| rest.strip_prefix('?'));
        let pairs: Vec<_> =
            url::form_urlencoded::parse(came.unwrap_or_default().as_bytes()).into_owned().collect();
        let value = |name: &str| pairs.iter().find(|(it, _)| it == name).map(|(_, value)| value);
        if value("state").map(String::as_str) != Some(state) {
            say(&mut stream, "404 Not Found", "There is nothing here.").await;
            continue;
        }
        return match value("code") {
            Some(code) => {
                say(&mut stream, "200 OK", "You can close this page.").await;
                Ok(code.clone())
            }
            None => {
                say(&mut stream, "200 OK", "That did not work; see the terminal.").await;
                let error = value("error").map_or("no code came", String::as_str);
                let more = value("error_description").map_or("", String::as_str);
                bail!("the provider says: {error} {more}")
            }
        };
    }
}

/// The target of a GET request.
async fn target(stream: &mut TcpStream) -> Option<String> {
    let reading = async {
        let mut head = Vec::new();
        while !head.windows(4).any(|window| window == b"\r\n\r\n") {
            let read = stream.read_buf(&mut head).await?;
            ensure!(read != 0 && head.len() <= REQUEST_BYTES_MAX, "no request");
        }
        anyhow::Ok(head)
    };
    let head = tokio::time::timeout(REQUEST_PATIENCE, reading).await.ok()?.ok()?;
    let line = head.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    (words.next()? == "GET").then_some(())?;
    words.next().map(str::to_owned)
}

async fn say(stream: &mut TcpStream, status: &str, text: &str) {
    let page = format!("<!doctype html><meta charset=utf-8><title>Penstock</title><p>{text}");
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\n\
         cache-control: no-store\r\nreferrer-policy: no-referrer\r\nconnection: close\r\n\r\n{page}",
        page.len()
    );
    // A browser that has gone does not need it.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

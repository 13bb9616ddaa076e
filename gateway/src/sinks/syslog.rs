//! Messages as syslog (RFC 5424) over TLS (RFC 5425), counted in octets.
//!
//! Syslog has no receipt: what was given to a connection that then breaks may or may not have
//! come. So what was written shortly before a break is written again on the next connection.

use super::delivery::Outgoing;
use crate::config::Receiver;
use admin::service::audit::ocsf::Severity;
use anyhow::Context;
use policies::{egress, time::Timestamp};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::{Value, json};
use std::{collections::VecDeque, io, path::Path, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::TlsConnector;

/// For a connection with its handshake, and for each write.
const PATIENCE: Duration = Duration::from_secs(5);
/// What was written so long before a break is written again, and how many messages at most.
const DOUBTFUL: Duration = Duration::from_secs(30);
const DOUBTFUL_MESSAGES_MAX: usize = 1_000;
/// Octets that every receiver should take (RFC 5425, section 4.3.1).
const MESSAGE_BYTES_MAX: usize = 8_192;
/// The facility "log audit" (RFC 5424, table 1).
const FACILITY: u8 = 13;
/// Characters of a message's id (RFC 5424, section 6).
const MESSAGE_ID_CHARS_MAX: usize = 32;

trait Connection: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<C: AsyncRead + AsyncWrite + Send + Sync + Unpin> Connection for C {}

pub(super) struct Syslog {
    to: Receiver,
    connector: TlsConnector,
    open: Option<Box<dyn Connection>>,
    recent: VecDeque<(Instant, String)>,
}

impl Syslog {
    /// `ca_file`: whose certificates are trusted; empty: those that browsers trust.
    pub(super) fn new(to: Receiver, ca_file: &Path) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        if ca_file.as_os_str().is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        } else {
            let shown = || format!("ca_file {}", ca_file.display());
            for certificate in CertificateDer::pem_file_iter(ca_file).with_context(shown)? {
                roots.add(certificate.with_context(shown)?).with_context(shown)?;
            }
            anyhow::ensure!(!roots.is_empty(), "{}: it has no certificate", shown());
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        Ok(Self { to, connector, open: None, recent: VecDeque::new() })
    }

    /// Writes all of them to a connection that stands afterwards, or none counts as written.
    pub(super) async fn send(&mut self, messages: Vec<String>) -> io::Result<()> {
        let sent = timeout(PATIENCE * 2, self.try_send(messages)).await;
        let sent = sent.unwrap_or_else(|_late| Err(io::ErrorKind::TimedOut.into()));
        if sent.is_err() {
            self.open = None;
        }
        sent
    }

    async fn try_send(&mut self, messages: Vec<String>) -> io::Result<()> {
        let mut standing = self.open.take();
        if let Some(open) = &mut standing
            && !stands(&mut **open).await
        {
            standing = None;
        }
        let mut open = match standing {
            Some(open) => open,
            None => self.connect_again().await?,
        };
        let text: String = messages.iter().map(|message| counted(message)).collect();
        open.write_all(text.as_bytes()).await?;
        open.flush().await?;
        if !stands(&mut *open).await {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let now = Instant::now();
        self.recent.extend(messages.into_iter().map(|message| (now, message)));
        while DOUBTFUL_MESSAGES_MAX < self.recent.len() {
            self.recent.pop_front();
        }
        self.open = Some(open);
        Ok(())
    }

    /// A new connection, which gets once more what the one before may have lost.
    async fn connect_again(&mut self) -> io::Result<Box<dyn Connection>> {
        let mut open = self.connect().await?;
        let now = Instant::now();
        self.recent.retain(|(at, _)| now.duration_since(*at) < DOUBTFUL);
        for (_, message) in &self.recent {
            open.write_all(counted(message).as_bytes()).await?;
        }
        Ok(open)
    }

    async fn connect(&self) -> io::Result<Box<dyn Connection>> {
        let Receiver { tls, host, port } = &self.to;
        let found = tokio::net::lookup_host((host.as_str(), *port)).await?;
        let allowed = |ip: std::net::IpAddr| {
            if *tls { !egress::is_forbidden(ip) } else { ip.to_canonical().is_loopback() }
        };
        let refused = || io::Error::other("its name leads to no address that is allowed");
        let mut fault = refused();
        for address in found.filter(|address| allowed(address.ip())) {
            match timeout(PATIENCE, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return self.secured(stream).await,
                Ok(Err(why)) => fault = why,
                Err(_late) => fault = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(fault)
    }

    async fn secured(&self, stream: TcpStream) -> io::Result<Box<dyn Connection>> {
        stream.set_nodelay(true)?;
        if !self.to.tls {
            return Ok(Box::new(stream));
        }
        let name = ServerName::try_from(self.to.host.clone()).map_err(io::Error::other)?;
        Ok(Box::new(self.connector.connect(name, stream).await?))
    }
}

/// Whether the other end has not closed it. What it says is of no interest: syslog has no answers.
async fn stands(open: &mut dyn Connection) -> bool {
    let mut said = [0; 256];
    match timeout(Duration::ZERO, open.read(&mut said)).await {
        Ok(Ok(0) | Err(_)) => false,
        Ok(Ok(_)) | Err(_) => true,
    }
}

/// A frame with its length before it (RFC 5425, section 4.3).
fn counted(message: &str) -> String {
    format!("{} {message}", message.len())
}

/// An event as a message. One that is longer than every receiver takes goes without what it
/// changed, and says so.
pub(super) fn of_event(outgoing: &Outgoing) -> String {
    let event = &outgoing.event;
    let told =
        |body: &Value| message(event.severity, outgoing.at, &event.action, &body.to_string());
    let whole = told(&event.body);
    if whole.len() <= MESSAGE_BYTES_MAX {
        return whole;
    }
    let mut body = event.body.clone();
    if let Some(rest) = body.get_mut("unmapped").and_then(Value::as_object_mut) {
        for part in ["before", "after", "act"] {
            rest.remove(part);
        }
        rest.insert("left_out".to_owned(), json!("what it changed: too long for syslog"));
    }
    told(&body)
}

/// A message of RFC 5424. Its text is the JSON, without structured data.
pub(super) fn message(severity: Severity, at: Timestamp, id: &str, text: &str) -> String {
    // Informational, warning, error (RFC 5424, table 2).
    let level = match severity {
        Severity::Informational => 6,
        Severity::Medium => 4,
        Severity::High => 3,
    };
    let priority = FACILITY * 8 + level;
    let printable = id.chars().filter(char::is_ascii_graphic).take(MESSAGE_ID_CHARS_MAX);
    let id: String = printable.collect();
    let id = if id.is_empty() { "-" } else { &id };
    let process = std::process::id();
    format!("<{priority}>1 {} - penstock {process} {id} - {text}", at.rfc3339())
}

#[cfg(test)]
mod tests {
    use super::*;
    use admin::service::audit::ocsf::Event;

    fn outgoing(body: Value) -> Outgoing {
        let event = Event {
            id: "org-1".to_owned(),
            severity: Severity::Medium,
            action: "login.failed".to_owned(),
            body,
        };
        Outgoing { event, at: Timestamp(0), position: 1 }
    }

    #[test]
    fn a_message_has_every_field_of_its_header_and_is_counted_in_octets() {
        let message = of_event(&outgoing(json!({ "message": "Übung" })));

        let process = std::process::id();
        let head =
            format!("<108>1 1970-01-01T00:00:00.000Z - penstock {process} login.failed - {{");
        assert!(message.starts_with(&head), "{message}");
        let frame = counted(&message);
        let (length, rest) = frame.split_once(' ').unwrap();
        assert_eq!(length.parse::<usize>().unwrap(), rest.len());
    }

    #[test]
    fn what_is_too_long_goes_without_what_it_changed_and_says_so() {
        let long = "x".repeat(MESSAGE_BYTES_MAX);
        let body = json!({ "unmapped": { "seq": 3, "after": long } });

        let message = of_event(&outgoing(body));

        assert!(message.len() < MESSAGE_BYTES_MAX);
        assert!(message.contains("\"seq\":3") && message.contains("left_out"), "{message}");
    }

    #[tokio::test]
    async fn what_was_written_before_a_break_is_written_again() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let to = Receiver { tls: false, host: "127.0.0.1".to_owned(), port };
        let mut syslog = Syslog::new(to, Path::new("")).unwrap();
        syslog.send(vec!["one".to_owned()]).await.unwrap();
        let (first, _) = listener.accept().await.unwrap();
        drop(first);

        let mut tries = 0;
        while syslog.send(vec!["two".to_owned()]).await.is_err() {
            tries += 1;
            assert!(tries < 10);
        }

        let (mut second, _) = listener.accept().await.unwrap();
        let mut came = vec![0; 10];
        second.read_exact(&mut came).await.unwrap();
        assert_eq!(String::from_utf8(came).unwrap(), "3 one3 two");
    }

    #[tokio::test]
    async fn without_tls_only_this_machine_is_spoken_to() {
        let to = Receiver { tls: false, host: "192.0.2.1".to_owned(), port: 514 };

        let sent = Syslog::new(to, Path::new("")).unwrap().send(vec![String::new()]).await;

        assert!(sent.unwrap_err().to_string().contains("allowed"));
    }
}

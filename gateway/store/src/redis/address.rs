//! Where Redis is, and who may know the password to it: nobody who reads a log.

use ::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _,
    RedisConnectionInfo, RedisError, RedisResult, ScriptInvocation, TlsCertificates, TlsMode,
    Value,
    aio::MultiplexedConnection,
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    sentinel::{SentinelClientBuilder, SentinelServerType},
};
use std::{fmt, time::Duration};
use url::Url;

const PORT: u16 = 6_379;
const SENTINEL_PORT: u16 = 26_379;
/// Servers that a URL may name.
const SERVERS_MAX: usize = 32;

/// A server, the servers of a cluster, or sentinels that name a master.
#[derive(Clone)]
pub struct Address {
    kind: Kind,
    tls: bool,
    servers: Vec<(String, u16)>,
    user: Option<String>,
    password: Option<String>,
    database: i64,
    /// Whose certificates are trusted, as PEM; none: those that the system trusts.
    ca: Option<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Single,
    Cluster,
    Sentinel { master: String },
}

impl Address {
    /// Reads `redis://USER:PASSWORD@HOST:PORT/DATABASE`, `rediss://..` for TLS,
    /// `redis+cluster://HOST:PORT,HOST:PORT` or `redis+sentinel://HOST:PORT,HOST:PORT/MASTER`, the
    /// last two with `rediss+` as well.
    ///
    /// # Errors
    /// What is wrong with it, without its password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or("is not a URL")?;
        let (scheme, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
        let tls = match scheme {
            "redis" => false,
            "rediss" => true,
            _ => return Err("must begin with `redis` or `rediss`".to_owned()),
        };
        let (login, rest) = rest.rsplit_once('@').map_or((None, rest), |(a, b)| (Some(a), b));
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (kind, port) = match kind {
            "" => (Kind::Single, PORT),
            "cluster" => (Kind::Cluster, PORT),
            "sentinel" if path.is_empty() => {
                return Err("`sentinel` needs the name of the master: `/MASTER`".to_owned());
            }
            "sentinel" => (Kind::Sentinel { master: path.to_owned() }, SENTINEL_PORT),
            _ => return Err("after `+` comes `cluster` or `sentinel`".to_owned()),
        };
        let servers: Vec<_> = hosts.split(',').map(|host| server(host, port)).collect();
        let servers = servers.into_iter().collect::<Result<Vec<_>, _>>()?;
        if kind == Kind::Single && 1 < servers.len() || SERVERS_MAX < servers.len() {
            return Err("names too many servers".to_owned());
        }
        let database = match (&kind, path) {
            (Kind::Sentinel { .. }, _) | (Kind::Single, "") | (Kind::Cluster, "") => 0,
            (Kind::Single, number) => number.parse().map_err(|_| "the database is no number")?,
            (Kind::Cluster, _) => return Err("a cluster has one database".to_owned()),
        };
        let (user, password) = login.map(credentials).transpose()?.unwrap_or_default();
        Ok(Self { kind, tls, servers, user, password, database, ca: None })
    }

    /// Trusts these certificates (PEM) only.
    #[must_use]
    pub fn trusting(self, ca: Vec<u8>) -> Self {
        Self { ca: Some(ca), ..self }
    }

    pub fn has_tls(&self) -> bool {
        self.tls
    }

    pub(super) async fn connect(&self, patience: Duration) -> Result<Connection, RedisError> {
        let times = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(patience))
            .set_response_timeout(Some(patience));
        match &self.kind {
            Kind::Single => {
                let infos = self.infos()?;
                let info = infos.into_iter().next().ok_or_else(none)?;
                let client = match &self.ca {
                    Some(_) if self.tls => Client::build_with_tls(info, self.certificates())?,
                    Some(_) | None => Client::open(info)?,
                };
                let connection = client.get_multiplexed_async_connection_with_config(&times);
                connection.await.map(Connection::One)
            }
            Kind::Sentinel { master } => {
                let connection = self.sentinels(master)?;
                let mut client = connection.build()?;
                client.get_async_connection_with_config(&times).await.map(Connection::One)
            }
            Kind::Cluster => {
                let mut builder = ClusterClient::builder(self.infos()?)
                    .connection_timeout(patience)
                    .response_timeout(patience)
                    .retries(1);
                if let Some(password) = &self.password {
                    builder = builder.password(password);
                }
                if let Some(user) = &self.user {
                    builder = builder.username(user);
                }
                if self.tls {
                    builder = builder.tls(TlsMode::Secure).certs(self.certificates());
                }
                builder.build()?.get_async_connection().await.map(Connection::Cluster)
            }
        }
    }

    fn sentinels(&self, master: &str) -> RedisResult<SentinelClientBuilder> {
        let servers = self.servers.iter().map(|(host, port)| self.server(host, *port));
        let of = SentinelServerType::Master;
        let mut builder = SentinelClientBuilder::new(servers, master, of)?;
        if let Some(password) = &self.password {
            builder = builder.set_client_to_redis_password(password);
        }
        if let Some(user) = &self.user {
            builder = builder.set_client_to_redis_username(user);
        }
        if self.tls {
            builder = builder
                .set_client_to_redis_tls_mode(TlsMode::Secure)
                .set_client_to_redis_certificates(self.certificates())
                .set_client_to_sentinel_tls_mode(TlsMode::Secure)
                .set_client_to_sentinel_certificates(self.certificates());
        }
        Ok(builder)
    }

    fn infos(&self) -> RedisResult<Vec<ConnectionInfo>> {
        let mut login = RedisConnectionInfo::default().set_db(self.database);
        if let Some(user) = &self.user {
            login = login.set_username(user);
        }
        if let Some(password) = &self.password {
            login = login.set_password(password);
        }
        let servers = self.servers.iter();
        servers
            .map(|(host, port)| {
                let info = self.server(host, *port).into_connection_info()?;
                Ok(info.set_redis_settings(login.clone()))
            })
            .collect()
    }

    fn server(&self, host: &str, port: u16) -> ConnectionAddr {
        let host = host.to_owned();
        if self.tls {
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host, port)
        }
    }

    fn certificates(&self) -> TlsCertificates {
        TlsCertificates { client_tls: None, root_cert: self.ca.clone() }
    }
}

fn none() -> RedisError {
    RedisError::from((::redis::ErrorKind::InvalidClientConfig, "no server"))
}

/// Host and port; the URL standard's reading of them.
fn server(text: &str, port: u16) -> Result<(String, u16), String> {
    let url = Url::parse(&format!("redis://{text}")).map_err(|fault| format!("{fault}"))?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or("names no host")?;
    if !url.query().unwrap_or_default().is_empty() || url.fragment().is_some() {
        return Err("has a query, which means nothing here".to_owned());
    }
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok((host.to_owned(), url.port().unwrap_or(port)))
}

type Credentials = (Option<String>, Option<String>);

fn credentials(login: &str) -> Result<Credentials, String> {
    let plain = |text: &str| {
        let odd = || "the user or the password is not percent-encoded UTF-8".to_owned();
        let some = (!text.is_empty()).then(|| decoded(text).ok_or_else(odd));
        some.transpose()
    };
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    Ok((plain(user)?, plain(password)?))
}

fn decoded(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, others @ ..] = rest {
        if *first == b'%' {
            let byte = hex::decode(others.get(..2)?).ok()?;
            bytes.extend(byte);
            rest = others.get(2..)?;
        } else {
            bytes.push(*first);
            rest = others;
        }
    }
    String::from_utf8(bytes).ok()
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.tls { "rediss" } else { "redis" })?;
        match &self.kind {
            Kind::Single => {}
            Kind::Cluster => formatter.write_str("+cluster")?,
            Kind::Sentinel { .. } => formatter.write_str("+sentinel")?,
        }
        formatter.write_str("://")?;
        if let Some(user) = &self.user {
            write!(formatter, "{user}@")?;
        }
        for (place, (host, port)) in self.servers.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(formatter, "{comma}{host}:{port}")?;
        }
        if let Kind::Sentinel { master } = &self.kind {
            write!(formatter, "/{master}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{self}`")
    }
}

/// A connection that carries many calls at once.
#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    pub(super) async fn invoke(&mut self, call: &ScriptInvocation<'_>) -> RedisResult<Value> {
        match self {
            Self::One(connection) => call.invoke_async(connection).await,
            Self::Cluster(connection) => call.invoke_async(connection).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_and_shown_without_its_password() {
        for (text, shown) in [
            ("redis://cache", "redis://cache:6379"),
            ("rediss://ada:hun%40ter2@cache:7000/3", "rediss://ada@cache:7000"),
            ("redis://:hunter2@[::1]:7000", "redis://::1:7000"),
            ("redis+cluster://a:1,b", "redis+cluster://a:1,b:6379"),
            ("rediss+sentinel://ada:hunter2@a,b:1/main", "rediss+sentinel://ada@a:26379,b:1/main"),
        ] {
            let address = Address::parse(text).unwrap();

            assert_eq!(address.to_string(), shown);
            assert!(!format!("{address:?}").contains("ter2"));
        }
        let address = Address::parse("redis://ada:hun%40ter2@cache").unwrap();
        assert_eq!(address.password.as_deref(), Some("hun@ter2"));
    }

    #[test]
    fn what_is_no_such_url_is_refused_without_its_password() {
        for text in [
            "cache:6379",
            "http://cache",
            "redis+ring://ada:hunter2@cache",
            "redis+sentinel://ada:hunter2@a",
            "redis://ada:hunter2@a,b",
            "redis://ada:hunter2@a/x",
            "redis+cluster://ada:hunter2@a/1",
            "redis://ada:hunter2%zz@a",
            "redis://ada:hunter2@",
            "redis://ada:hunter2@a?db=1",
        ] {
            let mistake = Address::parse(text).unwrap_err();

            assert!(!mistake.contains("hunter2"), "{text}: {mistake}");
        }
    }
}

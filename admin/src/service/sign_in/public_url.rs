//! The address at which browsers find the console, and what follows from it for cookies.

use crate::gate::who::COOKIES;
use axum::http::{HeaderMap, header};
use std::net::SocketAddr;
use url::{Host, Url};

/// Characters of a path that somebody is sent to after signing in, at most.
const PATH_CHARS_MAX: usize = 1_024;

/// An origin, such as `https://penstock.example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    origin: String,
    /// Browsers send cookies that are marked `Secure` over TLS alone.
    secure: bool,
}

impl PublicUrl {
    /// Reads an origin. Without TLS it must be on this machine: a session could be overheard.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|fault| fault.to_string())?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !bare || !url.username().is_empty() || url.password().is_some() {
            return Err("must be an origin, such as `https://penstock.example.com`".to_owned());
        }
        let loopback = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        let origin = url.origin().ascii_serialization();
        match url.scheme() {
            "https" => Ok(Self { origin, secure: true }),
            "http" if loopback => Ok(Self { origin, secure: false }),
            _ => Err("must begin with https://, unless it is on this machine".to_owned()),
        }
    }

    /// The listener's own address, where nothing else is said.
    pub fn of_listener(address: SocketAddr) -> Self {
        let secure = !address.ip().to_canonical().is_loopback();
        Self { origin: format!("http://{address}"), secure }
    }

    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The whole address of a path that begins with `/`.
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// The name of a session's cookie. The prefix makes browsers refuse it from anywhere else
    /// (RFC 6265bis, section 4.1.3.2).
    pub fn session_cookie(&self) -> &'static str {
        let [secure, plain] = COOKIES;
        if self.secure { secure } else { plain }
    }

    /// The cookie that ties a sign-in under way to its browser.
    pub fn login_cookie(&self) -> &'static str {
        if self.secure { "__Host-penstock-login" } else { "penstock-login" }
    }

    /// A `Set-Cookie` line. Without seconds it lives as long as the browser; with 0 it is removed.
    pub fn set_cookie(&self, name: &str, value: &str, secs: Option<u32>) -> String {
        let age = secs.map_or_else(String::new, |secs| format!("; Max-Age={secs}"));
        let secure = if self.secure { "; Secure" } else { "" };
        format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{age}")
    }

    /// Whether a browser sent the request for a page that is not ours: by Fetch Metadata, or by an
    /// `Origin` (RFC 6454) that is neither the public one nor the one that was asked. What is no
    /// browser sends neither, and has no cookies that a page could use.
    pub fn is_from_elsewhere(&self, headers: &HeaderMap) -> bool {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        if let Some(site) = text("sec-fetch-site") {
            return site != "same-origin";
        }
        let Some(origin) = text(header::ORIGIN.as_str()) else { return false };
        let host = text(header::HOST.as_str());
        let asked = host.zip(origin.split_once("://")).is_some_and(|(host, it)| it.1 == host);
        origin != self.origin && !asked
    }

    /// `wanted` if it is a path on this site, else `/`.
    pub fn local_path<'a>(&self, wanted: Option<&'a str>) -> &'a str {
        let Some(path) = wanted else { return "/" };
        // What browsers take for `//host`: a backslash counts as a slash, and white space and
        // control characters are left out (WHATWG URL, sections 4.1 and 4.4).
        let plain = path.len() <= PATH_CHARS_MAX
            && path.starts_with('/')
            && !path.starts_with("//")
            && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        let joined = Url::parse(&self.origin).and_then(|base| base.join(path));
        let stays = joined.is_ok_and(|url| url.origin().ascii_serialization() == self.origin);
        if plain && stays { path } else { "/" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn home() -> PublicUrl {
        PublicUrl::parse("https://penstock.example.com/").unwrap()
    }

    #[test]
    fn only_an_origin_with_tls_or_on_this_machine_is_one() {
        assert_eq!(home().at("/login"), "https://penstock.example.com/login");
        for good in ["http://127.0.0.1:8081", "http://localhost", "http://[::1]:1"] {
            assert_eq!(PublicUrl::parse(good).unwrap().session_cookie(), "penstock", "{good}");
        }
        for bad in [
            "http://penstock.example.com",
            "https://a.example/x",
            "https://u@a.example",
            "https://a.example/?q",
            "ftp://127.0.0.1",
            "a.example",
            "http://127.0.0.1.evil.example",
        ] {
            assert!(PublicUrl::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn cookies_are_bound_to_the_host_wherever_there_is_tls() {
        let line = home().set_cookie(home().session_cookie(), "t", None);

        assert_eq!(line, "__Host-penstock=t; Path=/; HttpOnly; SameSite=Lax; Secure");
        let open = PublicUrl::of_listener("0.0.0.0:8081".parse().unwrap());
        assert_eq!(open.session_cookie(), "__Host-penstock");
    }

    #[test]
    fn nobody_is_sent_to_another_site() {
        for bad in [
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/\t/evil.example",
            "/\n/evil.example",
            "/%0d%0aset-cookie:x\r\n",
            "evil",
            "",
            "/é",
        ] {
            assert_eq!(home().local_path(Some(bad)), "/", "{bad}");
        }
        assert_eq!(home().local_path(Some("/a?b=//c#d")), "/a?b=//c#d");
        assert_eq!(home().local_path(Some("/%2f%2fevil.example")), "/%2f%2fevil.example");
        assert_eq!(home().local_path(None), "/");
    }

    #[test]
    fn a_request_that_another_sites_page_makes_is_known() {
        for (headers, elsewhere) in [
            (vec![], false),
            (vec![("sec-fetch-site", "same-origin")], false),
            (vec![("sec-fetch-site", "cross-site")], true),
            (vec![("sec-fetch-site", "same-site")], true),
            (vec![("sec-fetch-site", "none")], true),
            (vec![("origin", "https://penstock.example.com")], false),
            (vec![("origin", "https://evil.example"), ("host", "penstock.example.com")], true),
            (vec![("origin", "null"), ("host", "null")], true),
            (vec![("origin", "http://10.0.0.1:8081"), ("host", "10.0.0.1:8081")], false),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in &headers {
                map.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            assert_eq!(home().is_from_elsewhere(&map), elsewhere, "{headers:?}");
        }
    }
}

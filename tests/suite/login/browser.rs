//! A person's browser: cookies by site, redirects followed as far as wanted.

use bytes::Bytes;
use http::Method;
use serde_json::Value;
use std::collections::BTreeMap;
use tests::{
    client::{self, Answer, Client},
    json::At,
    wait,
};
use url::Url;

/// What a person's browser keeps: cookies by site. The provider is told whose browser it is.
pub(super) struct Browser {
    client: Client,
    pub(super) jars: BTreeMap<String, BTreeMap<String, String>>,
    account: String,
}

pub(super) struct Walked {
    pub(super) url: String,
    pub(super) status: u16,
    pub(super) body: String,
}

impl Browser {
    pub(super) fn of(account: &str) -> Self {
        Self { client: Client::default(), jars: BTreeMap::new(), account: account.to_owned() }
    }

    pub(super) async fn ask(&mut self, method: Method, url: &str, body: &Value) -> Answer {
        let site = Url::parse(url).expect("an address").origin().ascii_serialization();
        let jar = self.jars.entry(site.clone()).or_default();
        let cookies: Vec<String> = jar.iter().map(|(name, it)| format!("{name}={it}")).collect();
        let cookies = cookies.join("; ");
        let mut headers = vec![
            ("accept", "text/html"),
            ("x-account", self.account.as_str()),
            ("cookie", cookies.as_str()),
        ];
        if method != Method::GET {
            headers.extend([("sec-fetch-site", "same-origin"), ("origin", site.as_str())]);
        }
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let answer = self.client.send(client::build(method, url, &headers, body)).await;
        for line in answer.headers.get_all("set-cookie") {
            let line = line.to_str().expect("text");
            let (pair, rest) = line.split_once(';').unwrap_or((line, ""));
            let (name, value) = pair.split_once('=').expect("a cookie");
            let jar = self.jars.entry(site.clone()).or_default();
            match value.is_empty() || rest.to_lowercase().contains("max-age=0") {
                true => jar.remove(name),
                false => jar.insert(name.to_owned(), value.to_owned()),
            };
        }
        answer
    }

    /// Follows redirects to their end, or to an address that begins with `stop`.
    pub(super) async fn walk(&mut self, url: &str, stop: Option<&str>) -> Walked {
        let mut url = url.to_owned();
        for _ in 0..10 {
            if stop.is_some_and(|stop| url.starts_with(stop)) {
                return Walked { url, status: 0, body: String::new() };
            }
            let answer = self.ask(Method::GET, &url, &Value::Null).await;
            let status = answer.status.as_u16();
            let Some(next) = answer.header("location").filter(|_| (300..400).contains(&status))
            else {
                return Walked { url, status, body: answer.text().await };
            };
            url = Url::parse(&url).and_then(|url| url.join(next)).expect("an address").into();
        }
        wait::fail("too many redirects")
    }

    /// Who the person is at the gateway; none if they are signed out.
    pub(super) async fn me(&mut self, gateway: &str) -> Option<Value> {
        let answer = self.ask(Method::GET, &format!("{gateway}/admin/v1/me"), &Value::Null).await;
        if answer.status == 200 { Some(answer.json().await) } else { None }
    }

    pub(super) async fn may(&mut self, gateway: &str, permission: &str) -> bool {
        let me = self.me(gateway).await.expect("somebody is signed in");
        me.list("permissions.org").iter().any(|it| it == permission)
    }
}

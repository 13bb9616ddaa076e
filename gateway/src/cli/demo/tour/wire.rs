//! A small client, so that the tour goes over HTTP like everybody else.

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use std::{net::SocketAddr, time::Duration};

/// How long one step of the tour may take.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Wire {
    client: Client<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
    headers: HeaderMap,
}

impl Wire {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http(), address }
    }

    pub(super) async fn post(&self, path: &str, key: &str, body: &Value) -> anyhow::Result<Answer> {
        let request = Request::post(format!("http://{}{path}", self.address))
            .header(header::CONTENT_TYPE, "application/json");
        self.send(request, key, serde_json::to_vec(body)?.into()).await
    }

    pub(super) async fn get(&self, path: &str, key: &str) -> anyhow::Result<Answer> {
        self.send(Request::get(format!("http://{}{path}", self.address)), key, Bytes::new()).await
    }

    async fn send(
        &self,
        request: http::request::Builder,
        key: &str,
        body: Bytes,
    ) -> anyhow::Result<Answer> {
        let request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        let request = request.body(Full::new(body))?;
        let answering = async {
            let (parts, body) = self.client.request(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            anyhow::Ok(Answer {
                status: parts.status.as_u16(),
                body: String::from_utf8_lossy(&body).into_owned(),
                headers: parts.headers,
            })
        };
        tokio::time::timeout(PATIENCE, answering).await.context("the gateway does not answer")?
    }
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn error(&self, member: &str) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        let told = body.get("error").and_then(|error| error.get(member)).and_then(Value::as_str);
        told.unwrap_or_default().to_owned()
    }

    pub(super) fn code(&self) -> String {
        self.error("code")
    }

    pub(super) fn message(&self) -> String {
        self.error("message")
    }
}

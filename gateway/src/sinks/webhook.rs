//! Events as Standard Webhooks: one signed request for each.
//!
//! As in the Standard Webhooks specification, 1.0: the headers `webhook-id`, `webhook-timestamp`
//! and `webhook-signature`, HMAC-SHA256 over `id.timestamp.body`. An id is the same however often
//! an event is sent, so that a receiver can tell a repetition.

use admin::{
    outbound::{Fetch, Outbound, OutboundFault},
    service::audit::ocsf::Event,
};
use anyhow::{Context, ensure};
use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use policies::time::Timestamp;
use std::sync::Arc;
use url::Url;

/// What a secret begins with, before its base64.
const PREFIX: &str = "whsec_";
/// Bytes of a secret, as the specification wants it.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

pub(super) struct Webhook {
    url: String,
    key: hmac::Key,
    outbound: Arc<dyn Outbound>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum NotTaken {
    #[error(transparent)]
    Outbound(#[from] OutboundFault),
    #[error("the receiver answered {0}")]
    Answered(StatusCode),
    #[error("the event cannot be sent")]
    Unsendable,
}

impl Webhook {
    pub(super) fn new(
        url: &str,
        secret: &str,
        outbound: Arc<dyn Outbound>,
    ) -> anyhow::Result<Self> {
        let scheme = Url::parse(url).context("url")?.scheme().to_owned();
        ensure!(matches!(scheme.as_str(), "https" | "http"), "url: must be `https://..`");
        let shape = "its secret must be `whsec_` and base64 of 24 to 64 bytes";
        let bytes = secret.strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok());
        let bytes = bytes.filter(|bytes| SECRET_BYTES.contains(&bytes.len())).context(shape)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
        Ok(Self { url: url.to_owned(), key, outbound })
    }

    /// Taken is what is answered with 2xx, and nothing else.
    pub(super) async fn send(&self, event: &Event, now: Timestamp) -> Result<(), NotTaken> {
        let body = event.body.to_string();
        let headers = self.headers(&event.id, now, &body).ok_or(NotTaken::Unsendable)?;
        let (method, url, body) = (Method::POST, self.url.clone(), body.into());
        let answer = self.outbound.fetch(Fetch { method, url, headers, body }).await?;
        match answer.status.is_success() {
            true => Ok(()),
            false => Err(NotTaken::Answered(answer.status)),
        }
    }

    fn headers(&self, id: &str, now: Timestamp, body: &str) -> Option<HeaderMap> {
        let moment = now.seconds();
        let signed = format!("{id}.{moment}.{body}");
        let tag = hmac::sign(&self.key, signed.as_bytes());
        let signature = format!("v1,{}", STANDARD.encode(tag));
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in [
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", moment.to_string()),
            ("webhook-signature", signature),
        ] {
            headers.insert(name, HeaderValue::from_str(&value).ok()?);
        }
        Some(headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use admin::outbound::Fetched;

    struct Nowhere;

    #[async_trait::async_trait]
    impl Outbound for Nowhere {
        async fn fetch(&self, _fetch: Fetch) -> Result<Fetched, OutboundFault> {
            Err(OutboundFault::Unreachable)
        }
    }

    fn webhook(secret: &str) -> anyhow::Result<Webhook> {
        Webhook::new("https://example.com/hook", secret, Arc::new(Nowhere))
    }

    #[test]
    fn the_signature_is_that_of_the_specification() {
        // The example of the specification's own reference libraries.
        let webhook = webhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let now = Timestamp(1_614_265_330_000);

        let headers =
            webhook.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", now, r#"{"test": 2432232314}"#);

        let headers = headers.unwrap();
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(headers["webhook-signature"], expected);
        assert_eq!(headers["webhook-timestamp"], "1614265330");
    }

    #[test]
    fn a_weak_secret_is_none() {
        for secret in ["", "secret", "whsec_", "whsec_!!!!", "whsec_c2hvcnQ="] {
            assert!(webhook(secret).is_err(), "{secret}");
        }
    }
}

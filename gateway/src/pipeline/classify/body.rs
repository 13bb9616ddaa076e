//! Reading a request's body: bounded before and after decompression.

use crate::{
    edge::inflate::{self, Encoding, Inflate},
    pipeline::{Arrival, gathered::Gathered},
};
use bytes::Bytes;
use http_body::Body as _;
use http_body_util::BodyExt;
use policies::refusal::Refusal;
use std::time::Duration;

/// A whole body, at most. The listener bounds the rate of HTTP/1 bodies below this.
const BODY_PATIENCE: Duration = Duration::from_secs(300);

pub(super) async fn read(arrival: &mut Arrival) -> Result<Bytes, Refusal> {
    let limit_bytes = arrival.body_bytes_max;
    let too_large = || Refusal::BodyTooLarge { limit_bytes };
    let coding = coding(arrival)?;
    let most = u64::try_from(limit_bytes).unwrap_or(u64::MAX);
    if most < arrival.body.size_hint().lower() {
        return Err(too_large());
    }
    let whole = tokio::time::timeout(BODY_PATIENCE, collect(arrival, limit_bytes)).await;
    let whole = whole.map_err(|_late| malformed("the body took too long"))??;
    if coding == Encoding::Identity {
        return Ok(whole);
    }
    let decoded = tokio::task::spawn_blocking(move || inflate::decode(coding, &whole, limit_bytes));
    match decoded.await {
        Ok(Ok(decoded)) => Ok(decoded.into()),
        Ok(Err(Inflate::TooLarge)) => Err(too_large()),
        Ok(Err(Inflate::Corrupt)) => Err(malformed("the body is not in its encoding")),
        Err(_died) => Err(Refusal::Unavailable { retry_millis: 1_000 }),
    }
}

async fn collect(arrival: &mut Arrival, limit_bytes: usize) -> Result<Bytes, Refusal> {
    let mut whole = Gathered::new(limit_bytes);
    while let Some(frame) = arrival.body.frame().await {
        let frame = frame.map_err(|_| malformed("the body broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        whole.push(data).map_err(|_too_long| Refusal::BodyTooLarge { limit_bytes })?;
    }
    Ok(whole.whole())
}

fn coding(arrival: &Arrival) -> Result<Encoding, Refusal> {
    Encoding::of(&arrival.headers).map_err(|_unsupported| Refusal::UnsupportedParameter {
        message: "the content encoding is not known here: send identity, gzip or zstd".into(),
        param: None,
    })
}

fn malformed(message: &str) -> Refusal {
    Refusal::Malformed { message: message.to_owned(), param: None }
}

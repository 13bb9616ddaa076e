//! `Idempotency-Key`: a repeated request gets the first one's answer and changes nothing.
//!
//! As in the IETF draft "The Idempotency-Key HTTP Header Field", for 24 hours, for each asker.

use crate::{context::Context, failure::Failure, table::Row};
use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Response, StatusCode, header},
};
use http_body_util::BodyExt;
use policies::{ids::OrgId, permission::Permission, route::Method};
use std::{collections::BTreeMap, sync::Arc};
use store::{clock, idempotency::Claim, seal::Keeper};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Told on an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Characters of a key, at most.
const KEY_CHARS_MAX: usize = 255;

/// Carries the request out, once for each key.
pub(crate) async fn answer(context: Context, row: &'static Row) -> Result<Response<Body>, Failure> {
    let call = row.handler.call;
    let key = context.headers.get(&IDEMPOTENCY_KEY);
    let (Some(key), Some(who)) = (key, &context.who) else { return call(context).await };
    if row.method == Method::Get || row.permission == Permission::Public {
        return call(context).await;
    }
    let key = key.to_str().ok().filter(|key| (1..=KEY_CHARS_MAX).contains(&key.len()));
    let key = key.ok_or_else(|| Failure::malformed("`Idempotency-Key` must be 1 to 255 ASCII"))?;
    let (org, scope, key) = (who.org, who.scope(), key.to_owned());
    let store = Arc::clone(&context.services.store);
    // The path and the method are part of what may not differ.
    let whole = [
        row.method.word().as_bytes(),
        row.path.as_bytes(),
        context.params.join("/").as_bytes(),
        &context.body,
    ]
    .join(&0);
    let hash = crate::service::apply::fingerprint_of(&whole);
    match store.claim(&org, &scope, &key, &hash, clock::now()).await? {
        Claim::Fresh => {}
        Claim::Running => return Err(Failure::KeyInFlight),
        Claim::Differs => return Err(Failure::KeyReused),
        Claim::Done { status, headers, answer, .. } => {
            let answer = opened(&context, &org, answer).await?;
            return Ok(replayed(status, &headers, answer));
        }
    }
    let keeper = context.services.sign_in.keeper.clone();
    match call(context).await {
        Ok(answer) => {
            let (head, body) = answer.into_parts();
            let body = body.collect().await.map(http_body_util::Collected::to_bytes);
            let body = body.unwrap_or_default();
            let kept = kept(&head.headers);
            match sealed(keeper.as_deref(), &org, &body).await {
                Some(sealed) => {
                    let status = head.status.as_u16();
                    store.answered(&org, &scope, &key, status, &kept, sealed.as_bytes()).await?;
                }
                // Done, but it cannot be told again: the claim stays, so that it is not redone.
                None => tracing::error!(%org, "an answer cannot be kept for its repetition"),
            }
            Ok(Response::from_parts(head, Body::from(body)))
        }
        Err(failure) => {
            // A failure changed nothing, so that the same request may be tried again.
            store.release(&org, &scope, &key).await?;
            Err(failure)
        }
    }
}

/// What a kept answer is sealed as: it may hold the secret of a new key.
const COLUMN: &str = "idempotency.answer";

async fn sealed(keeper: Option<&Keeper>, org: &OrgId, body: &[u8]) -> Option<String> {
    match keeper?.seal(org, COLUMN, body).await {
        Ok(sealed) => Some(sealed),
        Err(fault) => {
            tracing::error!(%fault, "an answer cannot be sealed");
            None
        }
    }
}

async fn opened(context: &Context, org: &OrgId, sealed: Vec<u8>) -> Result<Vec<u8>, Failure> {
    let keeper = context.services.sign_in.keeper.as_ref().ok_or(Failure::Unavailable)?;
    let sealed = String::from_utf8(sealed).map_err(|_| Failure::Unavailable)?;
    let opened = keeper.open(org, COLUMN, &sealed).await.map_err(|fault| {
        tracing::error!(%fault, "a kept answer does not open");
        Failure::Unavailable
    })?;
    Ok(opened.expose().clone())
}

/// The headers that are part of an answer, as JSON.
fn kept(headers: &axum::http::HeaderMap) -> String {
    let names = [header::CONTENT_TYPE, header::ETAG, header::LOCATION];
    let kept: BTreeMap<&str, &str> = names
        .iter()
        .filter_map(|name| Some((name.as_str(), headers.get(name)?.to_str().ok()?)))
        .collect();
    serde_json::to_string(&kept).unwrap_or_default()
}

fn replayed(status: u16, headers: &str, body: Vec<u8>) -> Response<Body> {
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let kept: BTreeMap<String, String> = serde_json::from_str(headers).unwrap_or_default();
    for (name, value) in kept {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&value)) {
            answer.headers_mut().insert(name, value);
        }
    }
    // It may hold the secret of a new key.
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    answer
}

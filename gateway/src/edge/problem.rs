//! The one table from refusals to what a caller of the OpenAI surface sees.
//!
//! Statuses, types and headers are chosen by what real clients do with them: most retry by
//! status, some by the text of `type` and `code`, and they heed `retry-after` up to two minutes.

use super::{body::EdgeBody, json};
use dialects::error::ErrorBody;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use policies::refusal::Refusal;

const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Clients sleep as long as they are told, or refuse to: longer waits are told in words.
const RETRY_AFTER_SECS_MAX: i64 = 120;

/// OpenAI's headers of limits: how much, how much is left, how long until all of it is back.
pub(crate) const REQUEST_GAUGE: [&str; 3] =
    ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"];
pub(crate) const TOKEN_GAUGE: [&str; 3] =
    ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"];

/// One row of the table.
struct Wording {
    status: StatusCode,
    kind: &'static str,
    /// Seconds, rounded up; none: the client's own pace.
    retry_millis: Option<i64>,
    /// Whether a repeat can help.
    repeat: Repeat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeat {
    /// The status says it.
    ByStatus,
    /// It will be refused again: clients are told not to try.
    Useless,
}

impl Wording {
    const fn new(status: StatusCode, kind: &'static str) -> Self {
        Self { status, kind, retry_millis: None, repeat: Repeat::ByStatus }
    }

    const fn wait(self, millis: i64) -> Self {
        Self { retry_millis: Some(millis), ..self }
    }

    const fn useless(self) -> Self {
        Self { repeat: Repeat::Useless, ..self }
    }
}

const INVALID: &str = "invalid_request_error";
const RATE: &str = "rate_limit_exceeded";
const QUOTA: &str = "insufficient_quota";
const SERVER: &str = "server_error";

fn wording(refusal: &Refusal) -> Wording {
    match refusal {
        Refusal::Unauthenticated | Refusal::AdminKey => {
            Wording::new(StatusCode::UNAUTHORIZED, INVALID)
        }
        Refusal::AmbiguousCredentials
        | Refusal::Malformed { .. }
        | Refusal::PolicyDenied { .. }
        | Refusal::ApprovalRequired { .. }
        | Refusal::UnboundedCost { .. } => Wording::new(StatusCode::BAD_REQUEST, INVALID),
        Refusal::UnsupportedParameter { param: None, .. } => {
            Wording::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, INVALID)
        }
        Refusal::UnsupportedParameter { .. } => Wording::new(StatusCode::BAD_REQUEST, INVALID),
        Refusal::PermissionDenied { .. } => {
            Wording::new(StatusCode::FORBIDDEN, "permission_error").useless()
        }
        Refusal::ModelNotFound { .. } => Wording::new(StatusCode::NOT_FOUND, INVALID),
        Refusal::BodyTooLarge { .. } => Wording::new(StatusCode::PAYLOAD_TOO_LARGE, INVALID),
        Refusal::RateLimited { retry_millis, .. } => limited(*retry_millis),
        Refusal::TokensLimited { retry_millis: Some(millis), .. } => limited(*millis),
        // Larger than the whole limit: no wait helps.
        Refusal::TokensLimited { retry_millis: None, .. } => {
            Wording::new(StatusCode::TOO_MANY_REQUESTS, RATE).useless()
        }
        Refusal::ConcurrencyLimited { .. } => {
            Wording::new(StatusCode::TOO_MANY_REQUESTS, RATE).wait(1_000)
        }
        Refusal::BudgetExhausted { .. } => {
            Wording::new(StatusCode::TOO_MANY_REQUESTS, QUOTA).useless()
        }
        Refusal::BudgetHeld { retry_millis, .. } | Refusal::Capacity { retry_millis } => {
            Wording::new(StatusCode::TOO_MANY_REQUESTS, RATE).wait(*retry_millis)
        }
        Refusal::BudgetUnsettled { retry_millis, .. } | Refusal::Unavailable { retry_millis } => {
            Wording::new(StatusCode::SERVICE_UNAVAILABLE, SERVER).wait(*retry_millis)
        }
        // Somebody has to set the credential first.
        Refusal::NotSetUp { .. } => Wording::new(StatusCode::SERVICE_UNAVAILABLE, SERVER).useless(),
        Refusal::UpstreamFailed | Refusal::UpstreamTruncated => {
            Wording::new(StatusCode::BAD_GATEWAY, SERVER)
        }
        Refusal::UpstreamTimeout => Wording::new(StatusCode::GATEWAY_TIMEOUT, SERVER),
    }
}

/// A wait of more than two minutes is a quota in the eyes of clients: they must not sleep on it.
const fn limited(millis: i64) -> Wording {
    if RETRY_AFTER_SECS_MAX * 1_000 < millis {
        Wording::new(StatusCode::TOO_MANY_REQUESTS, QUOTA).useless()
    } else {
        Wording::new(StatusCode::TOO_MANY_REQUESTS, RATE).wait(millis)
    }
}

fn message(refusal: &Refusal) -> String {
    if let Refusal::TokensLimited { retry_millis: None, .. } = refusal {
        return format!("{refusal}: this request alone is larger than it");
    }
    if let Refusal::RateLimited { retry_millis, .. }
    | Refusal::TokensLimited { retry_millis: Some(retry_millis), .. } = refusal
    {
        return format!("{refusal}; try again in {} s", seconds(*retry_millis));
    }
    refusal.to_string()
}

fn with_error<T>(refusal: &Refusal, write: impl FnOnce(ErrorBody<'_>) -> T) -> T {
    let message = message(refusal);
    let mut param = None;
    if let Refusal::Malformed { param: Some(name), .. }
    | Refusal::UnsupportedParameter { param: Some(name), .. } = refusal
    {
        param = Some(name.as_str());
    } else if let Refusal::ModelNotFound { .. } = refusal {
        param = Some("model");
    }
    let kind = wording(refusal).kind;
    write(ErrorBody { message: &message, kind, param, code: Some(refusal.code()) })
}

/// The answer to a refused request.
pub(crate) fn answer(refusal: &Refusal) -> Response<EdgeBody> {
    let wording = wording(refusal);
    let mut answer = json(wording.status, with_error(refusal, |error| error.to_body()));
    let headers = answer.headers_mut();
    if let Some(millis) = wording.retry_millis {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds(millis)));
    }
    let gauge = match gauge(refusal) {
        Some(Gauge { names: [limit, remaining, reset], most, millis }) => vec![
            (limit, most.to_string()),
            (remaining, "0".to_owned()),
            (reset, format!("{millis}ms")),
        ],
        None => Vec::new(),
    };
    for (name, text) in gauge {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    if wording.repeat == Repeat::Useless {
        headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    if wording.status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    answer
}

/// The headers of a limit that is reached.
struct Gauge {
    names: [&'static str; 3],
    most: i64,
    millis: i64,
}

fn gauge(refusal: &Refusal) -> Option<Gauge> {
    let (names, most, millis) = if let Refusal::RateLimited { limit, retry_millis, .. } = refusal {
        (REQUEST_GAUGE, limit, retry_millis)
    } else if let Refusal::TokensLimited { limit, retry_millis: Some(millis), .. } = refusal {
        (TOKEN_GAUGE, limit, millis)
    } else {
        return None;
    };
    Some(Gauge { names, most: *most, millis: *millis })
}

/// The last frame of a stream that fails after its head went out.
pub(crate) fn frame(refusal: &Refusal) -> Vec<u8> {
    with_error(refusal, |error| error.to_chat_frame())
}

/// A provider's error answer as a frame.
pub(super) fn frame_of_body(body: &[u8]) -> Vec<u8> {
    let mut frame = b"data: ".to_vec();
    frame.extend(body.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    frame.extend_from_slice(b"\n\n");
    frame
}

pub(super) fn no_route() -> Response<EdgeBody> {
    let message = "there is no such path here";
    let error = ErrorBody { message, kind: INVALID, param: None, code: Some("not_found") };
    json(StatusCode::NOT_FOUND, error.to_body())
}

pub(super) fn wrong_method(allowed: &'static str) -> Response<EdgeBody> {
    let message = "this path does not take that method";
    let error = ErrorBody { message, kind: INVALID, param: None, code: Some("method_not_allowed") };
    let mut answer = json(StatusCode::METHOD_NOT_ALLOWED, error.to_body());
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    answer
}

fn seconds(millis: i64) -> i64 {
    millis.max(0).saturating_add(999).div_euclid(1_000).clamp(1, i64::MAX)
}

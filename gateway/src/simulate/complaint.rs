//! The simulator's refusals, in the shape an OpenAI client reads.

use crate::simulate::model::RetryAfter;
use http::{HeaderValue, StatusCode, header};

/// Why a request is not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) status: StatusCode,
    kind: &'static str,
    code: Option<&'static str>,
    param: Option<&'static str>,
    message: String,
}

// === impl Complaint ===

impl Complaint {
    /// A field that cannot be as it is.
    pub(super) fn field(param: &'static str, message: &str) -> Self {
        Self { param: Some(param), ..Self::bad(message) }
    }

    pub(super) fn bad(message: &str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            kind: "invalid_request_error",
            code: None,
            param: None,
            message: message.to_owned(),
        }
    }

    pub(super) fn no_model(name: &str) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            code: Some("model_not_found"),
            ..Self::bad(&format!("no simulated model is called `{name}`"))
        }
    }

    pub(super) fn nothing_here() -> Self {
        Self::missing("nothing is served at this address")
    }

    pub(super) fn missing(message: &str) -> Self {
        Self { status: StatusCode::NOT_FOUND, ..Self::bad(message) }
    }

    pub(super) fn too_large() -> Self {
        Self { status: StatusCode::PAYLOAD_TOO_LARGE, ..Self::bad("the body is too large") }
    }

    /// The failure a script asks for.
    pub(super) fn scripted(status: StatusCode) -> Self {
        let (kind, code) = match status.as_u16() {
            401 => ("invalid_request_error", Some("invalid_api_key")),
            403 => ("invalid_request_error", Some("unsupported_country_region_territory")),
            404 => ("invalid_request_error", Some("model_not_found")),
            429 => ("requests", Some("rate_limit_exceeded")),
            400..=499 => ("invalid_request_error", None),
            503 => ("server_error", Some("overloaded")),
            _ => ("server_error", None),
        };
        let message = format!("the script asks for status {}", status.as_u16());
        Self { status, kind, code, ..Self::bad(&message) }
    }

    /// The body of the refusal; also what an error event holds.
    pub(super) fn text(&self) -> String {
        serde_json::json!({"error": {
            "message": self.message,
            "type": self.kind,
            "param": self.param,
            "code": self.code,
        }})
        .to_string()
    }
}

/// The value of a `retry-after` header (RFC 9110, section 10.2.3), fit to be read or not.
pub(super) fn retry_after(after: RetryAfter) -> Option<(header::HeaderName, HeaderValue)> {
    let value = match after {
        RetryAfter::Unsaid => return None,
        RetryAfter::Secs(secs) => HeaderValue::from(secs),
        RetryAfter::Date => HeaderValue::from_static("Fri, 31 Dec 2049 23:59:59 GMT"),
        RetryAfter::Unreadable => HeaderValue::from_static("soon, perhaps"),
    };
    Some((header::RETRY_AFTER, value))
}

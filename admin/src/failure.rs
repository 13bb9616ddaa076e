//! Every way in which an administrative request can fail, and how each face of the API says it.

mod told;

use self::told::{lines, parameters, pointer};
use crate::api::setup::INSTALLATION_NAME;
use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use serde_json::{Value, json};

/// Whose shape of errors a route speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// Problem documents (RFC 9457).
    Problem,
    /// The shape that OpenAI's SDKs read.
    Openai,
    /// SCIM (RFC 7644, section 3.12).
    Scim,
}

/// What a directory did wrong, in words that only SCIM has (RFC 7644, section 3.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScimFault {
    InvalidFilter,
    InvalidPath,
    NoTarget,
    Mutability,
    TooMany,
}

impl ScimFault {
    /// The `scimType`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::InvalidFilter => "invalidFilter",
            Self::InvalidPath => "invalidPath",
            Self::NoTarget => "noTarget",
            Self::Mutability => "mutability",
            Self::TooMany => "tooMany",
        }
    }
}

/// A mistake in what was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The field, as a path with dots (a pointer once it is [`Failure::pointed`]); empty: the
    /// request as a whole.
    pub field: String,
    pub message: String,
}

/// Why a request was not carried out. Nothing was changed. No text here holds a secret, or the
/// name of anything that the asker may not see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No credential, or none that is good. Never says which.
    Unauthenticated,
    /// The same where it is no key that is missing; says what is, and never which part is wrong.
    NotLetIn {
        detail: &'static str,
    },
    /// It changes something, and may come from another site's page.
    FromElsewhere,
    /// An operator has not said which org is meant.
    OrgNeeded {
        /// Names of orgs, at most as many as a message lists.
        known: Vec<String>,
    },
    /// Known, but without this permission here.
    Forbidden {
        permission: &'static str,
    },
    /// It gives somebody more than the asker has.
    Escalation {
        what: String,
    },
    /// It is not there, or belongs to somebody else: the two look the same.
    NotFound,
    WrongMethod {
        allowed: String,
    },
    /// A parameter of the query that the route does not know, and would have to pass over.
    UnknownParameter {
        name: String,
        known: &'static [&'static str],
    },
    /// The request cannot be read.
    Malformed {
        detail: String,
    },
    /// It can be read, but does not hold.
    Invalid(Vec<Invalid>),
    /// The name, or what else must be unique, is taken.
    Taken {
        what: String,
    },
    /// Other objects still need it.
    InUse {
        by: Vec<String>,
    },
    /// Only a file may change it.
    Locked,
    /// It is not as `If-Match` says any more.
    Stale,
    /// It was changed by somebody else again and again.
    Conflict,
    /// The same `Idempotency-Key` came with another request.
    KeyReused,
    /// The first request with this `Idempotency-Key` is still under way.
    KeyInFlight,
    TooLarge {
        bytes_max: usize,
    },
    TooMany {
        retry_secs: u64,
    },
    /// It is not something that we have, though others do.
    Unsupported {
        detail: String,
    },
    /// It is not as SCIM has it.
    Scim {
        fault: ScimFault,
        detail: String,
    },
    /// The store or another server is away; nothing is known to be changed.
    Unavailable,
}

/// What a code means: its status, and a title for people.
struct Said {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
}

impl Failure {
    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![Invalid { field: field.to_owned(), message: message.into() }])
    }

    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::Malformed { detail: detail.into() }
    }

    /// The same with fields of a body as JSON Pointers (RFC 6901), by which a client finds them.
    #[must_use]
    pub fn pointed(self) -> Self {
        let Self::Invalid(mistakes) = self else { return self };
        let pointed = mistakes.into_iter().map(|it| Invalid { field: pointer(&it.field), ..it });
        Self::Invalid(pointed.collect())
    }

    /// The stable word; the problem's `type` ends with it.
    pub fn code(&self) -> &'static str {
        self.said().code
    }

    pub fn status(&self) -> StatusCode {
        self.said().status
    }

    fn said(&self) -> Said {
        let said = |status, code, title| Said { status, code, title };
        match self {
            Self::Unauthenticated => {
                said(StatusCode::UNAUTHORIZED, "unauthenticated", "no good credential")
            }
            Self::NotLetIn { .. } => {
                said(StatusCode::UNAUTHORIZED, "unauthenticated", "no good credential")
            }
            Self::FromElsewhere => {
                said(StatusCode::FORBIDDEN, "cross_site", "not from a page of this site")
            }
            Self::OrgNeeded { .. } => {
                said(StatusCode::BAD_REQUEST, "org_required", "an org must be named")
            }
            Self::Forbidden { .. } => {
                said(StatusCode::FORBIDDEN, "permission_denied", "a permission is missing")
            }
            Self::Escalation { .. } => {
                said(StatusCode::FORBIDDEN, "escalation", "more than you have yourself")
            }
            Self::NotFound => said(StatusCode::NOT_FOUND, "not_found", "there is no such thing"),
            Self::WrongMethod { .. } => {
                said(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", "not with this method")
            }
            Self::UnknownParameter { .. } => {
                said(StatusCode::BAD_REQUEST, "unknown_parameter", "an unknown query parameter")
            }
            Self::Malformed { .. } => {
                said(StatusCode::BAD_REQUEST, "malformed_request", "the request cannot be read")
            }
            Self::Invalid(_) => {
                said(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "the request does not hold")
            }
            Self::Taken { .. } => said(StatusCode::CONFLICT, "name_taken", "it is taken"),
            Self::InUse { .. } => said(StatusCode::CONFLICT, "in_use", "others still need it"),
            Self::Locked => said(StatusCode::CONFLICT, "locked", "only a file may change it"),
            Self::Stale => {
                said(StatusCode::PRECONDITION_FAILED, "stale", "it was changed in between")
            }
            Self::Conflict => said(StatusCode::CONFLICT, "conflict", "others change it too"),
            Self::KeyReused => said(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "the idempotency key belongs to another request",
            ),
            Self::KeyInFlight => said(
                StatusCode::CONFLICT,
                "idempotency_key_in_flight",
                "the first request with this idempotency key is under way",
            ),
            Self::TooLarge { .. } => {
                said(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "the body is too large")
            }
            Self::TooMany { .. } => {
                said(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "too many requests")
            }
            Self::Unsupported { .. } => {
                said(StatusCode::NOT_FOUND, "unsupported", "Penstock does not have this")
            }
            Self::Scim { fault, .. } => {
                said(StatusCode::BAD_REQUEST, fault.word(), "the request does not hold")
            }
            Self::Unavailable => {
                said(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "not available now")
            }
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Unauthenticated => {
                "send an admin key as `authorization: Bearer ..`, or sign in".to_owned()
            }
            Self::NotLetIn { detail } => (*detail).to_owned(),
            Self::FromElsewhere => {
                "a session's cookie changes something only from a page of this site: send `Origin` \
                 or `Sec-Fetch-Site: same-origin`, or an admin key in place of the cookie"
                    .to_owned()
            }
            Self::OrgNeeded { known } => format!(
                "name the org in the header `x-penstock-org`: `{}` is the installation itself{}",
                INSTALLATION_NAME,
                known.iter().map(|name| format!(", `{name}`")).collect::<String>()
            ),
            Self::Forbidden { permission } => format!("this needs the permission `{permission}`"),
            Self::Escalation { what } => what.clone(),
            Self::NotFound => "nothing here has this id or path".to_owned(),
            Self::WrongMethod { allowed } => format!("allowed here: {allowed}"),
            Self::UnknownParameter { name, known } => {
                format!("`{name}`: {}", parameters(known))
            }
            Self::Malformed { detail }
            | Self::Unsupported { detail }
            | Self::Scim { detail, .. } => detail.clone(),
            Self::Invalid(mistakes) => match mistakes.as_slice() {
                [only] if only.field.is_empty() => only.message.clone(),
                [only] => format!("`{}`: {}", only.field, only.message),
                several => format!("{} mistakes", several.len()),
            },
            Self::Taken { what } => format!("{what} is taken"),
            Self::InUse { by } => format!("still needed by: {}", by.join("; ")),
            Self::Locked => {
                "it was applied from a file with `locked: true`; change the file".to_owned()
            }
            Self::Stale => "read it again, and send its new ETag in `If-Match`".to_owned(),
            Self::Conflict => "try again".to_owned(),
            Self::KeyReused => "use a new `Idempotency-Key` for each different request".to_owned(),
            Self::KeyInFlight => "wait for the first answer, then ask again".to_owned(),
            Self::TooLarge { bytes_max } => format!("at most {bytes_max} bytes"),
            Self::TooMany { retry_secs } => format!("try again in {retry_secs} s"),
            Self::Unavailable => "something that this needs does not answer; try again".to_owned(),
        }
    }

    /// The answer in the words of `face`.
    pub fn answer(&self, face: Face) -> Response {
        let Said { mut status, code, title } = self.said();
        if face != Face::Problem && status == StatusCode::UNPROCESSABLE_ENTITY {
            // SCIM knows no other status for what does not hold, and OpenAI uses no other.
            status = StatusCode::BAD_REQUEST;
        }
        let (kind, body) = match face {
            Face::Problem => ("application/problem+json", self.problem(status, code, title)),
            Face::Openai => ("application/json", self.openai(code)),
            Face::Scim => ("application/scim+json", self.scim(status)),
        };
        let mut answer = Response::new(body.to_string().into());
        *answer.status_mut() = status;
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some((name, value)) = self.header() {
            headers.insert(name, value);
        }
        answer
    }

    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        if let Self::WrongMethod { allowed } = self {
            return Some((header::ALLOW, HeaderValue::from_str(allowed).ok()?));
        }
        if let Self::TooMany { retry_secs } = self {
            return Some((header::RETRY_AFTER, HeaderValue::from(*retry_secs)));
        }
        if *self == Self::Unavailable {
            return Some((header::RETRY_AFTER, HeaderValue::from(1)));
        }
        // RFC 9110, section 15.5.2: a 401 says how it is done.
        let bearer = (header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        (self.status() == StatusCode::UNAUTHORIZED).then_some(bearer)
    }

    fn problem(&self, status: StatusCode, code: &str, title: &str) -> Value {
        let mut problem = json!({
            "type": format!("urn:penstock:problem:{code}"),
            "title": title,
            "status": status.as_u16(),
            "code": code,
            "detail": self.detail(),
        });
        let error = |field: &str, message: &str| json!({ "field": field, "message": message });
        let errors: Vec<Value> = if let Self::Invalid(mistakes) = self {
            mistakes.iter().map(|it| error(&it.field, &it.message)).collect()
        } else if let Self::UnknownParameter { name, known } = self {
            vec![error(name, &parameters(known))]
        } else {
            return problem;
        };
        if let Some(fields) = problem.as_object_mut() {
            fields.insert("errors".to_owned(), Value::Array(errors));
        }
        problem
    }

    fn openai(&self, code: &str) -> Value {
        let kind = match self.status() {
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::FORBIDDEN => "permission_error",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        };
        let (mut param, mut message) = (None, self.detail());
        if let Self::Invalid(mistakes) = self {
            param = mistakes.first().map(|it| it.field.clone());
            message = lines(mistakes);
        }
        json!({ "error": { "message": message, "type": kind, "param": param, "code": code } })
    }

    pub(crate) fn scim(&self, status: StatusCode) -> Value {
        let mut error = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
            "status": status.as_u16().to_string(),
            "detail": if let Self::Invalid(mistakes) = self { lines(mistakes) } else { self.detail() },
        });
        let kind = if let Self::Scim { fault, .. } = self {
            Some(fault.word())
        } else if let Self::Taken { .. } = self {
            Some("uniqueness")
        } else if let Self::Invalid(_) = self {
            Some("invalidValue")
        } else if let Self::Malformed { .. } = self {
            Some("invalidSyntax")
        } else {
            (*self == Self::Locked).then_some("mutability")
        };
        if let (Some(kind), Some(fields)) = (kind, error.as_object_mut()) {
            fields.insert("scimType".to_owned(), Value::from(kind));
        }
        error
    }
}

impl From<store::Fault> for Failure {
    fn from(fault: store::Fault) -> Self {
        tracing::error!(%fault, "the store does not answer an administrative request");
        Self::Unavailable
    }
}

impl From<store::entropy::Dry> for Failure {
    fn from(dry: store::entropy::Dry) -> Self {
        tracing::error!(%dry, "an administrative request could not be carried out");
        Self::Unavailable
    }
}

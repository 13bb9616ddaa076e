//! Every reason for which the gateway declines a request, or ends it with a failure.
//!
//! The code of a refusal is public contract: it stands in answers, decisions and the manual, and
//! never changes. How a surface words it (status, type, headers) is the edge's table.

use crate::{data::Level, money::NanoUsd, time::Timestamp};

/// On which level of the chain a limit or budget stands. Amounts are told only for the caller's
/// own key or user; of the others a caller learns the level and no figure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub level: &'static str,
    pub own: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("no valid credential: send `Authorization: Bearer <your Penstock key>`")]
    Unauthenticated,
    #[error(
        "this is an admin key (`psa_..`), which calls no models: send a key of a project (`psk_..`)"
    )]
    AdminKey,
    #[error("the request carries two different credentials; send one")]
    AmbiguousCredentials,
    #[error("{what}")]
    PermissionDenied { what: String },
    #[error("the model `{model}` does not exist, or this key may not use it")]
    ModelNotFound { model: String },
    #[error("{message}")]
    Malformed { message: String, param: Option<String> },
    #[error("{message}")]
    UnsupportedParameter { message: String, param: Option<String> },
    #[error("the request body is larger than {limit_bytes} bytes")]
    BodyTooLarge { limit_bytes: usize },
    #[error("{reason}")]
    PolicyDenied { reason: String },
    #[error("{level} data needs an approval before it may be sent")]
    ApprovalRequired { level: Level },
    #[error("the limit of requests on {} is reached", place.level)]
    RateLimited { place: Place, limit: i64, retry_millis: i64 },
    #[error("the limit of tokens on {} is reached", place.level)]
    TokensLimited { place: Place, limit: i64, retry_millis: Option<i64> },
    #[error("the limit of concurrent requests on {} is reached", place.level)]
    ConcurrencyLimited { place: Place },
    #[error("{}", exhausted(place, *left, *resets))]
    BudgetExhausted { place: Place, left: Option<NanoUsd>, resets: Option<Timestamp> },
    #[error("the budget of {} is set aside for requests that are still running", place.level)]
    BudgetHeld { place: Place, retry_millis: i64 },
    #[error("the budget of {} waits for a gateway that is silent", place.level)]
    BudgetUnsettled { place: Place, retry_millis: i64 },
    #[error("{what}: the cost has no bound, and a hard budget applies")]
    UnboundedCost { what: String },
    #[error("no deployment has room for this request now")]
    Capacity { retry_millis: i64 },
    #[error("no deployment of `{model}` is set up: its provider's credential is not there")]
    NotSetUp { model: String },
    #[error("the model provider failed to answer")]
    UpstreamFailed,
    #[error("the model provider did not answer in time")]
    UpstreamTimeout,
    #[error("the model provider broke off its answer")]
    UpstreamTruncated,
    #[error("the gateway cannot decide safely now")]
    Unavailable { retry_millis: i64 },
}

fn exhausted(place: &Place, left: Option<NanoUsd>, resets: Option<Timestamp>) -> String {
    let mut text = format!("the budget of {} is used up for this request", place.level);
    if let Some(left) = left {
        text.push_str(&format!("; {left} USD are left"));
    }
    if let Some(resets) = resets {
        text.push_str(&format!("; it starts anew at {}", resets.rfc3339()));
    }
    text
}

impl Refusal {
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unauthenticated | Self::AdminKey => "unauthenticated",
            Self::AmbiguousCredentials => "ambiguous_credentials",
            Self::PermissionDenied { .. } => "permission_denied",
            Self::ModelNotFound { .. } => "model_not_found",
            Self::Malformed { .. } => "malformed_request",
            Self::UnsupportedParameter { .. } => "unsupported_parameter",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::PolicyDenied { .. } => "policy_denied",
            Self::ApprovalRequired { .. } => "approval_required",
            Self::RateLimited { .. } => "rate_limited",
            Self::TokensLimited { .. } => "tokens_limited",
            Self::ConcurrencyLimited { .. } => "concurrency_limited",
            Self::BudgetExhausted { .. } => "budget_exhausted",
            Self::BudgetHeld { .. } => "budget_held",
            Self::BudgetUnsettled { .. } => "budget_unsettled",
            Self::UnboundedCost { .. } => "unbounded_cost",
            Self::Capacity { .. } => "capacity",
            Self::UpstreamFailed => "upstream_failed",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::UpstreamTruncated => "upstream_truncated",
            Self::NotSetUp { .. } | Self::Unavailable { .. } => "unavailable",
        }
    }
}

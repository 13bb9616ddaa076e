//! What a failed attempt means: for its bill, for the next attempt, for the caller.

use crate::{
    bill::End,
    pipeline::{lookback, meter::Why},
    upstream::NoAnswer,
};
use http::{HeaderMap, StatusCode, header};
use policies::{refusal::Refusal, usage::Outcome};

/// A provider's wish to wait is believed up to this.
const RETRY_MILLIS_MAX: i64 = 120_000;
const RETRY_MILLIS_DEFAULT: i64 = 1_000;

#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the deployment is not set up completely")]
    NotSetUp,
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
    /// A stream that ended before its first frame.
    #[error("the provider broke off before its first word")]
    BrokenAnswer(Why),
    #[error("the provider answered {status}")]
    Rejected { status: StatusCode, retry_millis: Option<i64> },
    /// Its caller may not go on.
    #[error("the credential of the request was revoked")]
    Revoked,
    /// The same, while nothing was sent yet.
    #[error("the credential of the request was revoked before anything was sent")]
    CalledOff,
}

impl From<Why> for Failure {
    fn from(why: Why) -> Self {
        match why {
            Why::Revoked => Self::Revoked,
            Why::Closed | Why::BrokenOff | Why::Late => Self::BrokenAnswer(why),
        }
    }
}

impl Failure {
    pub(super) fn of_status(status: StatusCode, headers: &HeaderMap) -> Self {
        Self::Rejected { status, retry_millis: retry_after(headers) }
    }

    /// True: the request itself is at fault, and another deployment would say the same.
    pub(super) fn is_callers(&self) -> bool {
        match self {
            Self::Rejected { status, .. } => matches!(status.as_u16(), 400 | 413 | 415 | 422),
            Self::NotSetUp
            | Self::NoAnswer(_)
            | Self::BrokenAnswer(_)
            | Self::Revoked
            | Self::CalledOff => false,
        }
    }

    /// True: it speaks against the health of the deployment.
    pub(super) fn is_of_deployment(&self) -> bool {
        match self {
            Self::NotSetUp | Self::Revoked | Self::CalledOff => false,
            Self::NoAnswer(_) | Self::BrokenAnswer(_) => true,
            Self::Rejected { status, .. } => {
                status.is_server_error() || matches!(status.as_u16(), 401 | 403 | 404)
            }
        }
    }

    /// True: no other deployment is asked.
    pub(super) fn is_last(&self) -> bool {
        matches!(self, Self::Revoked | Self::CalledOff)
    }

    /// What the attempt cost. A rejection is surely not begun; a server error may have been.
    pub(super) fn end(&self) -> End {
        match self {
            Self::NotSetUp | Self::CalledOff | Self::NoAnswer(NoAnswer::Unreachable) => {
                End::NotBegun
            }
            Self::NoAnswer(NoAnswer::BrokenOff | NoAnswer::Late) | Self::BrokenAnswer(_) => {
                End::Unknown
            }
            Self::Rejected { status, .. } => {
                let begun = status.is_server_error() && *status != StatusCode::SERVICE_UNAVAILABLE;
                if begun { End::Unknown } else { End::NotBegun }
            }
            Self::Revoked => End::Counted { outcome: Outcome::Cut, flaw: None },
        }
    }

    pub(super) fn refusal(&self) -> Refusal {
        match self {
            Self::NoAnswer(NoAnswer::Late) | Self::BrokenAnswer(Why::Late) => {
                Refusal::UpstreamTimeout
            }
            Self::Rejected { status, retry_millis } if status.as_u16() == 429 => {
                Refusal::Capacity { retry_millis: retry_millis.unwrap_or(RETRY_MILLIS_DEFAULT) }
            }
            Self::NotSetUp => Refusal::Unavailable { retry_millis: RETRY_MILLIS_DEFAULT },
            Self::NoAnswer(_) | Self::BrokenAnswer(_) | Self::Rejected { .. } => {
                Refusal::UpstreamFailed
            }
            Self::Revoked | Self::CalledOff => lookback::revoked(),
        }
    }
}

/// Seconds only (RFC 9110, section 10.2.3); a date or anything else counts as not given.
fn retry_after(headers: &HeaderMap) -> Option<i64> {
    let seconds: i64 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(seconds.clamp(0, RETRY_MILLIS_MAX / 1000) * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(status: u16) -> Failure {
        Failure::of_status(StatusCode::from_u16(status).unwrap(), &HeaderMap::new())
    }

    #[test]
    fn only_what_may_have_begun_is_counted() {
        for status in [400, 401, 404, 429, 503] {
            assert!(matches!(rejected(status).end(), End::NotBegun), "{status}");
        }
        for status in [500, 502, 504] {
            assert!(matches!(rejected(status).end(), End::Unknown), "{status}");
        }
        assert!(matches!(Failure::NoAnswer(NoAnswer::Late).end(), End::Unknown));
        assert!(matches!(Failure::NoAnswer(NoAnswer::Unreachable).end(), End::NotBegun));
        assert!(matches!(Failure::CalledOff.end(), End::NotBegun));
        assert!(matches!(Failure::Revoked.end(), End::Counted { .. }));
    }

    #[test]
    fn our_own_credential_is_not_the_callers_fault() {
        assert!(!rejected(401).is_callers());
        assert_eq!(rejected(401).refusal(), Refusal::UpstreamFailed);
    }
}

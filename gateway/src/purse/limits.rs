//! The limits of one org as far as this process may let requests through by them.

pub(super) mod commons;
mod fetch;
mod leased;
mod message;
mod meters;
mod own;
mod shared;

pub(super) use self::shared::Shared;

use self::{commons::Commons, own::Own};
use super::{TakenLimit, Want, end_users::EndUser};
use policies::{rate::Stretch, refusal::Refusal, tenant::LimitRule};
use std::sync::Arc;

/// A limit that a request counts under.
#[derive(Clone, Copy, Debug)]
pub struct Counted<'a> {
    pub rule: &'a Arc<LimitRule>,
    /// Whose own part of it is meant; none: all share it.
    pub end_user: Option<EndUser>,
}

/// The tightest limit of one kind, after the take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gauge {
    pub limit: i64,
    pub remaining: i64,
    pub reset_millis: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    pub requests: Option<Gauge>,
    pub tokens: Option<Gauge>,
}

/// Whether a request is let through.
pub(super) enum Check {
    Fits,
    /// The cells that are leased do not cover it: the shared windows have to be asked.
    Lacks,
    Refused(Refusal),
}

pub(super) enum Limits {
    /// This process counts alone.
    Own(Own),
    /// Other processes count as well.
    Shared(Box<Shared>),
}

impl Limits {
    pub(super) fn new(commons: Option<&Arc<Commons>>) -> Self {
        match commons {
            None => Self::Own(Own::default()),
            Some(commons) => Self::Shared(Box::new(Shared::new(Arc::clone(commons)))),
        }
    }

    pub(super) fn check(&mut self, want: &Want<'_>, ticks: i64) -> Check {
        match self {
            Self::Own(own) => own.check(want, ticks),
            Self::Shared(shared) => shared.check(want),
        }
    }

    /// Takes what [`Limits::check`] found to fit, under the same lock.
    pub(super) fn take(&mut self, want: &Want<'_>, ticks: i64) -> (Vec<TakenLimit>, Gauges) {
        match self {
            Self::Own(own) => own.take(want, ticks),
            Self::Shared(shared) => shared.take(want),
        }
    }

    /// The request has ended; its tokens are trued up by `change`.
    pub(super) fn leave(&mut self, taken: &[TakenLimit], change: i64) {
        match self {
            Self::Own(own) => own.leave(taken, change),
            Self::Shared(shared) => shared.leave(taken, change),
        }
    }

    pub(super) fn shared(&mut self) -> Option<&mut Shared> {
        match self {
            Self::Own(_) => None,
            Self::Shared(shared) => Some(shared),
        }
    }
}

#[cfg(test)]
mod tests;

fn rate_limited(rule: &LimitRule, limit: i64, wait: Option<i64>) -> Refusal {
    let retry_millis = wait.unwrap_or(Stretch::Day.millis());
    Refusal::RateLimited { place: rule.place.clone(), limit, retry_millis }
}

fn tokens_limited(rule: &LimitRule, limit: i64, retry_millis: Option<i64>) -> Refusal {
    Refusal::TokensLimited { place: rule.place.clone(), limit, retry_millis }
}

fn concurrency_limited(rule: &LimitRule) -> Refusal {
    Refusal::ConcurrencyLimited { place: rule.place.clone() }
}

/// The tighter of the two.
fn tighter(known: Option<Gauge>, other: Gauge) -> Option<Gauge> {
    Some(known.filter(|known| known.remaining <= other.remaining).unwrap_or(other))
}

//! Limits that this process counts alone.

use super::{
    super::{TakenLimit, Want, end_users::EndUsers},
    Check, Counted, Gauge, Gauges, concurrency_limited, rate_limited, tighter, tokens_limited,
};
use policies::{
    ids::LimitId,
    rate::{Refused, Stretch, Window},
    refusal::Refusal,
    tenant::LimitRule,
};
use std::{collections::HashMap, sync::Arc};

#[derive(Default)]
pub(in crate::purse) struct Own {
    limits: HashMap<LimitId, Windows>,
    end_users: EndUsers<Windows>,
}

struct Windows {
    requests: [Window; 2],
    tokens: [Window; 2],
    concurrent: i64,
}

impl Default for Windows {
    fn default() -> Self {
        let pair = || [Window::new(Stretch::Minute), Window::new(Stretch::Day)];
        Self { requests: pair(), tokens: pair(), concurrent: 0 }
    }
}

// === impl Own ===

impl Own {
    pub(super) fn check(&mut self, want: &Want<'_>, ticks: i64) -> Check {
        for counted in &want.limits {
            let windows = self.windows(counted);
            if let Err(refusal) = windows.check(counted.rule, want, ticks) {
                return Check::Refused(refusal);
            }
        }
        Check::Fits
    }

    fn windows(&mut self, counted: &Counted<'_>) -> &mut Windows {
        match counted.end_user {
            None => self.limits.entry(counted.rule.id).or_default(),
            Some(who) => self.end_users.of(counted.rule.id, who),
        }
    }

    pub(super) fn take(&mut self, want: &Want<'_>, ticks: i64) -> (Vec<TakenLimit>, Gauges) {
        let (mut taken, mut gauges) = (Vec::with_capacity(want.limits.len()), Gauges::default());
        for counted in &want.limits {
            let (rule, windows) = (counted.rule, self.windows(counted));
            windows.concurrent += 1;
            let [minute, day] = &mut windows.requests;
            minute.take(i64::from(rule.requests_per_minute.is_some()), ticks);
            day.take(i64::from(rule.requests_per_day.is_some()), ticks);
            gauges.requests = gauged(gauges.requests, rule.requests_per_minute, minute, ticks);
            gauges.requests = gauged(gauges.requests, rule.requests_per_day, day, ticks);
            let [minute, day] = &mut windows.tokens;
            let marks = TakenLimit {
                rule: Arc::clone(rule),
                end_user: counted.end_user,
                minute: rule.tokens_per_minute.map(|_| minute.take(want.tokens, ticks)),
                day: rule.tokens_per_day.map(|_| day.take(want.tokens, ticks)),
            };
            gauges.tokens = gauged(gauges.tokens, rule.tokens_per_minute, minute, ticks);
            gauges.tokens = gauged(gauges.tokens, rule.tokens_per_day, day, ticks);
            taken.push(marks);
        }
        (taken, gauges)
    }

    pub(super) fn leave(&mut self, taken: &[TakenLimit], change: i64) {
        for limit in taken {
            let id = limit.rule.id;
            let windows = match limit.end_user {
                None => self.limits.get_mut(&id),
                Some(who) => self.end_users.known(id, who),
            };
            let Some(windows) = windows else { continue };
            windows.concurrent = windows.concurrent.saturating_sub(1).max(0);
            let [minute, day] = &mut windows.tokens;
            if let Some(mark) = limit.minute {
                minute.adjust(mark, change);
            }
            if let Some(mark) = limit.day {
                day.adjust(mark, change);
            }
        }
    }
}

// === impl Windows ===

impl Windows {
    fn check(&mut self, rule: &LimitRule, want: &Want<'_>, ticks: i64) -> Result<(), Refusal> {
        if rule.concurrent_requests.is_some_and(|most| most <= self.concurrent) {
            return Err(concurrency_limited(rule));
        }
        let limits = [rule.requests_per_minute, rule.requests_per_day];
        for (window, limit) in self.requests.iter_mut().zip(limits) {
            let Some(limit) = limit else { continue };
            if let Err(refused) = window.check(limit, 1, ticks) {
                return Err(rate_limited(rule, limit, wait(refused)));
            }
        }
        let limits = [rule.tokens_per_minute, rule.tokens_per_day];
        for (window, limit) in self.tokens.iter_mut().zip(limits) {
            let Some(limit) = limit else { continue };
            if let Err(refused) = window.check(limit, want.tokens, ticks) {
                return Err(tokens_limited(rule, limit, wait(refused)));
            }
        }
        Ok(())
    }
}

fn wait(refused: Refused) -> Option<i64> {
    match refused {
        Refused::Wait { millis } => Some(millis),
        Refused::Never => None,
    }
}

fn gauged(
    known: Option<Gauge>,
    limit: Option<i64>,
    window: &mut Window,
    ticks: i64,
) -> Option<Gauge> {
    let Some(limit) = limit else { return known };
    let remaining = limit.saturating_sub(window.used(ticks)).max(0);
    if known.is_some_and(|known| known.remaining <= remaining) {
        return known;
    }
    tighter(known, Gauge { limit, remaining, reset_millis: window.reset_millis(ticks) })
}

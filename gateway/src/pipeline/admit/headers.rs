//! What an answer's headers tell of its admission.

use super::Worst;
use crate::{
    edge::problem::{REQUEST_GAUGE, TOKEN_GAUGE},
    pipeline::{classify::Ask, route::Routed},
    purse::{Gauge, Gauges},
};
use http::{HeaderMap, HeaderName, HeaderValue};
use policies::usage::{Decision, Verdict};

pub(super) fn headers(
    ask: &Ask,
    routed: &Routed,
    decision: &Decision,
    worst: &Worst,
    gauges: Gauges,
) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(12);
    let mut put = |name: &'static str, text: &str| {
        // A name that no header can carry is left out.
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    if let Some(tier) = &routed.plan().tier {
        put("x-penstock-tier", &tier.name);
    }
    put("x-penstock-decision", decision.verdict.word());
    if decision.verdict == Verdict::Masked {
        put("x-penstock-masked", &decision.masked.join(","));
    }
    put("x-penstock-revision", &decision.revision.to_string());
    if ask.stream() {
        put("x-penstock-cost-max", &worst.amount.to_string());
    }
    if let Some(bound) = worst.bound_added {
        put("x-penstock-output-bound", &bound.to_string());
    }
    for (names, gauge) in [(REQUEST_GAUGE, gauges.requests), (TOKEN_GAUGE, gauges.tokens)] {
        let Some(Gauge { limit, remaining, reset_millis }) = gauge else { continue };
        let values = [limit.to_string(), remaining.to_string(), format!("{reset_millis}ms")];
        names.iter().zip(values).for_each(|(name, value)| put(name, &value));
    }
    headers
}

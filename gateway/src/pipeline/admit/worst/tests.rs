//! A hold covers every bill that its bounds allow, and no more than it must.

use super::*;
use policies::{
    data::Clearance,
    document::{Dialect, Terms},
    ids::{DeploymentId, ProviderId},
    money::Rates,
    tenant::{Deployment, Provider},
    usage::Tokens,
};
use proptest::prelude::*;
use std::{collections::BTreeSet, sync::Arc};

fn step(rates: Rates) -> Step {
    let provider = Provider {
        id: ProviderId::from_bytes([1; 16]),
        name: "p".to_owned(),
        dialect: Dialect::Openai,
        base_url: "https://example.com/v1".to_owned(),
        credential: None,
        region: None,
        public_only: false,
        terms: Terms::default(),
    };
    let deployment = Deployment {
        id: DeploymentId::from_bytes([2; 16]),
        name: "d".to_owned(),
        provider: Arc::new(provider),
        model: "m".to_owned(),
        clearance: Clearance::default(),
        max_output_tokens: 100,
        output_bound_parameter: "max_tokens".to_owned(),
        free: false,
        prices: Vec::new(),
        limits: Vec::new(),
    };
    Step { deployment: Arc::new(deployment), masked: BTreeSet::new(), rates, price: None }
}

fn chat(members: &str) -> chat::Request {
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}]{members}}}"#);
    chat::read(&body.into()).unwrap()
}

fn nano(rate: i64) -> Option<NanoUsd> {
    Some(NanoUsd(rate))
}

#[test]
fn what_is_free_needs_no_money_at_all() {
    for members in ["", r#","max_tokens":5,"n":3"#] {
        let worst = Worst::reckon(&step(Rates::FREE), Some(&chat(members)), 1_000, true).unwrap();
        assert_eq!(worst.amount, NanoUsd::ZERO);
    }
    let embeddings = Worst::reckon(&step(Rates::FREE), None, 1_000, true).unwrap();
    assert_eq!(embeddings.amount, NanoUsd::ZERO);
}

#[test]
fn what_a_report_may_name_grows_with_its_request() {
    let step = step(Rates::FREE);
    let of = |members: &str, input| {
        let worst = Worst::reckon(&step, Some(&chat(members)), input, false).unwrap();
        worst.tokens_possible
    };

    assert_eq!(of("", 10), POSSIBLE_TOKENS_MIN);
    let (large, bound) = (POSSIBLE_TOKENS_MIN, POSSIBLE_TOKENS_MIN / 2);
    assert_eq!(of("", large), 4 * (large + 100));
    assert_eq!(of(&format!(r#","max_tokens":{bound},"n":3"#), 1), 4 * (3 * bound + 1));
    assert_eq!(of("", i64::MAX), i64::MAX);
}

#[test]
fn where_a_budget_applies_the_bound_is_needed_whoever_set_it() {
    let step = step(Rates { input: nano(1), output: nano(1), ..Rates::default() });
    let of = |members: &str, budgeted| {
        let worst = Worst::reckon(&step, Some(&chat(members)), 1, budgeted).unwrap();
        (worst.bound_added, worst.bound_needed)
    };

    assert_eq!(of("", true), (Some(100), Some(100)));
    assert_eq!(of(r#","max_completion_tokens":7"#, true), (None, Some(7)));
    assert_eq!(of(r#","max_completion_tokens":7"#, false), (None, None));
    assert_eq!(of("", false), (None, None));
}

#[test]
fn a_kind_without_a_price_is_refused_under_a_budget_only() {
    let step = step(Rates { input: nano(1), ..Rates::default() });

    let refused = Worst::reckon(&step, Some(&chat("")), 1, true);

    assert!(matches!(refused, Err(Refusal::UnboundedCost { .. })), "{refused:?}");
    assert!(Worst::reckon(&step, Some(&chat("")), 1, false).is_ok());
}

proptest! {
    #[test]
    fn no_bill_within_the_bounds_exceeds_the_hold(
        rates in prop::array::uniform5(0..3_000_000i64),
        input in prop::array::uniform3(0..50i64),
        output in prop::array::uniform2(0..50i64),
        per_request in 0..100i64,
    ) {
        let [text, read, written, said, thought] = rates;
        let rates = Rates {
            input: nano(text),
            cache_read: nano(read),
            cache_write: nano(written),
            output: nano(said),
            reasoning: nano(thought),
            per_request: NanoUsd(per_request),
            ..Rates::default()
        };
        let used = Tokens {
            input: input[0],
            cache_read: input[1],
            cache_write: input[2],
            output: output[0],
            reasoning: output[1],
            ..Tokens::default()
        };
        let bound = format!(r#","max_tokens":{}"#, (output[0] + output[1]).max(1));

        let most = input.iter().sum();
        let worst = Worst::reckon(&step(rates), Some(&chat(&bound)), most, true).unwrap();

        prop_assert!(rates.cost(&used).unwrap() <= worst.amount);
    }
}

//! Truths and lies of providers.

use proptest::prelude::*;

use super::*;
use crate::json::reader::Rules;

fn parse(json: &str) -> Report {
    let mut reader = Reader::new(json.as_bytes(), Rules::Lenient).unwrap();
    read(&mut reader).unwrap().unwrap_or_else(Report::missing)
}

fn tokens(input: i64, output: i64) -> Tokens {
    Tokens { input, output, ..Tokens::default() }
}

#[test]
fn no_token_is_counted_in_two_kinds() {
    let report = parse(
        r#"{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150,
        "prompt_tokens_details":{"cached_tokens":40,"cache_write_tokens":10,"audio_tokens":5,
            "image_tokens":15,"text_tokens":80},
        "completion_tokens_details":{"reasoning_tokens":20,"audio_tokens":7,
            "accepted_prediction_tokens":1,"rejected_prediction_tokens":2}}"#,
    );

    let expected = Tokens {
        input: 30,
        cache_read: 40,
        cache_write: 10,
        audio_in: 5,
        image: 15,
        output: 23,
        reasoning: 20,
        audio_out: 7,
    };
    assert_eq!((report.tokens, report.flaw), (expected, None));
    assert_eq!(report.tokens.total(), 150);
    assert_eq!((report.totals.cached, report.totals.rejected_prediction), (40, 2));
}

#[test]
fn plain_reports_have_no_flaw() {
    let plain = [
        (r#"{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}"#, tokens(3, 4)),
        (r#"{"prompt_tokens":3,"completion_tokens":4}"#, tokens(3, 4)),
        (r#"{"prompt_tokens":3,"total_tokens":3}"#, tokens(3, 0)),
        (r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#, tokens(0, 0)),
        (r#"{"prompt_tokens":3.0,"completion_tokens":4e0,"total_tokens":70e-1}"#, tokens(3, 4)),
        (
            r#"{"prompt_tokens":3,"completion_tokens":4,"prompt_tokens_details":null,
            "completion_tokens_details":{"reasoning_tokens":null}}"#,
            tokens(3, 4),
        ),
    ];
    for (json, expected) in plain {
        let report = parse(json);
        assert_eq!((report.tokens, report.flaw), (expected, None), "{json}");
    }
}

#[test]
fn reasoning_that_is_counted_beside_the_completion_is_found_by_the_total() {
    let report = parse(
        r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":215,
        "completion_tokens_details":{"reasoning_tokens":200}}"#,
    );

    assert_eq!((report.tokens.output, report.tokens.reasoning), (5, 200));
    assert_eq!((report.tokens.total(), report.flaw), (215, None));
}

#[test]
fn lies_are_bounded_and_flawed() {
    let table = [
        ("null", tokens(0, 0), Flaw::Missing),
        ("{}", tokens(0, 0), Flaw::Missing),
        (r#"{"total_tokens":5}"#, tokens(0, 0), Flaw::Missing),
        (r#"{"prompt_tokens":null,"completion_tokens":null}"#, tokens(0, 0), Flaw::Missing),
        ("7", tokens(0, 0), Flaw::NotANumber),
        ("[]", tokens(0, 0), Flaw::NotANumber),
        (r#"{"prompt_tokens":-5,"completion_tokens":4}"#, tokens(0, 4), Flaw::Negative),
        (r#"{"prompt_tokens":-5.0,"completion_tokens":4}"#, tokens(0, 4), Flaw::Negative),
        (r#"{"prompt_tokens":-1e300,"completion_tokens":4}"#, tokens(0, 4), Flaw::Negative),
        (
            r#"{"prompt_tokens":-99999999999999999999,"completion_tokens":4}"#,
            tokens(0, 4),
            Flaw::Negative,
        ),
        (r#"{"prompt_tokens":"5","completion_tokens":4}"#, tokens(0, 4), Flaw::NotANumber),
        (r#"{"prompt_tokens":1.5,"completion_tokens":4}"#, tokens(0, 4), Flaw::NotANumber),
        (r#"{"prompt_tokens":true,"completion_tokens":4}"#, tokens(0, 4), Flaw::NotANumber),
        (r#"{"prompt_tokens":[1],"completion_tokens":4}"#, tokens(0, 4), Flaw::NotANumber),
        (
            r#"{"prompt_tokens":9223372036854775808,"completion_tokens":4}"#,
            tokens(TOKENS_MAX, 4),
            Flaw::TooLarge,
        ),
        (
            r#"{"prompt_tokens":9223372036854775807,"completion_tokens":1e308}"#,
            tokens(TOKENS_MAX, TOKENS_MAX),
            Flaw::TooLarge,
        ),
        (
            r#"{"prompt_tokens":1099511627777,"completion_tokens":4}"#,
            tokens(TOKENS_MAX, 4),
            Flaw::TooLarge,
        ),
        (
            r#"{"prompt_tokens":3,"completion_tokens":4,"total_tokens":9}"#,
            tokens(3, 4),
            Flaw::Inconsistent,
        ),
        (
            r#"{"prompt_tokens":3,"completion_tokens":4,
                "prompt_tokens_details":{"cached_tokens":9}}"#,
            Tokens { cache_read: 3, output: 4, ..Tokens::default() },
            Flaw::Inconsistent,
        ),
        (
            r#"{"prompt_tokens":3,"completion_tokens":4,
                "completion_tokens_details":{"reasoning_tokens":9}}"#,
            Tokens { input: 3, reasoning: 4, ..Tokens::default() },
            Flaw::Inconsistent,
        ),
        (
            r#"{"prompt_tokens":3,"completion_tokens":4,
                "prompt_tokens_details":{"cached_tokens":-2}}"#,
            tokens(3, 4),
            Flaw::Negative,
        ),
    ];
    for (json, expected, flaw) in table {
        let report = parse(json);
        assert_eq!((report.tokens, report.flaw), (expected, Some(flaw)), "{json}");
    }
}

#[test]
fn nothing_used_with_text_sent_is_a_flaw() {
    let zero = parse(r#"{"prompt_tokens":3,"completion_tokens":0}"#);

    assert_eq!(zero.clone().with_output_seen(5).flaw, Some(Flaw::ZeroWithText));
    assert_eq!(zero.with_output_seen(0).flaw, None);
    assert_eq!(Report::missing().with_output_seen(5).flaw, Some(Flaw::Missing));
}

#[test]
fn what_forbids_to_bill_a_report_hides_behind_no_other_flaw() {
    let odd = parse(r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":1}"#);
    let negative = parse(r#"{"prompt_tokens":3,"completion_tokens":4,"total_tokens":-9}"#);
    let huge = parse(r#"{"prompt_tokens":549755813888,"completion_tokens":0,"total_tokens":1}"#);

    assert_eq!(odd.flaw, Some(Flaw::Inconsistent));
    assert_eq!(odd.clone().with_output_seen(5).flaw, Some(Flaw::ZeroWithText));
    assert_eq!(odd.clone().with_prompt_taken().flaw, Some(Flaw::ZeroPrompt));
    assert_eq!(odd.clone().followed_by(negative.clone()).flaw, Some(Flaw::Negative));
    assert_eq!(negative.with_output_seen(5).with_prompt_taken().flaw, Some(Flaw::Negative));
    assert_eq!(huge.clone().within(1 << 39).flaw, Some(Flaw::Inconsistent));
    assert_eq!(huge.within((1 << 39) - 1).flaw, Some(Flaw::TooLarge));
}

#[test]
fn a_running_count_replaces_and_a_shrinking_one_does_not() {
    let small = parse(r#"{"prompt_tokens":3,"completion_tokens":1}"#);
    let large = parse(r#"{"prompt_tokens":3,"completion_tokens":9}"#);

    assert_eq!(small.clone().followed_by(large.clone()), large);
    let shrunk = large.clone().followed_by(small);
    assert_eq!((shrunk.tokens, shrunk.flaw), (large.tokens, Some(Flaw::TwoReports)));
}

fn number_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|value| value.to_string()),
        any::<f64>()
            .prop_filter("finite", |value| value.is_finite())
            .prop_map(|x| format!("{x:e}")),
        (0..2000i64).prop_map(|value| value.to_string()),
        "-?[1-9][0-9]{0,60}",
        prop::sample::select(&["null", "true", "\"7\"", "[]", "{}", "-0", "0.0"][..])
            .prop_map(str::to_owned),
    ]
}

proptest! {
    #[test]
    fn any_report_gives_kinds_within_bounds_that_add_up(
        n in prop::collection::vec(number_text(), 9),
    ) {
        let json = format!(
            r#"{{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{},
            "prompt_tokens_details":{{"cached_tokens":{},"cache_write_tokens":{},
            "audio_tokens":{},"image_tokens":{}}},
            "completion_tokens_details":{{"reasoning_tokens":{},"audio_tokens":{}}}}}"#,
            n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8]
        );

        let report = parse(&json);

        let t = report.tokens;
        for kind in [t.input, t.cache_read, t.cache_write, t.output, t.reasoning, t.audio_in,
            t.audio_out, t.image] {
            prop_assert!((0..=TOKENS_MAX).contains(&kind), "{json} {report:?}");
        }
        prop_assert_eq!(t.all_input(), report.totals.prompt);
        let completion = report.totals.completion;
        prop_assert!(
            t.all_output() == completion || t.all_output() == completion + report.totals.reasoning
        );
    }
}

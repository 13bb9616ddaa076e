//! What compiling says of good and of wrong documents.

use super::*;
use crate::document::Document;

fn objects(lines: &[&str]) -> Vec<Object> {
    let read = |(place, line): (usize, &&str)| {
        let document: Document =
            serde_json::from_str(line).unwrap_or_else(|it| panic!("{it}: {line}"));
        let mut id = [0; 16];
        id[15] = u8::try_from(place + 1).unwrap();
        Object { id, document }
    };
    lines.iter().enumerate().map(read).collect()
}

fn small() -> Vec<&'static str> {
    vec![
        r#"{"kind":"Org","name":"acme","time_zone":"Europe/Berlin"}"#,
        r#"{"kind":"Unit","org":"acme","name":"top","cost_centre":"CC-1"}"#,
        r#"{"kind":"Unit","org":"acme","name":"low","parent":"top"}"#,
        r#"{"kind":"Project","org":"acme","name":"p","unit":"low"}"#,
        r#"{"kind":"User","org":"acme","name":"ada"}"#,
        r#"{"kind":"Group","org":"acme","name":"g","members":["ada"]}"#,
        r#"{"kind":"Key","org":"acme","name":"k","project":"p","owner":{"user":"ada"}}"#,
        r#"{"kind":"Provider","org":"acme","name":"v","dialect":"openai",
            "base_url":"https://example.com/v1/","terms":{"trains":false}}"#,
        r#"{"kind":"Deployment","org":"acme","name":"d","provider":"v","model":"m",
            "clearance":{"level":"internal"}}"#,
        r#"{"kind":"Price","org":"acme","name":"p1","deployment":"d","from":"2026-01-01",
            "input":"1","output":"2"}"#,
        r#"{"kind":"Price","org":"acme","name":"p2","deployment":"d","from":"2026-06-01",
            "input":"3","output":"4"}"#,
        r#"{"kind":"Tier","org":"acme","name":"t","rank":1,"deployments":[{"deployment":"d"}]}"#,
        r#"{"kind":"Model","org":"acme","name":"m","tier":"t"}"#,
        r#"{"kind":"Budget","org":"acme","name":"b-key","on":{"key":"k"},"limit":"1","period":"day"}"#,
        r#"{"kind":"Budget","org":"acme","name":"b-org","on":"org","limit":"9","period":"month"}"#,
        r#"{"kind":"Budget","org":"acme","name":"b-group","on":{"group":"g"},"limit":"5",
            "period":"lifetime"}"#,
        r#"{"kind":"Limit","org":"acme","name":"l","on":{"unit":"top"},"requests_per_minute":5}"#,
    ]
}

fn mistakes(extra: &[&str]) -> Vec<String> {
    let mut lines = small();
    lines.extend(extra);
    match compile(&objects(&lines), Revision(1)) {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_key_gathers_everything_that_binds_it() {
    let tenant = compile(&objects(&small()), Revision(7)).unwrap();

    let grant = tenant.grants.values().next().unwrap();
    let levels: Vec<_> = grant.budgets.iter().map(|budget| budget.place.level).collect();
    assert_eq!(levels, ["your organization", "your group", "your key"]);
    assert_eq!(grant.unit_path.len(), 2);
    assert_eq!(grant.cost_centre.as_deref(), Some("CC-1"));
    assert_eq!(grant.limits.len(), 1);
    assert_eq!(tenant.revision, Revision(7));
}

#[test]
fn the_price_of_a_moment_is_the_newest_row_before_it() {
    let tenant = compile(&objects(&small()), Revision(1)).unwrap();
    let deployment = tenant.deployments.values().next().unwrap();
    let input = |day: &str| {
        let at = crate::time::Timestamp::parse(day).unwrap();
        deployment.rates_at(at).and_then(|(_, rates)| rates.input).map(|rate| rate.to_string())
    };

    assert_eq!(input("2025-12-31"), None);
    assert_eq!(input("2026-05-31").as_deref(), Some("1"));
    assert_eq!(input("2026-06-01").as_deref(), Some("3"));
}

#[test]
fn each_mistake_is_told_with_its_place() {
    for (line, told) in [
        (
            r#"{"kind":"Project","org":"acme","name":"q","unit":"nowhere"}"#,
            "project `q`: `unit`: there is no unit `nowhere`",
        ),
        (
            r#"{"kind":"User","org":"acme","name":"ada"}"#,
            "user `ada`: `name`: another object of this kind has the same name",
        ),
        (
            r#"{"kind":"User","org":"acme","name":" x"}"#,
            "user ` x`: `name`: has control characters, or white space around it",
        ),
        (
            r#"{"kind":"Limit","org":"acme","name":"x","on":"org","tokens_per_day":0}"#,
            "limit `x`: `tokens_per_day`: must be 1 or more",
        ),
        (
            r#"{"kind":"Budget","org":"acme","name":"x","on":{"tier":"t"},"limit":"1","period":"day"}"#,
            "budget `x`: `on`: a budget is not set on a tier or deployment",
        ),
        (
            r#"{"kind":"Budget","org":"acme","name":"x","on":"org","limit":"-1","period":"day"}"#,
            "budget `x`: `limit`: must not be negative",
        ),
        (
            r#"{"kind":"Price","org":"acme","name":"x","deployment":"d","from":"June"}"#,
            "price `x`: `from`: must be RFC 3339, or a date",
        ),
        (
            r#"{"kind":"Deployment","org":"acme","name":"x","provider":"v","model":"m"}"#,
            "deployment `x`: `free`: has no price: it needs a price, or `free: true`",
        ),
        (
            r#"{"kind":"Model","org":"acme","name":"x"}"#,
            "model `x`: `tier`: needs a tier or deployments, and not both",
        ),
    ] {
        assert_eq!(mistakes(&[line]), [told], "{line}");
    }
}

#[test]
fn a_provider_that_may_train_gets_public_data_only() {
    let told = mistakes(&[
        r#"{"kind":"Provider","org":"acme","name":"w","dialect":"openai","base_url":"https://e.com"}"#,
        r#"{"kind":"Deployment","org":"acme","name":"x","provider":"w","model":"m","free":true,
            "clearance":{"level":"internal"}}"#,
    ]);

    assert_eq!(told.len(), 1);
    assert!(told[0].contains("cleared for public data only"), "{told:?}");
}

#[test]
fn a_circle_of_units_is_found() {
    let told = mistakes(&[
        r#"{"kind":"Unit","org":"acme","name":"a","parent":"b"}"#,
        r#"{"kind":"Unit","org":"acme","name":"b","parent":"a"}"#,
        r#"{"kind":"Project","org":"acme","name":"q","unit":"a"}"#,
        r#"{"kind":"Key","org":"acme","name":"k2","project":"q","owner":{"user":"ada"}}"#,
    ]);

    assert!(told.iter().any(|it| it.contains("has a circle")), "{told:?}");
}

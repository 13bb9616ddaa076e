//! What compiling says of good and of wrong documents.

mod identity;

use super::*;
use crate::{document::Document, permission::Permission};

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
        r#"{"kind":"Project","org":"acme","name":"p","unit":"low",
            "members":[{"who":{"user":"ada"},"role":"developer"}]}"#,
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

    let grant = tenant.grants.values().find(|grant| grant.name == "k").unwrap();
    let levels: Vec<_> = grant.budgets.iter().map(|budget| budget.place.level).collect();
    assert_eq!(levels, ["your organization", "your group", "your key"]);
    assert_eq!(grant.unit_path.len(), 2);
    assert_eq!(grant.cost_centre.as_deref(), Some("CC-1"));
    assert_eq!(grant.limits.len(), 1);
    assert_eq!(tenant.revision, Revision(7));
}

#[test]
fn a_persons_key_does_no_more_in_a_project_than_the_person_may() {
    const MEMBER: &str = r#""members":[{"who":{"user":"ada"},"role":"developer"}]"#;
    const USER: &str = r#""User","org":"acme","name":"ada""#;
    const UNIT: &str = r#""name":"top""#;
    let all = vec!["infer", "models.list", "requests.read_own"];
    let group = r#""members":[{"who":{"group":"g"},"role":"developer"}]"#;
    let viewer = r#""members":[{"who":{"user":"ada"},"role":"viewer"}]"#;
    let admin = r#""User","org":"acme","name":"ada","roles":["admin"]"#;
    let auditor = r#""User","org":"acme","name":"ada","roles":["auditor"]"#;
    let of_unit = r#""name":"top","admins":[{"user":"ada"}]"#;
    for (members, (from, to), may) in [
        (MEMBER, ("", ""), all.clone()),
        (group, ("", ""), all.clone()),
        (viewer, ("", ""), vec!["models.list"]),
        (r#""members":[]"#, ("", ""), Vec::new()),
        (r#""members":[]"#, (USER, auditor), Vec::new()),
        (r#""members":[]"#, (USER, admin), all.clone()),
        (r#""members":[]"#, (UNIT, of_unit), all),
    ] {
        let line = |line: &str| match from {
            "" => line.replace(MEMBER, members),
            _ => line.replace(MEMBER, members).replace(from, to),
        };
        let lines: Vec<String> = small().into_iter().map(line).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let tenant = compile(&objects(&lines), Revision(1)).unwrap();

        let grant = tenant.grants.values().find(|grant| grant.name == "k").unwrap();
        let held: Vec<_> = grant.scopes.iter().map(Permission::word).collect();
        assert_eq!(held, may, "{members} {to}");
        assert_eq!(grant.active, !may.is_empty(), "{members} {to}");
    }
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
            "budget `x`: `on`: a budget is not set on a tier, deployment or end user",
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
fn each_mistake_about_who_may_do_what_is_told_with_its_place() {
    for (line, told) in [
        (
            r#"{"kind":"Provider","org":"acme","name":"x","dialect":"openai",
                "base_url":"http://10.0.0.1/v1","public_only":true}"#,
            "provider `x`: `base_url`: leads to a private network, where only the operator may \
             point it",
        ),
        (
            r#"{"kind":"Provider","org":"acme","name":"x","dialect":"openai",
                "base_url":"https://a.example","credential":{"stored":false}}"#,
            "provider `x`: `credential`: `stored` must be `true`",
        ),
        (
            r#"{"kind":"User","org":"acme","name":"x","roles":["operator"]}"#,
            "user `x`: `roles`: there is no role `operator` for an org",
        ),
        (
            r#"{"kind":"Role","org":"acme","name":"x","permissions":["org.own"]}"#,
            "role `x`: `permissions`: `org.own` cannot be part of an org's own role",
        ),
        (
            r#"{"kind":"ServiceAccount","org":"acme","name":"x","act_for":{"header":true}}"#,
            "service account `x`: `act_for`: `header` needs the networks in `sources`",
        ),
        (
            r#"{"kind":"IdentityProvider","org":"acme","name":"x","issuer":"http://idp.example",
                "client_id":"c"}"#,
            "identity provider `x`: `issuer`: must begin with https://, unless it is on this \
             machine",
        ),
        (
            r#"{"kind":"IdentityProvider","org":"acme","name":"x",
                "issuer":"http://localhost.idp.example","client_id":"c"}"#,
            "identity provider `x`: `issuer`: must begin with https://, unless it is on this \
             machine",
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
fn a_circle_of_units_is_found_though_no_project_is_below_it() {
    let told = mistakes(&[
        r#"{"kind":"Unit","org":"acme","name":"a","parent":"b"}"#,
        r#"{"kind":"Unit","org":"acme","name":"b","parent":"a"}"#,
    ]);

    let circle =
        |name| format!("unit `{name}`: `parent`: the tree is deeper than 5, or has a circle");
    assert_eq!(told, [circle("a"), circle("b")]);
}

#[test]
fn a_tree_may_be_as_deep_as_is_allowed_and_no_deeper() {
    let unit = |name: &str, parent: &str| {
        format!(r#"{{"kind":"Unit","org":"acme","name":"{name}","parent":"{parent}"}}"#)
    };
    let names = ["top", "low", "3", "4", "5", "6"];
    let units: Vec<String> = names.windows(2).skip(1).map(|pair| unit(pair[1], pair[0])).collect();
    let lines: Vec<&str> = units.iter().map(String::as_str).collect();

    assert_eq!(mistakes(&lines[..3]), [] as [&str; 0]);
    let told = mistakes(&lines);
    assert_eq!(told, ["unit `6`: `parent`: the tree is deeper than 5, or has a circle"]);
}

#[test]
fn text_that_ends_in_records_and_refusals_is_bounded_and_printable() {
    let long = "x".repeat(129);
    for (line, told) in [
        (
            r#"{"kind":"Unit","org":"acme","name":"u","cost_centre":"CC\n1"}"#.to_owned(),
            "unit `u`: `cost_centre`: has control characters",
        ),
        (
            format!(r#"{{"kind":"Project","org":"acme","name":"q","cost_centre":"{long}"}}"#),
            "project `q`: `cost_centre`: must have at most 128 characters",
        ),
        (
            format!(r#"{{"kind":"Project","org":"acme","name":"q","tags":["team","{long}"]}}"#),
            "project `q`: `tags`: must have at most 128 characters",
        ),
        (
            r#"{"kind":"Project","org":"acme","name":"q","tags":["a\u0007b"]}"#.to_owned(),
            "project `q`: `tags`: has control characters",
        ),
        (
            r#"{"kind":"Project","org":"acme","name":"q","tags":["a=b"]}"#.to_owned(),
            "project `q`: `tags`: a key is empty, or has `=`, `,` or white space around it",
        ),
    ] {
        assert_eq!(mistakes(&[&line]), [told], "{line}");
    }
    for (support, told) in [
        ("a\\tb".to_owned(), "has control characters"),
        ("x".repeat(513), "must have at most 512 characters"),
    ] {
        let line = format!(r#"{{"kind":"Org","name":"acme","support":"{support}"}}"#);
        let wrong = compile(&objects(&[&line]), Revision(1)).unwrap_err();
        let wrong: Vec<String> = wrong.iter().map(ToString::to_string).collect();
        assert_eq!(wrong, [format!("org `acme`: `support`: {told}")]);
    }
}

#[test]
fn rules_on_a_group_that_no_key_is_in_bind_nobody() {
    let extra = [
        r#"{"kind":"Group","org":"acme","name":"empty"}"#,
        r#"{"kind":"Limit","org":"acme","name":"x","on":{"group":"empty"},"tokens_per_day":1}"#,
        r#"{"kind":"Budget","org":"acme","name":"x","on":{"group":"empty"},"limit":"1",
            "period":"day"}"#,
    ];

    assert_eq!(mistakes(&extra), [] as [&str; 0]);
    let mut lines = small();
    lines.extend(extra);
    let tenant = compile(&objects(&lines), Revision(1)).unwrap();
    let grant = tenant.grants.values().find(|grant| grant.name == "k").unwrap();
    assert_eq!((grant.budgets.len(), grant.limits.len()), (3, 1));
}

//! Every row becomes an event that a collector can file, and loses nothing on the way.

use super::*;
use crate::manual;
use policies::{ids::OrgId, time::Timestamp};

fn act(action: &str) -> Act {
    Act {
        at: Timestamp(1_700_000_000_000),
        actor: Actor { kind: ActorKind::User, id: "user_1".to_owned(), name: "ada".to_owned() },
        address: Some("192.0.2.7".to_owned()),
        action: action.to_owned(),
        outcome: Outcome::Done,
        target: Some(Target {
            kind: "project".to_owned(),
            id: "proj_1".to_owned(),
            name: "search".to_owned(),
            project: Some("proj_1".to_owned()),
        }),
        before: None,
        after: Some(json!({ "data_level": "internal" })),
        reason: Some("asked for".to_owned()),
        request: Some("req_1".to_owned()),
        via: "api".to_owned(),
        revision: Some(4),
    }
}

fn entry(act: &Act) -> Entry {
    Entry {
        org: OrgId::from_bytes([1; 16]),
        seq: 7,
        prev: [2; 32],
        hash: [3; 32],
        body: serde_json::to_string(act).unwrap(),
        position: 40,
    }
}

#[test]
fn the_table_is_the_published_one() {
    let page = manual::page("audit").unwrap();
    for (action, class, activity) in [
        ("login.succeeded", 3002, 1),
        ("login.failed", 3002, 1),
        ("authentication.failed", 3002, 1),
        ("session.closed", 3002, 2),
        ("logout.done", 3002, 2),
        ("token.issued", 3002, 3),
        ("user.created", 3001, 1),
        ("service_account.deleted", 3001, 6),
        ("user.updated", 3001, 99),
        ("data.read", 6003, 2),
        ("request.policy_denied", 6003, 99),
        ("events.missed", 6003, 99),
        ("audit.head_went_back", 6003, 99),
        ("project.created", 3004, 1),
        ("admin_key.updated", 3004, 3),
        ("role.deleted", 3004, 4),
        ("key.rotated", 3004, 99),
    ] {
        let event = event(&entry(&act(action)));

        assert_eq!(event.body["class_uid"], class, "{action}");
        assert_eq!(event.body["activity_id"], activity, "{action}");
        assert_eq!(event.body["type_uid"], class * 100 + activity, "{action}");
        assert!(page.contains(&class.to_string()), "{class}");
    }
}

#[test]
fn a_user_that_is_switched_off_is_an_account_that_is_disabled() {
    for (active, activity) in [(false, 5), (true, 2)] {
        let act = Act { after: Some(json!({ "active": active })), ..act("user.updated") };

        assert_eq!(event(&entry(&act)).body["activity_id"], activity);
    }
}

#[test]
fn nothing_of_a_row_is_lost() {
    let act = act("project.updated");
    let event = event(&entry(&act));

    assert_eq!(event.id, format!("{}-7", OrgId::from_bytes([1; 16])));
    let body = &event.body;
    assert_eq!(body["time"], act.at.0);
    assert_eq!(body["actor"]["user"]["uid"], "user_1");
    assert_eq!(body["src_endpoint"]["ip"], "192.0.2.7");
    assert_eq!(body["entity"]["uid"], "proj_1");
    assert_eq!(body["status_detail"], "asked for");
    assert_eq!(body["metadata"]["correlation_uid"], "req_1");
    assert_eq!(body["metadata"]["tenant_uid"], json!(OrgId::from_bytes([1; 16])));
    let rest = &body["unmapped"];
    assert_eq!(rest["hash"], "03".repeat(32));
    assert_eq!(rest["prev"], "02".repeat(32));
    assert_eq!((rest["seq"].as_u64(), rest["position"].as_i64()), (Some(7), Some(40)));
    assert_eq!((rest["via"].as_str(), rest["revision"].as_u64()), (Some("api"), Some(4)));
    assert_eq!(rest["after"], json!({ "data_level": "internal" }));
}

#[test]
fn what_was_refused_stands_out() {
    let refused = Act { outcome: Outcome::Refused, ..act("login.failed") };

    let event = event(&entry(&refused));

    assert_eq!(event.severity, Severity::Medium);
    assert_eq!(
        (event.body["status_id"].as_i64(), event.body["severity_id"].as_i64()),
        (Some(2), Some(3))
    );
}

#[test]
fn a_row_of_another_version_leaves_all_the_same() {
    let strange = Entry { body: r#"{"at":"then"}"#.to_owned(), ..entry(&act("a.b")) };

    let event = event(&strange);

    assert_eq!(event.body["unmapped"]["act"], r#"{"at":"then"}"#);
    assert_eq!(event.body["class_uid"], 6003);
}

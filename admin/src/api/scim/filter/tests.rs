//! What filters select, what they refuse, and that no text is too much for them.

use super::*;
use crate::api::scim::attribute::Resource;
use proptest::prelude::*;
use serde_json::json;

fn ada() -> Map<String, Value> {
    let user = json!({
        "id": "user_ab", "userName": "Ada@Example.com", "externalId": "00uA", "active": true,
        "displayName": "Ada \"Countess\" Lovelace",
        "emails": [
            { "value": "ada@example.com", "type": "work", "primary": true },
            { "value": "ada@home.example", "Type": "home" },
        ],
        "meta": { "resourceType": "User", "created": "2026-03-01T10:00:00Z" },
    });
    user.as_object().unwrap().clone()
}

fn says(text: &str) -> bool {
    filter(Resource::User, text).unwrap_or_else(|why| panic!("{text}: {why}")).matches(&ada())
}

#[test]
fn filters_of_directories_select_whom_they_mean() {
    for text in [
        "userName eq \"ada@example.com\"",
        "USERNAME EQ \"ADA@example.com\"",
        "urn:ietf:params:scim:schemas:core:2.0:User:userName eq \"ada@example.com\"",
        "externalId eq \"00uA\"",
        "emails[type eq \"work\"].value eq \"ada@example.com\"",
        "emails[type eq \"work\" and value co \"@example\"]",
        "emails eq \"ADA@home.example\"",
        "emails.type eq \"home\"",
        "active eq true",
        "active eq \"True\"",
        "displayName co \"\\\"Countess\\\"\"",
        "userName sw \"ada\" and not (externalId eq \"x\")",
        "userName eq \"x\" or userName ew \".com\" and active eq true",
        "(userName eq \"x\" or active eq true) and id pr",
        "nickName eq null and nickName ne \"x\"",
        "meta.created gt \"2026-03-01T10:59:59+01:00\"",
        "meta.created le \"2026-03-01T10:00:00Z\"",
        "userName gt \"a\" and userName lt \"b\"",
        "not(active eq false)",
        "meta.created eq \"2026-03-01T11:00:00+01:00\"",
    ] {
        assert!(says(text), "{text}");
    }
    for text in [
        "userName eq \"ada\"",
        "externalId eq \"00UA\"",
        "emails[type eq \"home\"].value eq \"ada@example.com\"",
        "emails[type eq \"other\"]",
        "active ne true",
        "title pr",
        "not (userName pr)",
        "userName eq 5",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department pr",
        "(userName eq \"x\" or active eq true) and title pr",
    ] {
        assert!(!says(text), "{text}");
    }
}

#[test]
fn what_is_no_filter_is_refused() {
    let deep = format!("{}active pr{}", "(".repeat(17), ")".repeat(17));
    let many = vec!["active pr"; 65].join(" and ");
    let long = format!("userName eq \"{}\"", "x".repeat(FILTER_BYTES_MAX));
    for text in [
        "",
        "userName",
        "userName eq",
        "userName eq ada",
        "userName is \"ada\"",
        "userName eq \"ada",
        "userName eq \"ada\" and",
        "userName eq \"ada\" userName pr",
        "(userName pr",
        "userName pr)",
        "emails[type eq \"work\"",
        "emails[type eq \"work\"].",
        "emails[type eq \"work\"].value",
        "emails[emails[type pr]]",
        "shoeSize eq 44",
        "active gt true",
        "userName co 5",
        "not userName pr",
        "userName eq \"\\x\"",
        "\"ada\" eq userName",
        &deep,
        &many,
        &long,
    ] {
        assert!(filter(Resource::User, text).is_err(), "{text}");
    }
}

#[test]
fn paths_lead_to_what_is_kept_and_to_nothing_else() {
    for text in [
        "active",
        "members",
        "displayName",
        "members[value eq \"user_ab\"]",
        "urn:ietf:params:scim:schemas:core:2.0:Group:members[value eq \"a\"].value",
        "urn:ietf:params:scim:schemas:extension:x:2.0:Group:a[b eq \"c\"].d",
    ] {
        let resource = if text == "active" { Resource::User } else { Resource::Group };
        assert!(path(resource, text).is_ok(), "{text}");
    }
    for text in [
        "",
        "emails[",
        "emails[]",
        "emails[type eq \"work\"] .value x",
        "emails[type eq \"work\"]value",
        "userName.value",
        "userName[value eq \"x\"]",
        "shoeSize",
        "emails.value.value",
        "emails.value[type pr]",
        "a b",
    ] {
        assert!(path(Resource::User, text).is_err(), "{text}");
    }
}

#[test]
fn an_element_is_made_of_equations_alone() {
    let template = |text: &str| path(Resource::User, text).unwrap().filter.unwrap().template();

    let both = template("emails[type eq \"work\" and primary eq true].value").unwrap();
    assert_eq!(Value::Object(both), json!({ "type": "work", "primary": true }));
    assert_eq!(template("emails[type ne \"work\"]"), None);
    assert_eq!(template("emails[type eq \"work\" or type eq \"home\"]"), None);
    assert_eq!(template("emails[not (type eq \"work\")]"), None);
}

fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("userName"),
        Just("emails"),
        Just("["),
        Just("]"),
        Just("("),
        Just(")"),
        Just("\""),
        Just("\\"),
        Just("eq"),
        Just("pr"),
        Just("and"),
        Just("or"),
        Just("not"),
        Just("true"),
        Just("\"x\""),
        Just(".value"),
        Just(" "),
        Just("\u{fc}"),
        Just("1e9"),
        Just("null"),
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.join(" "))
}

proptest! {
    #[test]
    fn no_text_is_too_much(text in "\\PC{0,200}", pieces in pieces()) {
        for text in [&text, &pieces, &pieces.replace(' ', "")] {
            if let Ok(filter) = filter(Resource::User, text) {
                filter.matches(&ada());
            }
            let _ = path(Resource::User, text);
            let _ = path(Resource::Group, text);
        }
    }
}

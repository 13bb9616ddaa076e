//! What becomes of a resource by changes as Okta and Entra write them.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn patched(resource: Resource, before: &Value, changes: &Value) -> Result<Value, Failure> {
    let body = json!({ "Operations": changes });
    let mut fields = before.as_object().unwrap().clone();
    apply(resource, &mut fields, &operations(resource, &body)?)?;
    Ok(Value::Object(fields))
}

fn ada() -> Value {
    json!({
        "id": "user_ab", "userName": "ada", "active": true,
        "emails": [{ "value": "ada@example.com", "type": "work", "primary": true }],
    })
}

fn team() -> Value {
    json!({ "displayName": "dev", "members": [{ "value": "a" }, { "value": "b" }] })
}

#[test]
fn users_change_as_directories_say() {
    let work = json!([{ "value": "new@example.com", "type": "work", "primary": true }]);
    for (changes, field, after) in [
        (json!([{ "op": "replace", "value": { "active": false } }]), "active", json!(false)),
        (
            json!([{ "op": "Replace", "path": "active", "value": "False" }]),
            "active",
            json!("False"),
        ),
        (
            json!([{ "op": "replace", "path": "emails[type eq \"work\"].value",
                "value": "new@example.com" }]),
            "emails",
            work.clone(),
        ),
        (json!([{ "op": "replace", "value": { "emails": work } }]), "emails", work.clone()),
        (
            json!([{ "op": "Add", "value": { "emails[type eq \"work\"].value": "new@example.com",
                "name.givenName": "Ada", "id": "other", "shoeSize": 44,
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department": "x" } }]),
            "emails",
            work.clone(),
        ),
        (json!([{ "op": "remove", "path": "emails" }]), "emails", json!([])),
        (json!([{ "op": "REMOVE", "path": "emails[type eq \"work\"]" }]), "emails", json!([])),
        (json!([{ "op": "remove", "path": "active" }]), "active", Value::Null),
        (
            json!([{ "op": "replace", "path": "displayName", "value": null }]),
            "displayName",
            Value::Null,
        ),
        (
            json!([{ "op": "remove", "path": "emails[type eq \"work\"].primary" }]),
            "emails",
            json!([{ "value": "ada@example.com", "type": "work" }]),
        ),
        (json!([{ "op": "add", "path": "title", "value": "Countess" }]), "title", Value::Null),
    ] {
        let told = patched(Resource::User, &ada(), &changes).unwrap();

        assert_eq!(told.get(field).cloned().unwrap_or_default(), after, "{changes}");
        assert_eq!(told["id"], "user_ab");
        assert_eq!(told.as_object().unwrap().get("name"), None);
    }
}

#[test]
fn an_address_that_is_not_there_is_made() {
    let home = json!({ "type": "home", "value": "ada@home.example" });
    for op in ["add", "replace"] {
        let path = "emails[type eq \"home\"].value";
        let changes = json!([{ "op": op, "path": path, "value": "ada@home.example" }]);

        let told = patched(Resource::User, &ada(), &changes).unwrap();

        assert_eq!(told["emails"][1], home);
    }
}

#[test]
fn members_change_as_directories_say() {
    for (changes, after) in [
        (
            json!([{ "op": "Add", "path": "members", "value": [{ "$ref": null, "value": "c" }] }]),
            vec!["a", "b", "c"],
        ),
        (json!([{ "op": "add", "value": { "members": [{ "value": "c" }] } }]), vec!["a", "b", "c"]),
        (json!([{ "op": "Remove", "path": "members", "value": [{ "value": "a" }] }]), vec!["b"]),
        (json!([{ "op": "remove", "path": "members[value eq \"b\"]" }]), vec!["a"]),
        (json!([{ "op": "remove", "path": "members[value eq \"z\"]" }]), vec!["a", "b"]),
        (json!([{ "op": "remove", "path": "members", "value": [] }]), vec!["a", "b"]),
        (json!([{ "op": "remove", "path": "members" }]), vec![]),
        (json!([{ "op": "replace", "path": "members", "value": [{ "value": "z" }] }]), vec!["z"]),
        (json!([{ "op": "replace", "value": { "members": [] } }]), vec![]),
        (
            json!([
                { "op": "remove", "path": "members[value eq \"a\"]" },
                { "op": "add", "path": "members", "value": { "value": "d" } },
                { "op": "replace", "value": { "id": "x", "displayName": "devs" } },
            ]),
            vec!["b", "d"],
        ),
    ] {
        let told = patched(Resource::Group, &team(), &changes).unwrap();

        let members = told["members"].as_array().unwrap();
        let names: Vec<&str> = members.iter().map(|it| it["value"].as_str().unwrap()).collect();
        assert_eq!(names, after, "{changes}");
    }
}

#[test]
fn what_cannot_be_done_says_why() {
    let fault = |failure: Failure| {
        let body = failure.scim(failure.status());
        body["scimType"].as_str().unwrap().to_owned()
    };
    for (changes, word) in [
        (json!("x"), "invalidSyntax"),
        (json!([5]), "invalidSyntax"),
        (json!([{ "op": "move", "path": "active" }]), "invalidSyntax"),
        (json!([{ "op": "remove" }]), "noTarget"),
        (json!([{ "op": "add", "path": "active" }]), "invalidValue"),
        (json!([{ "op": "add", "value": "x" }]), "invalidValue"),
        (json!([{ "op": "add", "path": 5, "value": "x" }]), "invalidValue"),
        (json!([{ "op": "add", "path": "shoeSize", "value": "x" }]), "invalidPath"),
        (json!([{ "op": "add", "path": "emails[type", "value": "x" }]), "invalidPath"),
        (json!([{ "op": "replace", "path": "id", "value": "x" }]), "mutability"),
        (
            json!([{ "op": "replace", "path": "emails[type co \"x\"].value", "value": "x" }]),
            "noTarget",
        ),
        (
            json!([{ "op": "replace", "path": "emails[type eq \"work\"]", "value": "x" }]),
            "invalidValue",
        ),
        (json!(vec![json!({ "op": "remove", "path": "title" }); 1_001]), "tooMany"),
    ] {
        let failure = patched(Resource::User, &ada(), &changes).unwrap_err();

        assert_eq!(fault(failure), word, "{changes}");
    }
}

proptest! {
    #[test]
    fn no_change_is_too_much(
        op in "(?i)add|replace|remove|x",
        path in prop_oneof![
            Just("emails".to_owned()), Just("emails.value".to_owned()),
            Just("emails[type eq \"a\"]".to_owned()), Just("emails[value pr].type".to_owned()),
            "\\PC{0,20}",
        ],
        value in prop_oneof![
            Just(Value::Null), Just(json!("x")), Just(json!([[5], null, "x"])), Just(json!({})),
            Just(json!([{ "VALUE": 5 }])),
        ],
        bare in any::<bool>(),
    ) {
        let mut change = json!({ "op": op, "value": value });
        if !bare {
            change["path"] = Value::String(path);
        }
        let before = json!({ "emails": [5, null, { "value": "x" }, "text"] });
        let _ = patched(Resource::User, &before, &json!([change]));
    }
}

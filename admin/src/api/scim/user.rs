//! A user as SCIM has it (RFC 7643, section 4.1), and back.

use super::{
    answer::Base,
    attribute::{Resource, get},
    filter::flag,
    patch::list,
};
use crate::{api::objects::shape::age, failure::Failure};
use policies::document::{NAME_CHARS_MAX, User};
use serde_json::{Map, Value, json};

/// Characters of a text of a directory, at most.
const TEXT_CHARS_MAX: usize = 256;

/// What is kept of a user that a directory wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) external_id: Option<String>,
    pub(super) display_name: Option<String>,
    pub(super) email: Option<String>,
    /// None: as it is, or as users are at first.
    pub(super) active: Option<bool>,
}

pub(super) fn shown(id: [u8; 16], user: &User, base: &Base) -> Map<String, Value> {
    let mut fields = head(Resource::User, id, base);
    fields.insert("userName".to_owned(), json!(user.name));
    fields.insert("active".to_owned(), json!(user.active));
    optional(&mut fields, "externalId", user.external_id.as_deref());
    optional(&mut fields, "displayName", user.display_name.as_deref());
    if let Some(email) = &user.email {
        let email = json!([{ "value": email, "type": "work", "primary": true }]);
        fields.insert("emails".to_owned(), email);
    }
    fields
}

/// What every resource has.
pub(super) fn head(resource: Resource, id: [u8; 16], base: &Base) -> Map<String, Value> {
    let text = resource.kind().id_text(id);
    let meta = json!({
        "resourceType": resource.word(),
        "created": age(id).rfc3339(),
        "location": base.of_one(resource, &text),
    });
    Map::from_iter([
        ("schemas".to_owned(), json!([resource.schema()])),
        ("id".to_owned(), Value::String(text)),
        ("meta".to_owned(), meta),
    ])
}

pub(super) fn optional(fields: &mut Map<String, Value>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        fields.insert(name.to_owned(), Value::from(value));
    }
}

/// Reads a whole user. What Penstock does not keep may be there, and is not looked at.
pub(super) fn read(fields: &Map<String, Value>) -> Result<Person, Failure> {
    let active = match get(fields, "active") {
        None | Some(Value::Null) => None,
        Some(value) => {
            let read = flag(value).ok_or_else(|| Failure::invalid("active", "is true or false"));
            Some(read?)
        }
    };
    Ok(Person {
        name: name(fields, "userName")?,
        external_id: text(fields, "externalId")?,
        display_name: text(fields, "displayName")?,
        email: email(fields)?,
        active,
    })
}

/// The attribute that names a resource.
pub(super) fn name(fields: &Map<String, Value>, attribute: &str) -> Result<String, Failure> {
    let name = text(fields, attribute)?;
    let name = name.ok_or_else(|| Failure::invalid(attribute, "is missing"))?;
    if NAME_CHARS_MAX < name.chars().count() {
        let message = format!("has more than {NAME_CHARS_MAX} characters");
        return Err(Failure::invalid(attribute, message));
    }
    if name.trim() != name {
        return Err(Failure::invalid(attribute, "has white space around it"));
    }
    Ok(name)
}

/// A text; one that is empty is none.
pub(super) fn text(fields: &Map<String, Value>, name: &str) -> Result<Option<String>, Failure> {
    match get(fields, name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => bounded(name, text),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Err(Failure::invalid(name, "must be text"))
        }
    }
}

fn bounded(name: &str, text: &str) -> Result<Option<String>, Failure> {
    if TEXT_CHARS_MAX < text.chars().count() {
        let message = format!("has more than {TEXT_CHARS_MAX} characters");
        return Err(Failure::invalid(name, message));
    }
    if text.chars().any(char::is_control) {
        return Err(Failure::invalid(name, "has control characters"));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// The one address that is kept: the primary one, else that at work, else the first.
fn email(fields: &Map<String, Value>) -> Result<Option<String>, Failure> {
    let Some(listed) = get(fields, "emails") else { return Ok(None) };
    let (mut primary, mut at_work, mut first) = (None, None, None);
    for element in list(listed) {
        let element = element.as_object();
        let element = element.ok_or_else(|| Failure::invalid("emails", "must be a list"))?;
        let Some(value) = text(element, "value")? else { continue };
        let is = |name: &str, wanted: &str| {
            let found = get(element, name).and_then(Value::as_str);
            found.is_some_and(|it| it.eq_ignore_ascii_case(wanted))
        };
        // One that is made primary takes the place of the one before (RFC 7644, section 3.5.2).
        if get(element, "primary").and_then(flag) == Some(true) {
            primary = Some(value.clone());
        }
        if is("type", "work") && at_work.is_none() {
            at_work = Some(value.clone());
        }
        first = first.or(Some(value));
    }
    Ok(primary.or(at_work).or(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &Value) -> Result<Person, Failure> {
        read(value.as_object().unwrap())
    }

    #[test]
    fn a_user_is_read_in_any_case_and_without_what_is_not_kept() {
        let written = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "USERNAME": "ada", "Active": "False", "displayname": "Ada", "externalId": "00u1",
            "name": { "givenName": "Ada" }, "password": "x", "roles": ["owner"],
            "phoneNumbers": [5], "emails": [{ "Value": "ada@example.com" }],
        });

        let person = Person {
            name: "ada".to_owned(),
            external_id: Some("00u1".to_owned()),
            display_name: Some("Ada".to_owned()),
            email: Some("ada@example.com".to_owned()),
            active: Some(false),
        };
        assert_eq!(of(&written), Ok(person));
    }

    #[test]
    fn one_address_is_kept_and_it_is_the_right_one() {
        let (home, work) = (json!({ "value": "h", "type": "home" }), json!({ "value": "w" }));
        let at_work = json!({ "value": "w", "type": "Work" });
        let primary = json!({ "value": "p", "primary": "True" });
        let newer = json!({ "value": "n", "primary": true });
        for (emails, kept) in [
            (json!([home, work]), Some("h")),
            (json!([home, at_work]), Some("w")),
            (json!([home, at_work, primary]), Some("p")),
            (json!([primary, newer]), Some("n")),
            (json!(home), Some("h")),
            (json!("bare"), Some("bare")),
            (json!([{ "type": "work" }]), None),
            (json!([]), None),
            (Value::Null, None),
        ] {
            let person = of(&json!({ "userName": "ada", "emails": emails })).unwrap();
            assert_eq!(person.email.as_deref(), kept, "{emails}");
        }
    }

    #[test]
    fn what_does_not_hold_is_named() {
        for (written, field) in [
            (json!({}), "userName"),
            (json!({ "userName": "" }), "userName"),
            (json!({ "userName": 5 }), "userName"),
            (json!({ "userName": " ada" }), "userName"),
            (json!({ "userName": "a\u{0}b" }), "userName"),
            (json!({ "userName": "x".repeat(129) }), "userName"),
            (json!({ "userName": "ada", "active": "perhaps" }), "active"),
            (json!({ "userName": "ada", "displayName": ["Ada"] }), "displayName"),
            (json!({ "userName": "ada", "externalId": "x".repeat(257) }), "externalId"),
            (json!({ "userName": "ada", "emails": [[]] }), "emails"),
            (json!({ "userName": "ada", "emails": [{ "value": 5 }] }), "value"),
        ] {
            let Err(Failure::Invalid(mistakes)) = of(&written) else { panic!("{written}") };
            assert_eq!(mistakes[0].field, field, "{written}");
        }
    }
}

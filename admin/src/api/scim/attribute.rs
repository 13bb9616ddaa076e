//! The attributes of users and groups (RFC 7643, sections 3.1 and 4), and which of them are kept.

use policies::document::Kind;
use serde_json::{Map, Value};

/// What a directory provisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    User,
    Group,
}

/// What becomes of an attribute that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeping {
    Kept,
    /// Made by Penstock.
    ReadOnly,
    /// Directories send it always; Penstock has no use for it.
    Ignored,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Attribute {
    pub(super) name: &'static str,
    pub(super) keeping: Keeping,
    /// It is a list.
    pub(super) many: bool,
}

/// The attribute that a path begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Ours(&'static Attribute),
    /// Of an extension: none is kept.
    Foreign,
}

const fn kept(name: &'static str) -> Attribute {
    Attribute { name, keeping: Keeping::Kept, many: false }
}

const fn list(name: &'static str) -> Attribute {
    Attribute { name, keeping: Keeping::Kept, many: true }
}

const fn fixed(name: &'static str) -> Attribute {
    Attribute { name, keeping: Keeping::ReadOnly, many: false }
}

const fn ignored(name: &'static str) -> Attribute {
    Attribute { name, keeping: Keeping::Ignored, many: false }
}

const USER: &[Attribute] = &[
    fixed("schemas"),
    fixed("id"),
    fixed("meta"),
    fixed("groups"),
    kept("userName"),
    kept("externalId"),
    kept("displayName"),
    kept("active"),
    list("emails"),
    ignored("name"),
    ignored("nickName"),
    ignored("profileUrl"),
    ignored("title"),
    ignored("userType"),
    ignored("preferredLanguage"),
    ignored("locale"),
    ignored("timezone"),
    ignored("password"),
    ignored("phoneNumbers"),
    ignored("ims"),
    ignored("photos"),
    ignored("addresses"),
    ignored("entitlements"),
    // A directory gives roles through groups, never by hand.
    ignored("roles"),
    ignored("x509Certificates"),
];

const GROUP: &[Attribute] = &[
    fixed("schemas"),
    fixed("id"),
    fixed("meta"),
    kept("displayName"),
    kept("externalId"),
    list("members"),
];

impl Resource {
    pub(super) const ALL: [Self; 2] = [Self::User, Self::Group];

    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::User => Kind::User,
            Self::Group => Kind::Group,
        }
    }

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
        }
    }

    /// Its place below `/scim/v2`.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::User => "/Users",
            Self::Group => "/Groups",
        }
    }

    pub(super) const fn schema(self) -> &'static str {
        match self {
            Self::User => "urn:ietf:params:scim:schemas:core:2.0:User",
            Self::Group => "urn:ietf:params:scim:schemas:core:2.0:Group",
        }
    }

    const fn attributes(self) -> &'static [Attribute] {
        match self {
            Self::User => USER,
            Self::Group => GROUP,
        }
    }

    /// Reads `userName`, `emails.value`, with or without the schema's name in front: the attribute,
    /// and the name below it. None: it is not written so, or there is no such attribute.
    pub(super) fn named(self, text: &str) -> Option<(Named, Option<&str>)> {
        let plain = match prefixed(text, self.schema()) {
            Some(rest) => rest.strip_prefix(':')?,
            None if prefixed(text, "urn:").is_some() => return Some((Named::Foreign, None)),
            None => text,
        };
        let (name, sub) = match plain.split_once('.') {
            Some((name, sub)) => (name, Some(sub)),
            None => (plain, None),
        };
        if sub.is_some_and(|sub| !is_name(sub)) {
            return None;
        }
        let known = self.attributes().iter().find(|it| it.name.eq_ignore_ascii_case(name));
        known.map(|it| (Named::Ours(it), sub))
    }
}

/// The rest of `text` behind a prefix in any case.
fn prefixed<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// The name of an attribute (RFC 7643, section 2.1), or `$ref`.
pub(super) fn is_name(text: &str) -> bool {
    let text = text.strip_prefix('$').unwrap_or(text);
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// A field by its name in any case (RFC 7643, section 2.1).
pub(super) fn get<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.get(name).or_else(|| {
        let found = fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    })
}

/// Sets a field whose name may stand there in another case.
pub(super) fn set(fields: &mut Map<String, Value>, name: &str, value: Value) {
    remove(fields, name);
    fields.insert(name.to_owned(), value);
}

pub(super) fn remove(fields: &mut Map<String, Value>, name: &str) {
    fields.retain(|known, _| !known.eq_ignore_ascii_case(name));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_is_known_in_any_case_and_with_its_schema() {
        for (text, name, sub) in [
            ("userName", "userName", None),
            ("USERNAME", "userName", None),
            ("emails.value", "emails", Some("value")),
            ("urn:ietf:params:scim:schemas:core:2.0:user:Active", "active", None),
            ("URN:ietf:params:scim:schemas:core:2.0:User:emails.type", "emails", Some("type")),
        ] {
            let (named, below) = Resource::User.named(text).unwrap();
            let Named::Ours(attribute) = named else { panic!("{text}") };
            assert_eq!((attribute.name, below), (name, sub));
        }
        let enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department";
        assert_eq!(Resource::User.named(enterprise), Some((Named::Foreign, None)));
        for text in ["", ".", "userName.", "emails.a b", "shoeSize", "members", "\u{e9}", "user"] {
            assert_eq!(Resource::User.named(text), None, "{text}");
        }
    }
}

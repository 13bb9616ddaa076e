//! A group as SCIM has it (RFC 7643, section 4.2), and back.

use super::{
    answer::Base,
    attribute::{Resource, get},
    patch::list,
    user::{head, name, optional, text},
};
use crate::failure::Failure;
use policies::document::{Document, Group, Kind, Object};
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};

/// Members of one group, at most.
pub(super) const MEMBERS_MAX: usize = 50_000;

/// What is kept of a group that a directory wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Team {
    pub(super) name: String,
    pub(super) external_id: Option<String>,
    /// Ids of users, each once.
    pub(super) members: Vec<[u8; 16]>,
}

/// Ids and names of users, found without a search.
pub(super) struct Roll<'a> {
    ids: HashMap<&'a str, [u8; 16]>,
    names: HashMap<[u8; 16], &'a str>,
}

impl<'a> Roll<'a> {
    pub(super) fn new(objects: &'a [Object]) -> Self {
        let users = || objects.iter().filter(|it| it.document.kind() == Kind::User);
        Self {
            ids: users().map(|it| (it.document.name(), it.id)).collect(),
            names: users().map(|it| (it.id, it.document.name())).collect(),
        }
    }

    /// The names of users.
    ///
    /// # Errors
    /// There is none with this id in the org, whether in another or nowhere.
    pub(super) fn names(&self, ids: &[[u8; 16]]) -> Result<Vec<String>, Failure> {
        let name = |id: &[u8; 16]| self.names.get(id).map(|name| (*name).to_owned());
        ids.iter().map(|id| name(id).ok_or_else(nobody)).collect()
    }
}

fn nobody() -> Failure {
    Failure::invalid("members", "one of them is not the id of a user")
}

/// The group, with its members if there is a roll to find them in.
pub(super) fn shown(
    object: &Object,
    base: &Base,
    roll: Option<&Roll<'_>>,
) -> Option<Map<String, Value>> {
    let Document::Group(group) = &object.document else { return None };
    let mut fields = head(Resource::Group, object.id, base);
    fields.insert("displayName".to_owned(), json!(group.name));
    optional(&mut fields, "externalId", group.external_id.as_deref());
    if let Some(roll) = roll {
        fields.insert("members".to_owned(), Value::Array(members(group, base, roll)));
    }
    Some(fields)
}

fn members(group: &Group, base: &Base, roll: &Roll<'_>) -> Vec<Value> {
    let mut seen = HashSet::new();
    let member = |name: &String| {
        let id = roll.ids.get(name.as_str()).filter(|id| seen.insert(**id))?;
        let id = Kind::User.id_text(*id);
        let place = base.of_one(Resource::User, &id);
        Some(json!({ "value": id, "display": name, "type": "User", "$ref": place }))
    };
    group.members.iter().filter_map(member).collect()
}

/// Reads a whole group.
pub(super) fn read(fields: &Map<String, Value>) -> Result<Team, Failure> {
    let mut members = Vec::new();
    let mut seen = HashSet::new();
    for element in get(fields, "members").map(list).unwrap_or_default() {
        let value = element.as_object().and_then(|it| get(it, "value")?.as_str());
        let id = value.and_then(|text| Kind::User.parse_id(text).ok()).ok_or_else(nobody)?;
        if seen.insert(id) {
            members.push(id);
        }
    }
    if MEMBERS_MAX < members.len() {
        return Err(Failure::invalid("members", format!("are more than {MEMBERS_MAX}")));
    }
    Ok(Team {
        name: name(fields, "displayName")?,
        external_id: text(fields, "externalId")?,
        members,
    })
}

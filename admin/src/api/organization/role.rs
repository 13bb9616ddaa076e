//! Roles as OpenAI words them: `owner` and `reader` in the org, `owner` and `member` in a project.

use super::find;
use crate::failure::Failure;
use policies::{
    document::{Kind, Object},
    role::{Level, Role},
};
use std::collections::BTreeSet;

/// Roles of the org, the mightiest first: one word must do where several are held.
const BY_MIGHT: [Role; 7] = [
    Role::Operator,
    Role::Owner,
    Role::Admin,
    Role::Security,
    Role::Billing,
    Role::Auditor,
    Role::Provisioner,
];

/// What OpenAI calls somebody who has no role in the org but that of every member.
const READER: &str = "reader";

/// The one word for the roles that somebody has in the org.
pub(super) fn in_org(roles: &BTreeSet<String>) -> &str {
    let built_in = BY_MIGHT.iter().map(|role| role.word()).find(|word| roles.contains(*word));
    let own = || roles.iter().map(String::as_str).find(|word| *word != Role::Member.word());
    built_in.or_else(own).unwrap_or(READER)
}

/// The roles that a word for the org stands for; the words of Penstock are good too.
pub(super) fn for_org(objects: &[Object], word: &str) -> Result<Vec<String>, Failure> {
    if word == READER || word == Role::Member.word() {
        return Ok(Vec::new());
    }
    let name = named(objects, word);
    let built_in = Role::from_word(&name).map(Role::level);
    match built_in == Some(Level::Org) || find::by_name(objects, Kind::Role, &name).is_some() {
        true => Ok(vec![name]),
        false => Err(unknown(word, "`owner`, `reader`, or a role of the org")),
    }
}

/// The word for a role in a project.
pub(super) fn in_project(role: &str) -> &str {
    match Role::from_word(role) {
        Some(Role::ProjectAdmin) => "owner",
        Some(Role::Developer) => "member",
        Some(_) | None => role,
    }
}

/// The role that a word for a project stands for; the words of Penstock are good too.
pub(super) fn for_project(objects: &[Object], word: &str) -> Result<String, Failure> {
    let name = match word {
        "owner" => Role::ProjectAdmin.word().to_owned(),
        "member" => Role::Developer.word().to_owned(),
        other => named(objects, other),
    };
    let built_in = Role::from_word(&name).map(Role::level);
    match built_in == Some(Level::Project) || find::by_name(objects, Kind::Role, &name).is_some() {
        true => Ok(name),
        false => Err(unknown(word, "`owner`, `member`, or a role of a project")),
    }
}

/// The name of the org's own role of this id; any other word is a name itself.
fn named(objects: &[Object], word: &str) -> String {
    let id = Kind::Role.parse_id(word).ok();
    let found = id.and_then(|id| find::by_id(objects, Kind::Role, id).ok());
    found.map_or_else(|| word.to_owned(), |role| role.document.name().to_owned())
}

fn unknown(word: &str, known: &str) -> Failure {
    let word: String = word.chars().take(64).collect();
    Failure::invalid("role", format!("`{word}` is not {known}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_go_both_ways() {
        for (role, word) in
            [("project_admin", "owner"), ("developer", "member"), ("viewer", "viewer")]
        {
            assert_eq!(in_project(role), word);
            assert_eq!(for_project(&[], word).unwrap(), role);
        }
        for word in ["owner", "admin", "auditor"] {
            assert_eq!(in_org(&BTreeSet::from([word.to_owned(), "member".to_owned()])), word);
            assert_eq!(for_org(&[], word).unwrap(), [word]);
        }
        assert_eq!(in_org(&BTreeSet::new()), "reader");
        assert_eq!(for_org(&[], "reader").unwrap(), [""; 0]);
    }

    #[test]
    fn a_role_of_another_level_is_none() {
        for word in ["viewer", "project_admin", "operator", "", "role_00"] {
            assert!(for_org(&[], word).is_err(), "{word}");
        }
        for word in ["reader", "admin", "operator", "member "] {
            assert!(for_project(&[], word).is_err(), "{word}");
        }
    }
}

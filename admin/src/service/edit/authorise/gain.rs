//! Nobody gains more by a change than its editor has.

use super::promises;
use crate::{failure::Failure, services::Known};
use policies::{
    authority,
    document::{Document, Kind, Object},
    ids::{ServiceAccountId, UserId},
    permission::{Permission, Permissions},
    rights::{Reach, Rights},
    role::{self, Role},
};
use std::collections::HashMap;

/// What whoever may choose the members of a project can give there without having it.
const BY_MEMBERSHIP: Permissions =
    Permissions::of(&[Permission::Infer, Permission::ListModels, Permission::ReadOwnRequests]);

/// Nobody gets more out of the change than its editor has: whoever is given a right, by role,
/// group, unit, membership or key, is compared before and after.
pub(in super::super) fn no_more_than(
    editor: &Rights,
    known: &Known,
    after: &[Object],
) -> Result<(), Failure> {
    let before = &known.authority;
    let now = authority::compile(before.org, after);
    let none = Rights::default();
    let people = now.users.iter().map(|(id, it)| {
        (before.users.get(id).map_or(&none, |old| &old.rights), &it.rights, it.name.as_str())
    });
    let machines = now.service_accounts.iter().map(|(id, it)| {
        let old = before.service_accounts.get(id).map_or(&none, |old| &old.rights);
        (old, &it.rights, it.name.as_str())
    });
    let old_keys: HashMap<_, _> = before.admin_keys.values().map(|it| (it.id, it)).collect();
    let keys = now.admin_keys.iter().map(|(hash, it)| {
        // Another secret makes it a new credential in somebody's hands.
        let same = before.admin_keys.contains_key(hash);
        let old = old_keys.get(&it.id).filter(|_| same).map_or(&none, |old| &old.rights);
        (old, &it.rights, it.name.as_str())
    });
    for (old, new, name) in people.chain(machines).chain(keys) {
        may_gain(editor, old, new, name)?;
    }
    touches_nobody_above(editor, known, after)?;
    roles_within(editor, known, after)?;
    promises::within(editor, known, after)
}

/// Whoever could set the address, identity or key of somebody who has more would become them.
fn touches_nobody_above(editor: &Rights, known: &Known, after: &[Object]) -> Result<(), Failure> {
    let left: HashMap<[u8; 16], &Document> = after.iter().map(|it| (it.id, &it.document)).collect();
    let (authority, none) = (&known.authority, Rights::default());
    for object in &known.settings.objects {
        if left.get(&object.id) == Some(&&object.document) {
            continue;
        }
        let kind = object.document.kind();
        let held = if kind == Kind::User {
            authority.users.get(&UserId::from_bytes(object.id)).map(|it| &it.rights)
        } else if kind == Kind::ServiceAccount {
            let id = ServiceAccountId::from_bytes(object.id);
            authority.service_accounts.get(&id).map(|it| &it.rights)
        } else if kind == Kind::AdminKey {
            let mut keys = authority.admin_keys.values();
            keys.find(|it| *it.id.as_bytes() == object.id).map(|it| &it.rights)
        } else {
            None
        };
        if let Some(held) = held {
            may_gain(editor, &none, held, object.document.name())?;
        }
    }
    Ok(())
}

pub(super) fn may_gain(
    editor: &Rights,
    old: &Rights,
    new: &Rights,
    name: &str,
) -> Result<(), Failure> {
    // A user has what every member has; nobody gives that.
    let free = Role::Member.permissions();
    let units = new.units.keys().map(|id| Reach::Unit(*id));
    let projects = new.projects.keys().map(|id| Reach::Project(*id));
    for reach in [Reach::Org].into_iter().chain(units).chain(projects) {
        let gained = new.at(reach).without(old.at(reach)).without(free);
        let held = editor.at(reach);
        let by_membership = match held.has(Permission::WriteMembers) && reach != Reach::Org {
            true => BY_MEMBERSHIP,
            false => Permissions::NONE,
        };
        let missing = gained.without(held.join(by_membership));
        if let Some(permission) = missing.iter().next() {
            let what = format!("`{name}` would get `{}`, which you have not", permission.word());
            return Err(Failure::Escalation { what });
        }
    }
    Ok(())
}

/// A role of the org's own may be given to somebody later: it holds nothing that its editor lacks.
fn roles_within(editor: &Rights, known: &Known, after: &[Object]) -> Result<(), Failure> {
    let before: HashMap<[u8; 16], Permissions> =
        known.settings.objects.iter().filter_map(role_permissions).collect();
    for (id, held) in after.iter().filter_map(role_permissions) {
        let gained = held.without(before.get(&id).copied().unwrap_or_default());
        let by_membership = match editor.org.has(Permission::WriteMembers) {
            true => BY_MEMBERSHIP,
            false => Permissions::NONE,
        };
        if let Some(it) = gained.without(editor.org.join(by_membership)).iter().next() {
            let what = format!("the role would hold `{}`, which you have not", it.word());
            return Err(Failure::Escalation { what });
        }
    }
    Ok(())
}

fn role_permissions(object: &Object) -> Option<([u8; 16], Permissions)> {
    let Document::Role(role) = &object.document else { return None };
    let words = role.permissions.iter().filter_map(|word| Permission::from_word(word));
    let held = Permissions::of(&words.collect::<Vec<_>>()).meet(role::CUSTOM_MAX);
    Some((object.id, held))
}

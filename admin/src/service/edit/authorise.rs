//! Whether a change of settings is the editor's to make. A child grant is never more than its
//! maker has.

pub(super) mod outward;

use super::{Editor, record::Difference};
use crate::{failure::Failure, services::Known};
use policies::{
    authority::{self, Authority, INSTALLATION},
    document::{Decided, Document, Kind, Object, Owner, Project, Unit},
    ids::{ProjectId, ServiceAccountId, UnitId, UserId},
    permission::{Permission, Permissions},
    rights::{Reach, Rights},
    role::{self, Level, Role},
};
use std::collections::HashMap;

/// What whoever may choose the members of a project can give there without having it.
const BY_MEMBERSHIP: Permissions =
    Permissions::of(&[Permission::Infer, Permission::ListModels, Permission::ReadOwnRequests]);

/// A file may own objects: then no other editor changes them, and none takes ownership.
pub(super) fn unlocked(differences: &[Difference<'_>]) -> Result<(), Failure> {
    for difference in differences {
        if difference.before.is_some_and(Document::locked) {
            return Err(Failure::Locked);
        }
        if difference.after.is_some_and(Document::locked) {
            return Err(Failure::invalid("locked", "only a file that is applied may lock"));
        }
    }
    Ok(())
}

/// Each difference needs its permission where the object was and where it is.
pub(super) fn each(
    editor: &Editor,
    rights: &Rights,
    before: &[Object],
    after: &[Object],
    differences: &[Difference<'_>],
) -> Result<(), Failure> {
    for difference in differences {
        for (document, objects) in [(difference.before, before), (difference.after, after)] {
            let Some(document) = document else { continue };
            // What merely follows a new name elsewhere is not the editor's doing.
            if is_echo(difference, differences) {
                continue;
            }
            let asking = Asking { editor, rights, objects, difference };
            asking.about(document)?;
        }
    }
    Ok(())
}

/// Whether the object differs only because something that it refers to has a new name.
fn is_echo(difference: &Difference<'_>, differences: &[Difference<'_>]) -> bool {
    let (Some(before), Some(after)) = (difference.before, difference.after) else { return false };
    let mut followed = before.clone();
    for other in differences {
        let (Some(old), Some(new)) = (other.before, other.after) else { continue };
        if old.name() != new.name() && other.id != difference.id {
            for (_, kind, name) in followed.references() {
                if kind == old.kind() && name.as_str() == old.name() {
                    new.name().clone_into(name);
                }
            }
            if new.kind() == Kind::Org {
                crate::service::apply::set_org(&mut followed, new.name());
            }
        }
    }
    &followed == after
}

struct Asking<'a> {
    editor: &'a Editor,
    rights: &'a Rights,
    objects: &'a [Object],
    difference: &'a Difference<'a>,
}

impl Asking<'_> {
    fn about(&self, document: &Document) -> Result<(), Failure> {
        let reach = authority::reach(document, self.objects);
        match document {
            Document::Project(project) => self.project(project, reach),
            Document::Unit(unit) => self.unit(unit, reach),
            Document::Key(key) => {
                if self.rights.allow(Permission::WriteKeys, Reach::Org) {
                    return Ok(());
                }
                match self.rights.allow(Permission::WriteKeys, reach) {
                    true => self.owner_in_project(&key.owner, &key.project, reach),
                    false => self.own_key(&key.owner, reach),
                }
            }
            Document::ServiceAccount(account) => {
                let high = account.act_for.is_some() || !account.roles.is_empty();
                let reach = if high { Reach::Org } else { reach };
                self.must(Permission::WriteServiceAccounts, reach)
            }
            Document::LimitRequest(request) => {
                let mine = self.user_name().as_deref() == Some(request.by.as_str());
                let new = self.difference.before.is_none();
                let open = matches!(request.state, Decided::Pending | Decided::Withdrawn);
                if mine && (new || open) {
                    let held = self.rights.allow_somewhere(Permission::AskForMore);
                    let permission = Permission::AskForMore.word();
                    return if held { Ok(()) } else { Err(Failure::Forbidden { permission }) };
                }
                self.must(Permission::DecideRequests, Reach::Org)
            }
            Document::Provider(_) if self.only_secret_differs() => {
                self.must(Permission::WriteCredentials, Reach::Org)
            }
            Document::Org(_)
            | Document::Role(_)
            | Document::IdentityProvider(_)
            | Document::WorkloadIdentity(_)
            | Document::User(_)
            | Document::Group(_)
            | Document::AdminKey(_)
            | Document::Invite(_)
            | Document::Provider(_)
            | Document::Deployment(_)
            | Document::Tier(_)
            | Document::Model(_)
            | Document::Price(_)
            | Document::Limit(_)
            | Document::Budget(_)
            | Document::Policy(_) => self.must(authority::to_write(document.kind()), reach),
        }
    }

    fn must(&self, permission: Permission, reach: Reach) -> Result<(), Failure> {
        match self.rights.allow(permission, reach) {
            true => Ok(()),
            false => Err(Failure::Forbidden { permission: permission.word() }),
        }
    }

    fn only_secret_differs(&self) -> bool {
        let (Some(before), Some(after)) = (self.difference.before, self.difference.after) else {
            return false;
        };
        let (mut before, mut after) = (before.clone(), after.clone());
        for document in [&mut before, &mut after] {
            if let Document::Provider(provider) = document {
                provider.credential = None;
            }
        }
        before == after
    }

    /// Its members are its admins' to choose, and its name; all else is the unit's or the org's.
    fn project(&self, project: &Project, reach: Reach) -> Result<(), Failure> {
        let above = project.unit.as_deref().and_then(|unit| self.unit_reach(unit));
        let above = above.unwrap_or(Reach::Org);
        let (before, after) = (self.difference.before, self.difference.after);
        let (Some(Document::Project(before)), Some(Document::Project(after))) = (before, after)
        else {
            return self.must(Permission::CreateProjects, above);
        };
        if before.members != after.members {
            self.must(Permission::WriteMembers, reach)?;
        }
        let bare =
            |it: &Project| Project { name: String::new(), members: Vec::new(), ..it.clone() };
        if bare(before) != bare(after) {
            return self.must(Permission::WriteProjects, above);
        }
        if before.name != after.name {
            self.must(Permission::WriteProjects, reach)?;
        }
        Ok(())
    }

    fn unit(&self, unit: &Unit, reach: Reach) -> Result<(), Failure> {
        let above = unit.parent.as_deref().and_then(|unit| self.unit_reach(unit));
        let above = above.unwrap_or(Reach::Org);
        let (before, after) = (self.difference.before, self.difference.after);
        let (Some(Document::Unit(before)), Some(Document::Unit(after))) = (before, after) else {
            return self.must(Permission::WriteUnits, above);
        };
        let bare = |it: &Unit| Unit { name: String::new(), admins: Vec::new(), ..it.clone() };
        let reach = if bare(before) == bare(after) { reach } else { above };
        self.must(Permission::WriteUnits, reach)
    }

    fn unit_reach(&self, name: &str) -> Option<Reach> {
        let unit = self.objects.iter().find(|object| {
            object.document.kind() == Kind::Unit && object.document.name() == name
        })?;
        Some(Reach::Unit(UnitId::from_bytes(unit.id)))
    }

    /// Keys of a project are for its members and machines; not for a machine that may act for
    /// people, whose key is more than the project.
    fn owner_in_project(&self, owner: &Owner, project: &str, reach: Reach) -> Result<(), Failure> {
        let here = match owner {
            Owner::ServiceAccount(name) => self.objects.iter().any(|object| {
                let Document::ServiceAccount(it) = &object.document else { return false };
                let of_project = it.project.as_deref() == Some(project);
                it.name == *name && of_project && it.act_for.is_none()
            }),
            Owner::User(name) => {
                let roster = authority::Roster::new(self.objects);
                self.objects.iter().any(|object| {
                    let Document::User(user) = &object.document else { return false };
                    let rights = &roster.person(user).rights;
                    user.name == *name && rights.allow(Permission::Infer, reach)
                })
            }
        };
        if here || self.difference.after.is_none() {
            return Ok(());
        }
        let what = "a project's keys are for its members and its own service accounts";
        Err(Failure::Escalation { what: what.to_owned() })
    }

    /// A key of one's own, where the org allows them; anyone may give one's own key up.
    fn own_key(&self, owner: &Owner, reach: Reach) -> Result<(), Failure> {
        let forbidden = Failure::Forbidden { permission: Permission::WriteKeys.word() };
        let Owner::User(name) = owner else { return Err(forbidden) };
        if self.user_name().as_deref() != Some(name.as_str()) {
            return Err(forbidden);
        }
        let allowed = self
            .objects
            .iter()
            .any(|object| matches!(&object.document, Document::Org(org) if org.personal_keys));
        let gives_up = self.difference.after.is_none();
        match gives_up || (allowed && self.rights.allow(Permission::Infer, reach)) {
            true => Ok(()),
            false => Err(forbidden),
        }
    }

    fn user_name(&self) -> Option<String> {
        let user = self.editor.user?;
        let found = self
            .objects
            .iter()
            .find(|object| object.document.kind() == Kind::User && object.id == *user.as_bytes())?;
        Some(found.document.name().to_owned())
    }
}

/// Nobody gets more out of the change than its editor has: whoever is given a right, by role,
/// group, unit, membership or key, is compared before and after.
pub(super) fn no_more_than(
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
    roles_within(editor, known, after)
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

fn may_gain(editor: &Rights, old: &Rights, new: &Rights, name: &str) -> Result<(), Failure> {
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
    let roster = authority::Roster::new(after);
    for object in after.iter().filter(|it| !known.settings.objects.contains(it)) {
        let Document::Invite(invite) = &object.document else { continue };
        let org = invite.roles.iter().map(|role| roster.permissions(role, Level::Org));
        let mut promised =
            Rights { org: org.fold(Permissions::NONE, Permissions::join), ..Rights::default() };
        for to in &invite.projects {
            if let Some(id) = roster.id(Kind::Project, &to.project) {
                let held = roster.permissions(&to.role, Level::Project);
                promised.add_project(ProjectId::from_bytes(id), held);
            }
        }
        may_gain(editor, &Rights::default(), &promised, &invite.email)?;
    }
    Ok(())
}

fn role_permissions(object: &Object) -> Option<([u8; 16], Permissions)> {
    let Document::Role(role) = &object.document else { return None };
    let words = role.permissions.iter().filter_map(|word| Permission::from_word(word));
    let held = Permissions::of(&words.collect::<Vec<_>>()).meet(role::CUSTOM_MAX);
    Some((object.id, held))
}

/// An org that has an owner keeps one.
pub(super) fn somebody_owns(known: &Known, after: &[Object]) -> Result<(), Failure> {
    let top = match known.authority.org == INSTALLATION {
        true => Permission::Operate,
        false => Permission::OwnOrg,
    };
    let owners = |authority: &Authority| {
        let held = authority.users.values().filter(|person| person.active);
        held.filter(|person| person.rights.org.has(top)).count()
    };
    if 0 < owners(&known.authority) && owners(&authority::compile(known.authority.org, after)) == 0
    {
        return Err(Failure::invalid("roles", "nobody would own the org any more"));
    }
    Ok(())
}

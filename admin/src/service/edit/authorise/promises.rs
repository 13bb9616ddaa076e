//! What gives nobody anything yet, and will give it later: a group that a directory fills, an
//! invite that is taken up, a key whose owner is promoted. It is held against its maker now.

use super::{Asking, may_gain};
use crate::{failure::Failure, services::Known};
use policies::{
    authority::Roster,
    document::{AdminKey, Document, Kind, Object, Owner, Subject},
    ids::{ProjectId, ServiceAccountId},
    permission::{Permission, Permissions},
    rights::{Reach, Rights},
    role::Level,
    time::Timestamp,
};
use std::collections::HashMap;

/// Every promise that is new, or is changed in any way, is within what the editor has.
pub(super) fn within(editor: &Rights, known: &Known, after: &[Object]) -> Result<(), Failure> {
    let before = &known.settings.objects;
    let (old, new) = (Roster::new(before), Roster::new(after));
    let stored: HashMap<[u8; 16], &Document> =
        before.iter().map(|it| (it.id, &it.document)).collect();
    for object in after {
        let was = stored.get(&object.id).copied();
        if let Document::Invite(_) = &object.document
            && was != Some(&object.document)
        {
            let promised = promised(&new, &object.document);
            may_gain(editor, &Rights::default(), &promised, object.document.name())?;
        }
        let Document::Group(_) = &object.document else { continue };
        let (mut had, has) = (Rights::default(), promised(&new, &object.document));
        if let Some(was) = was {
            had = promised(&old, was);
            // Whoever chooses the members of a group gives them what it has.
            if was != &object.document {
                may_gain(editor, &Rights::default(), &had, was.name())?;
                had = Rights::default();
            }
        }
        may_gain(editor, &had, &has, object.document.name())?;
    }
    Ok(())
}

/// What whoever is in the group, or takes the invite, has by it.
fn promised(roster: &Roster<'_>, document: &Document) -> Rights {
    if let Document::Group(group) = document {
        return roster.rights(&group.roles, &[Subject::Group(group.name.clone())]);
    }
    let Document::Invite(invite) = document else { return Rights::default() };
    let org = invite.roles.iter().map(|role| roster.permissions(role, Level::Org));
    let org = org.fold(Permissions::NONE, Permissions::join);
    let mut promised = Rights { org, ..Rights::default() };
    for to in &invite.projects {
        if let Some(id) = roster.id(Kind::Project, &to.project) {
            let held = roster.permissions(&to.role, Level::Project);
            promised.add_project(ProjectId::from_bytes(id), held);
        }
    }
    promised
}

impl Asking<'_> {
    /// A key that was made by somebody else than its owner never has more than its maker had,
    /// whatever becomes of the owner; and a key makes no key that outlives it or is used from more
    /// places.
    pub(super) fn admin_key(&self, key: &AdminKey) -> Result<(), Failure> {
        let Some(Document::AdminKey(after)) = self.difference.after else { return Ok(()) };
        let before = match self.difference.before {
            Some(Document::AdminKey(before)) => Some(before),
            Some(_) | None => None,
        };
        let same = |it: &AdminKey| it.owner == after.owner && it.roles == after.roles;
        let grows = self.has_new_secret() || before.is_none_or(|before| !same(before));
        let owns = self.rights.allow(Permission::OwnOrg, Reach::Org)
            || self.rights.allow(Permission::Operate, Reach::Org);
        if grows && !owns && !self.is_mine(&key.owner) {
            self.names_roles(after)?;
        }
        self.is_narrower(after, before)
    }

    /// Explicit roles, none of which the editor lacks.
    fn names_roles(&self, key: &AdminKey) -> Result<(), Failure> {
        if key.roles.is_empty() {
            let what = "a key for somebody else names its `roles`: without them it would get \
                        whatever its owner is given later";
            return Err(Failure::Escalation { what: what.to_owned() });
        }
        let roster = Roster::new(self.objects);
        let held = key.roles.iter().map(|role| roster.permissions(role, Level::Org));
        let held = held.fold(Permissions::NONE, Permissions::join);
        let asked = Rights { org: held, ..Rights::default() };
        may_gain(self.rights, &Rights::default(), &asked, &key.name)
    }

    fn is_mine(&self, owner: &Owner) -> bool {
        let (kind, name, id) = match owner {
            Owner::User(name) => (Kind::User, name, self.editor.user.map(|it| *it.as_bytes())),
            Owner::ServiceAccount(name) => {
                let machine = self.editor.machine.map(|it: ServiceAccountId| *it.as_bytes());
                (Kind::ServiceAccount, name, machine)
            }
        };
        let mut objects = self.objects.iter();
        id.is_some_and(|id: [u8; 16]| {
            objects.any(|it| {
                it.id == id && it.document.kind() == kind && it.document.name() == name.as_str()
            })
        })
    }

    fn is_narrower(&self, after: &AdminKey, before: Option<&AdminKey>) -> Result<(), Failure> {
        let Some(asking) = self.asking_key() else { return Ok(()) };
        let changed = |same: fn(&AdminKey, &AdminKey) -> bool| {
            before.is_none_or(|before| !same(before, after)) || self.has_new_secret()
        };
        let end = |key: &AdminKey| key.expires.as_deref().and_then(Timestamp::parse);
        if let Some(own_end) = end(asking)
            && changed(|one, other| one.expires == other.expires)
            && end(after).is_none_or(|its| own_end < its)
        {
            return Err(Failure::invalid("expires", "no later than that of the key that asks"));
        }
        let inside = |source: &String| {
            let its = policies::authority::network(source);
            let mut own = policies::authority::networks(&asking.sources).into_iter();
            its.is_some_and(|its| own.any(|own| own.contains(&its)))
        };
        if !asking.sources.is_empty()
            && changed(|one, other| one.sources == other.sources)
            && (after.sources.is_empty() || !after.sources.iter().all(inside))
        {
            return Err(Failure::invalid("sources", "within those of the key that asks"));
        }
        Ok(())
    }

    fn asking_key(&self) -> Option<&AdminKey> {
        let id = self.editor.key?;
        self.before.iter().find_map(|object| {
            let Document::AdminKey(key) = &object.document else { return None };
            (object.id == *id.as_bytes()).then_some(key)
        })
    }
}

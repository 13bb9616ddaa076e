//! Whether a change of settings is the editor's to make. A child grant is never more than its
//! maker has.

mod gain;
pub(super) mod outward;
mod promises;

use self::gain::may_gain;
pub(super) use self::gain::no_more_than;

use super::{Editor, record::Difference};
use crate::{failure::Failure, services::Known};
use policies::{
    authority::{self, Authority, INSTALLATION},
    document::{Decided, Document, Key, Kind, LimitRequest, Object, Owner, Project, Unit, User},
    ids::UnitId,
    permission::Permission,
    rights::{Reach, Rights},
};

/// Open requests of one person, at most.
const OPEN_REQUESTS_MAX: usize = 20;
/// A file may own objects: then no other editor changes them, and none takes ownership.
pub(super) fn unlocked(differences: &[Difference<'_>]) -> Result<(), Failure> {
    for difference in differences {
        if difference.before.is_some_and(Document::locked) && !shuts_out(difference) {
            return Err(Failure::Locked);
        }
        let locked = |it: Option<&Document>| it.is_some_and(Document::locked);
        if locked(difference.after) && !locked(difference.before) {
            return Err(Failure::invalid("locked", "only a file that is applied may lock"));
        }
    }
    Ok(())
}

/// Whether somebody is only shut out: in an emergency that does not wait for the owner of a file.
fn shuts_out(difference: &Difference<'_>) -> bool {
    let (Some(Document::User(before)), Some(Document::User(after))) =
        (difference.before, difference.after)
    else {
        return false;
    };
    let (active, credentials_from) = (before.active, before.credentials_from.clone());
    let same = User { active, credentials_from, ..after.clone() };
    same == *before && (before.active || !after.active)
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
            let asking = Asking { editor, rights, before, objects, difference };
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
    /// The settings before the change.
    before: &'a [Object],
    objects: &'a [Object],
    difference: &'a Difference<'a>,
}

impl Asking<'_> {
    fn about(&self, document: &Document) -> Result<(), Failure> {
        let reach = authority::reach(document, self.objects);
        match document {
            Document::Project(project) => self.project(project, reach),
            Document::Unit(unit) => self.unit(unit, reach),
            Document::Key(key) => self.key(key, reach),
            Document::User(user) => self.person(user, reach),
            Document::AdminKey(key) => {
                self.must(Permission::WriteAdminKeys, reach)?;
                self.admin_key(key)
            }
            Document::ServiceAccount(account) => {
                let high = account.act_for.is_some() || !account.roles.is_empty();
                let reach = if high { Reach::Org } else { reach };
                self.must(Permission::WriteServiceAccounts, reach)
            }
            Document::LimitRequest(request) => self.wish(request),
            Document::Provider(_) if self.only_secret_differs() => {
                self.must(Permission::WriteCredentials, Reach::Org)
            }
            Document::Org(_)
            | Document::Role(_)
            | Document::IdentityProvider(_)
            | Document::WorkloadIdentity(_)
            | Document::Group(_)
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

    fn key(&self, key: &Key, reach: Reach) -> Result<(), Failure> {
        if !self.rights.allow(Permission::WriteKeys, reach) {
            return self.own_key(&key.owner, reach);
        }
        // A new secret can send prompts there, which not every role in the org may.
        let sends = [Permission::Infer, Permission::WriteMembers];
        if self.has_new_secret() && !sends.iter().any(|it| self.rights.allow(*it, reach)) {
            return Err(Failure::Forbidden { permission: Permission::Infer.word() });
        }
        let org_wide = self.rights.allow(Permission::WriteKeys, Reach::Org);
        if org_wide && matches!(key.owner, Owner::ServiceAccount(_)) {
            return Ok(());
        }
        self.owner_in_project(&key.owner, &key.project, reach)
    }

    fn person(&self, user: &User, reach: Reach) -> Result<(), Failure> {
        let before = match self.difference.before {
            Some(Document::User(before)) => before.identities.as_slice(),
            Some(_) | None => &[],
        };
        let since = match self.difference.before {
            Some(Document::User(before)) => before.credentials_from.as_ref(),
            Some(_) | None => None,
        };
        if self.difference.after.is_some() && user.credentials_from.as_ref() != since {
            let message = "only `revoke` moves it";
            return Err(Failure::invalid("credentials_from", message));
        }
        // Whoever says which identity means somebody can become them.
        if self.difference.after.is_some() && user.identities != before {
            self.must(Permission::WriteIdentity, Reach::Org)?;
        }
        self.must(Permission::WritePeople, reach)
    }

    fn wish(&self, request: &LimitRequest) -> Result<(), Failure> {
        let mine = self.user_name().as_deref() == Some(request.by.as_str());
        let new = self.difference.before.is_none();
        let open = matches!(request.state, Decided::Pending | Decided::Withdrawn);
        if mine && (new || open) {
            self.few_open(&request.by)?;
            let held = self.rights.allow_somewhere(Permission::AskForMore);
            let permission = Permission::AskForMore.word();
            return if held { Ok(()) } else { Err(Failure::Forbidden { permission }) };
        }
        self.must(Permission::DecideRequests, Reach::Org)
    }

    fn must(&self, permission: Permission, reach: Reach) -> Result<(), Failure> {
        match self.rights.allow(permission, reach) {
            true => Ok(()),
            false => Err(Failure::Forbidden { permission: permission.word() }),
        }
    }

    /// Whether the key is new in somebody's hands.
    fn has_new_secret(&self) -> bool {
        let secret = |document: Option<&Document>| match document {
            Some(Document::Key(key)) => key.active.then(|| key.sha256.clone()),
            Some(Document::AdminKey(key)) => key.active.then(|| key.sha256.clone()),
            Some(_) | None => None,
        };
        let after = secret(self.difference.after);
        after.is_some() && secret(self.difference.before) != after
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

    /// Requests are kept in the settings, which every gateway reads.
    fn few_open(&self, by: &str) -> Result<(), Failure> {
        let open = self.objects.iter().filter(|object| {
            let Document::LimitRequest(it) = &object.document else { return false };
            it.by == by && it.state == Decided::Pending
        });
        if open.count() <= OPEN_REQUESTS_MAX {
            return Ok(());
        }
        let message = format!("you have {OPEN_REQUESTS_MAX} open requests: withdraw one first");
        Err(Failure::invalid("by", &message))
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

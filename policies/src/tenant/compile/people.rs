//! People and machines: what requests ask of them, and mistakes in who may do what.

use super::Reading;
use crate::{
    authority,
    document::{
        ActFor, CREDENTIAL_HOURS_MAX, Document, Group, Membership, Object, Org, Owner, Subject,
    },
    ids::{OrgId, ServiceAccountId, UserId},
    permission::Permission,
    role::{self, Level, Role},
    tenant::{ActForRule, Machine, Person},
    time::Timestamp,
};
use std::collections::{HashMap, HashSet};

/// Members of one project, at most.
const MEMBERS_MAX: usize = 10_000;

impl Reading<'_> {
    pub(super) fn people(&self) -> HashMap<UserId, Person> {
        let people = self.objects.iter().filter_map(|object| {
            let Document::User(user) = &object.document else { return None };
            let person = Person {
                name: user.name.clone(),
                email: user.email.clone(),
                active: user.active,
                identities: user.identities.clone(),
                credentials_from: user.credentials_from.as_deref().and_then(Timestamp::parse),
            };
            Some((UserId::from_bytes(object.id), person))
        });
        people.collect()
    }

    pub(super) fn machines(&self) -> HashMap<ServiceAccountId, Machine> {
        let machines = self.objects.iter().filter_map(|object| {
            let Document::ServiceAccount(it) = &object.document else { return None };
            let act_for = it.act_for.as_ref().map(|rule| ActForRule {
                keys: rule.keys.clone(),
                header: rule.header,
                sources: authority::networks(&rule.sources),
            });
            let machine = Machine { name: it.name.clone(), active: it.active, act_for };
            Some((ServiceAccountId::from_bytes(object.id), machine))
        });
        machines.collect()
    }

    pub(super) fn check_people(&mut self) {
        let installation = self.is_installation();
        let fillers: Vec<&str> = self.objects.iter().filter_map(fills_groups).collect();
        for object in self.objects {
            let at = &object.document;
            match at {
                Document::Org(it) => self.check_org(at, it),
                Document::Role(it) => self.check_role(at, &it.permissions),
                Document::User(it) => {
                    self.check_org_roles(at, &it.roles, installation);
                    self.check_moment(at, "credentials_from", it.credentials_from.as_deref());
                }
                Document::Group(it) => {
                    self.check_org_roles(at, &it.roles, installation);
                    self.check_claim(at, it, &fillers);
                }
                Document::ServiceAccount(it) => {
                    self.check_org_roles(at, &it.roles, installation);
                    self.check_act_for(at, it.act_for.as_ref());
                }
                Document::AdminKey(it) => {
                    self.check_org_roles(at, &it.roles, installation);
                    self.check_networks(at, &it.sources);
                    self.check_moment(at, "expires", it.expires.as_deref());
                }
                Document::Key(it) => {
                    self.check_networks(at, &it.sources);
                    self.check_key_project(at, &it.owner, &it.project);
                }
                Document::Project(it) => self.check_members(at, &it.members),
                Document::Unit(it) => {
                    if it.admins.iter().any(|who| matches!(who, Subject::ServiceAccount(_))) {
                        self.mistake(at, "admins", "must be users or groups");
                    }
                }
                Document::Invite(it) => {
                    self.check_org_roles(at, &it.roles, installation);
                    self.check_moment(at, "expires", Some(&it.expires));
                    it.projects
                        .iter()
                        .for_each(|to| self.check_project_role(at, "projects", &to.role));
                }
                Document::IdentityProvider(_)
                | Document::WorkloadIdentity(_)
                | Document::LimitRequest(_)
                | Document::Provider(_)
                | Document::Deployment(_)
                | Document::Tier(_)
                | Document::Model(_)
                | Document::Price(_)
                | Document::Limit(_)
                | Document::Budget(_)
                | Document::Policy(_) => {}
            }
        }
        self.check_identities();
    }

    fn check_org(&mut self, at: &Document, org: &Org) {
        if org.name == authority::INSTALLATION_NAME && !self.is_installation() {
            self.mistake(at, "name", "is the name of the installation itself");
        }
        self.check_networks(at, &org.sources);
        if !(1..=CREDENTIAL_HOURS_MAX).contains(&org.credential_hours) {
            let message = format!("must be 1 to {CREDENTIAL_HOURS_MAX}");
            self.mistake(at, "credential_hours", message);
        }
    }

    /// What one provider says of somebody's groups is not another's to say.
    fn check_claim(&mut self, at: &Document, group: &Group, fillers: &[&str]) {
        match (&group.claim, &group.claim_provider) {
            (Some(_), None) if 1 < fillers.len() => {
                let named = fillers.join("`, `");
                let message = format!("must name whose word the claim is: `{named}`");
                self.mistake(at, "claim_provider", message);
            }
            (None, Some(_)) => self.mistake(at, "claim_provider", "is nothing without a `claim`"),
            (Some(_), Some(_) | None) | (None, None) => {}
        }
    }

    fn check_act_for(&mut self, at: &Document, rule: Option<&ActFor>) {
        let Some(rule) = rule else { return };
        self.check_networks(at, &rule.sources);
        if rule.header && rule.sources.is_empty() {
            self.mistake(at, "act_for", "`header` needs the networks in `sources`");
        }
    }

    fn check_members(&mut self, at: &Document, members: &[Membership]) {
        if MEMBERS_MAX < members.len() {
            self.mistake(at, "members", format!("must be at most {MEMBERS_MAX}"));
        }
        members.iter().for_each(|it| self.check_project_role(at, "members", &it.role));
    }

    /// Nobody is two people.
    fn check_identities(&mut self) {
        let mut seen = HashSet::new();
        for object in self.objects {
            let Document::User(user) = &object.document else { continue };
            for identity in &user.identities {
                if !seen.insert(identity) {
                    let message = "another user has the same identity";
                    self.mistake(&object.document, "identities", message);
                }
            }
        }
    }

    fn is_installation(&self) -> bool {
        self.objects.iter().any(|object| {
            matches!(object.document, Document::Org(_))
                && OrgId::from_bytes(object.id) == authority::INSTALLATION
        })
    }

    /// A service account of one project has no keys in another.
    fn check_key_project(&mut self, at: &Document, owner: &Owner, project: &str) {
        let Owner::ServiceAccount(name) = owner else { return };
        let elsewhere = self.objects.iter().any(|object| {
            let Document::ServiceAccount(it) = &object.document else { return false };
            let of_account = it.project.as_deref().unwrap_or(project);
            it.name == *name && of_account != project
        });
        if elsewhere {
            let message = format!("the service account `{name}` works in another project");
            self.mistake(at, "project", message);
        }
    }

    fn check_role(&mut self, at: &Document, words: &[String]) {
        if Role::from_word(at.name()).is_some() {
            self.mistake(at, "name", "is the name of a role that is built in");
        }
        for word in words {
            match Permission::from_word(word) {
                None => {
                    self.mistake(at, "permissions", format!("there is no permission `{word}`"));
                }
                Some(permission) if !role::CUSTOM_MAX.has(permission) => {
                    let message = format!("`{word}` cannot be part of an org's own role");
                    self.mistake(at, "permissions", message);
                }
                Some(_) => {}
            }
        }
    }

    fn check_org_roles(&mut self, at: &Document, words: &[String], installation: bool) {
        for word in words {
            let known = match Role::from_word(word).map(Role::level) {
                Some(Level::Org) => true,
                Some(Level::Installation) => installation,
                Some(Level::Unit | Level::Project) => false,
                None => self.has_role(word),
            };
            if !known {
                self.mistake(at, "roles", format!("there is no role `{word}` for an org"));
            }
        }
    }

    fn check_project_role(&mut self, at: &Document, field: &str, word: &str) {
        let known = match Role::from_word(word).map(Role::level) {
            Some(Level::Project) => true,
            Some(Level::Installation | Level::Org | Level::Unit) => false,
            None => self.has_role(word),
        };
        if !known {
            self.mistake(at, field, format!("there is no role `{word}` for a project"));
        }
    }

    fn has_role(&self, name: &str) -> bool {
        self.objects
            .iter()
            .any(|object| matches!(&object.document, Document::Role(role) if role.name == name))
    }

    fn check_networks(&mut self, at: &Document, networks: &[String]) {
        for text in networks {
            if authority::network(text).is_none() {
                let message = format!("`{text}` is no network, such as `192.0.2.0/24`");
                self.mistake(at, "sources", message);
            }
        }
    }

    pub(super) fn check_moment(&mut self, at: &Document, field: &str, text: Option<&str>) {
        if text.is_some_and(|text| Timestamp::parse(text).is_none()) {
            self.mistake(at, field, "must be RFC 3339, or a date");
        }
    }
}

/// The name of a provider whose sign-ins fill groups.
fn fills_groups(object: &Object) -> Option<&str> {
    let Document::IdentityProvider(it) = &object.document else { return None };
    it.fills_groups().then_some(it.name.as_str())
}

//! Who may administer what in one org: its documents, compiled for the administration side.

use crate::{
    document::{Budget, Document, Group, Kind, Limit, Object, On, Owner, Subject, Unit, User},
    ids::{AdminKeyId, OrgId, ProjectId, ServiceAccountId, UnitId, UserId},
    permission::{Permission, Permissions},
    rights::{Reach, Rights},
    role::{Level, Role},
    time::Timestamp,
    usage::Principal,
};
use ipnet::IpNet;
use std::collections::{BTreeSet, HashMap};

/// The org that stands for the installation itself.
pub const INSTALLATION: OrgId = OrgId::from_bytes([0; 16]);
/// How it is called; no other org is.
pub const INSTALLATION_NAME: &str = "penstock";

/// An org's people, machines and admin keys with their rights.
#[derive(Debug)]
pub struct Authority {
    pub org: OrgId,
    pub name: String,
    pub active: bool,
    pub local_login: bool,
    pub sources: Vec<IpNet>,
    pub users: HashMap<UserId, Person>,
    pub service_accounts: HashMap<ServiceAccountId, Machine>,
    /// By the SHA-256 of their secrets.
    pub admin_keys: HashMap<[u8; 32], AdminGrant>,
}

#[derive(Debug)]
pub struct Person {
    pub name: String,
    pub active: bool,
    pub rights: Rights,
    /// Words of the org roles, with those of their groups.
    pub roles: BTreeSet<String>,
}

#[derive(Debug)]
pub struct Machine {
    pub name: String,
    pub active: bool,
    pub rights: Rights,
}

/// What an admin key stands for: never more than its owner may do now.
#[derive(Debug)]
pub struct AdminGrant {
    pub id: AdminKeyId,
    pub name: String,
    pub owner: Principal,
    pub rights: Rights,
    /// It and its owner are.
    pub active: bool,
    pub expires: Option<Timestamp>,
    pub sources: Vec<IpNet>,
}

impl AdminGrant {
    pub fn is_usable(&self, now: Timestamp) -> bool {
        self.active && self.expires.is_none_or(|expires| now < expires)
    }
}

/// The permission to see objects of this kind.
pub const fn to_read(kind: Kind) -> Permission {
    match kind {
        Kind::Org => Permission::ReadOrg,
        Kind::Unit => Permission::ReadUnits,
        Kind::Project => Permission::ReadProjects,
        Kind::User | Kind::Group | Kind::Invite => Permission::ReadPeople,
        Kind::Role => Permission::ReadRoles,
        Kind::ServiceAccount => Permission::ReadServiceAccounts,
        Kind::Key => Permission::ReadKeys,
        Kind::AdminKey => Permission::ReadAdminKeys,
        Kind::IdentityProvider | Kind::WorkloadIdentity => Permission::ReadIdentity,
        Kind::Provider | Kind::Deployment | Kind::Tier | Kind::Model => Permission::ReadCatalogue,
        Kind::Price => Permission::ReadPrices,
        Kind::Limit => Permission::ReadLimits,
        Kind::Budget => Permission::ReadBudgets,
        Kind::Policy => Permission::ReadPolicies,
        Kind::LimitRequest => Permission::AskForMore,
    }
}

/// The permission to make, change and remove objects of this kind.
pub const fn to_write(kind: Kind) -> Permission {
    match kind {
        Kind::Org => Permission::WriteOrg,
        Kind::Unit => Permission::WriteUnits,
        Kind::Project => Permission::WriteProjects,
        Kind::User | Kind::Group | Kind::Invite => Permission::WritePeople,
        Kind::Role => Permission::WriteRoles,
        Kind::ServiceAccount => Permission::WriteServiceAccounts,
        Kind::Key => Permission::WriteKeys,
        Kind::AdminKey => Permission::WriteAdminKeys,
        Kind::IdentityProvider | Kind::WorkloadIdentity => Permission::WriteIdentity,
        Kind::Provider | Kind::Deployment | Kind::Tier | Kind::Model => Permission::WriteCatalogue,
        Kind::Price => Permission::WritePrices,
        Kind::Limit => Permission::WriteLimits,
        Kind::Budget => Permission::WriteBudgets,
        Kind::Policy => Permission::WritePolicies,
        Kind::LimitRequest => Permission::DecideRequests,
    }
}

/// Reads the documents of one org. They are taken to hold: [`crate::tenant::compile`] checked them.
pub fn compile(org: OrgId, objects: &[Object]) -> Authority {
    let roster = Roster::new(objects);
    let head = objects.iter().find_map(|object| {
        let Document::Org(head) = &object.document else { return None };
        Some(head)
    });
    let mut authority = Authority {
        org,
        name: head.map_or_else(String::new, |head| head.name.clone()),
        active: head.is_some_and(|head| head.active),
        local_login: head.is_some_and(|head| head.local_login),
        sources: head.map_or_else(Vec::new, |head| networks(&head.sources)),
        users: HashMap::new(),
        service_accounts: HashMap::new(),
        admin_keys: HashMap::new(),
    };
    for object in objects {
        if let Document::User(user) = &object.document {
            authority.users.insert(UserId::from_bytes(object.id), roster.person(user));
        } else if let Document::ServiceAccount(it) = &object.document {
            let rights = roster.rights(&it.roles, &[Subject::ServiceAccount(it.name.clone())]);
            let machine = Machine { name: it.name.clone(), active: it.active, rights };
            authority.service_accounts.insert(ServiceAccountId::from_bytes(object.id), machine);
        }
    }
    for object in objects {
        let Document::AdminKey(key) = &object.document else { continue };
        let Some(sha256) = key.sha256.as_deref().and_then(crate::key::sha256) else { continue };
        let Some((owner, active, held)) = roster.owner(&key.owner, &authority) else { continue };
        let asked = Rights { org: roster.org_permissions(&key.roles), ..Rights::default() };
        let rights = if key.roles.is_empty() { held } else { held.meet(&asked) };
        let grant = AdminGrant {
            id: AdminKeyId::from_bytes(object.id),
            name: key.name.clone(),
            owner,
            rights,
            active: key.active && active,
            expires: key.expires.as_deref().and_then(Timestamp::parse),
            sources: networks(&key.sources),
        };
        authority.admin_keys.insert(sha256, grant);
    }
    authority
}

/// Where an object stands: what is of one project or unit is also its admins' to see and change.
pub fn reach(document: &Document, objects: &[Object]) -> Reach {
    let id = |kind, name: &str| {
        let same = |it: &&Object| it.document.kind() == kind && it.document.name() == name;
        objects.iter().find(same).map(|it| it.id)
    };
    let project =
        |name: &str| id(Kind::Project, name).map(|id| Reach::Project(ProjectId::from_bytes(id)));
    let unit = |name: &str| id(Kind::Unit, name).map(|id| Reach::Unit(UnitId::from_bytes(id)));
    let of_key = |name: &str| {
        objects.iter().find_map(|object| {
            let Document::Key(key) = &object.document else { return None };
            if key.name == name { project(&key.project) } else { None }
        })
    };
    let found = match document {
        Document::Project(it) => project(&it.name),
        Document::Unit(it) => unit(&it.name),
        Document::Key(it) => project(&it.project),
        Document::ServiceAccount(it) => it.project.as_deref().and_then(project),
        Document::Policy(it) => it.project.as_deref().and_then(project),
        Document::Budget(Budget { on, .. }) | Document::Limit(Limit { on, .. }) => match on {
            On::Project(name) => project(name),
            On::Unit(name) => unit(name),
            On::Key(name) => of_key(name),
            On::Org
            | On::Group(_)
            | On::User(_)
            | On::ServiceAccount(_)
            | On::EndUsers
            | On::EndUser(_)
            | On::Tier(_)
            | On::Deployment(_) => None,
        },
        Document::Org(_)
        | Document::Role(_)
        | Document::IdentityProvider(_)
        | Document::WorkloadIdentity(_)
        | Document::User(_)
        | Document::Group(_)
        | Document::AdminKey(_)
        | Document::Invite(_)
        | Document::LimitRequest(_)
        | Document::Provider(_)
        | Document::Deployment(_)
        | Document::Tier(_)
        | Document::Model(_)
        | Document::Price(_) => None,
    };
    found.unwrap_or(Reach::Org)
}

/// Networks by their text; one that cannot be read was refused when it was saved.
pub fn networks(texts: &[String]) -> Vec<IpNet> {
    texts.iter().filter_map(|text| network(text)).collect()
}

/// A network such as `192.0.2.0/24`, or a single address.
pub fn network(text: &str) -> Option<IpNet> {
    let single = || text.parse::<std::net::IpAddr>().ok().map(IpNet::from);
    text.parse::<IpNet>().ok().or_else(single)
}

/// Whether `address` is in one of `networks`; in none at all: everywhere is allowed.
pub fn comes_from(networks: &[IpNet], address: std::net::IpAddr) -> bool {
    let address = address.to_canonical();
    networks.is_empty() || networks.iter().any(|network| network.contains(&address))
}

/// Documents by what rights are made of, so that each person's are found without a search.
pub struct Roster<'a> {
    ids: HashMap<(Kind, &'a str), [u8; 16]>,
    custom: HashMap<&'a str, Permissions>,
    groups: HashMap<&'a str, Vec<&'a Group>>,
    /// What each subject was given, by place.
    given: HashMap<Subject, Vec<(Reach, Permissions)>>,
}

impl<'a> Roster<'a> {
    pub fn new(objects: &'a [Object]) -> Self {
        let key = |object: &'a Object| (object.document.kind(), object.document.name());
        let mut roster = Self {
            ids: objects.iter().map(|object| (key(object), object.id)).collect(),
            custom: HashMap::new(),
            groups: HashMap::new(),
            given: HashMap::new(),
        };
        let mut units = HashMap::new();
        for object in objects {
            if let Document::Role(role) = &object.document {
                let words = role.permissions.iter();
                let held: Vec<_> = words.filter_map(|word| Permission::from_word(word)).collect();
                let held = Permissions::of(&held).meet(crate::role::CUSTOM_MAX);
                roster.custom.insert(role.name.as_str(), held);
            } else if let Document::Unit(unit) = &object.document {
                units.insert(unit.name.as_str(), unit);
            } else if let Document::Group(group) = &object.document {
                for member in &group.members {
                    roster.groups.entry(member.as_str()).or_default().push(group);
                }
            }
        }
        for object in objects {
            roster.give(object, &units);
        }
        roster
    }

    fn give(&mut self, object: &'a Object, units: &HashMap<&str, &'a Unit>) {
        if let Document::Unit(unit) = &object.document {
            let reach = Reach::Unit(UnitId::from_bytes(object.id));
            self.give_admins(reach, Some(&unit.name), units);
        } else if let Document::Project(project) = &object.document {
            let reach = Reach::Project(ProjectId::from_bytes(object.id));
            self.give_admins(reach, project.unit.as_deref(), units);
            for member in &project.members {
                let held = self.permissions(&member.role, Level::Project);
                self.given.entry(member.who.clone()).or_default().push((reach, held));
            }
        } else if let Document::ServiceAccount(account) = &object.document {
            let project = account.project.as_deref();
            if let Some(id) = project.and_then(|name| self.id(Kind::Project, name)) {
                let reach = Reach::Project(ProjectId::from_bytes(id));
                let me = Subject::ServiceAccount(account.name.clone());
                self.given.entry(me).or_default().push((reach, Role::Developer.permissions()));
            }
        }
    }

    /// What the admins of `unit`, and of each one above it, have at `reach`.
    fn give_admins(&mut self, reach: Reach, unit: Option<&str>, units: &HashMap<&str, &'a Unit>) {
        let mut next = unit;
        // One above the deepest that is allowed: a circle ends as well.
        for _ in 0..=crate::document::UNIT_DEPTH_MAX {
            let Some(unit) = next.and_then(|name| units.get(name)) else { return };
            for admin in &unit.admins {
                let held = Role::UnitAdmin.permissions();
                self.given.entry(admin.clone()).or_default().push((reach, held));
            }
            next = unit.parent.as_deref();
        }
    }

    /// What a role that is held in the org, or in a project, allows. Unknown: nothing.
    pub fn permissions(&self, word: &str, level: Level) -> Permissions {
        match Role::from_word(word) {
            Some(role) if role.level() == level => role.permissions(),
            Some(role) if (role.level(), level) == (Level::Installation, Level::Org) => {
                role.permissions()
            }
            Some(_) => Permissions::NONE,
            None => self.custom.get(word).copied().unwrap_or_default(),
        }
    }

    fn org_permissions(&self, roles: &[String]) -> Permissions {
        let held = roles.iter().map(|role| self.permissions(role, Level::Org));
        // What a role of the org's own says about sending prompts counts in projects only.
        held.fold(Permissions::NONE, Permissions::join)
            .without(Permissions::of(&[Permission::Infer]))
    }

    /// The groups of a user.
    pub fn groups(&self, user: &str) -> &[&'a Group] {
        self.groups.get(user).map_or(&[], Vec::as_slice)
    }

    pub fn person(&self, user: &User) -> Person {
        let mut roles: BTreeSet<String> = user.roles.iter().cloned().collect();
        let mut subjects = vec![Subject::User(user.name.clone())];
        for group in self.groups(&user.name) {
            roles.extend(group.roles.iter().cloned());
            subjects.push(Subject::Group(group.name.clone()));
        }
        let words: Vec<String> = roles.iter().cloned().collect();
        let mut rights = self.rights(&words, &subjects);
        rights.org = rights.org.join(Role::Member.permissions());
        Person { name: user.name.clone(), active: user.active, rights, roles }
    }

    /// The rights of somebody with these org roles who is `subjects`.
    pub fn rights(&self, roles: &[String], subjects: &[Subject]) -> Rights {
        let mut rights = Rights { org: self.org_permissions(roles), ..Rights::default() };
        for (reach, held) in subjects.iter().filter_map(|who| self.given.get(who)).flatten() {
            match reach {
                Reach::Org => rights.org = rights.org.join(*held),
                Reach::Unit(unit) => rights.add_unit(*unit, *held),
                Reach::Project(project) => rights.add_project(*project, *held),
            }
        }
        rights
    }

    pub fn id(&self, kind: Kind, name: &str) -> Option<[u8; 16]> {
        self.ids.get(&(kind, name)).copied()
    }

    fn owner(&self, owner: &Owner, authority: &Authority) -> Option<(Principal, bool, Rights)> {
        match owner {
            Owner::User(name) => {
                let id = UserId::from_bytes(self.id(Kind::User, name)?);
                let person = authority.users.get(&id)?;
                Some((Principal::User(id), person.active, person.rights.clone()))
            }
            Owner::ServiceAccount(name) => {
                let id = ServiceAccountId::from_bytes(self.id(Kind::ServiceAccount, name)?);
                let machine = authority.service_accounts.get(&id)?;
                Some((Principal::ServiceAccount(id), machine.active, machine.rights.clone()))
            }
        }
    }
}

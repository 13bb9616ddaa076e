//! The settings that an administrator writes, one document for each object.
//!
//! References are by name; a name is unique among its kind in its org. What a document means for
//! requests is compiled in [`crate::tenant`].

#[macro_use]
mod shape;
mod identity;
mod objects;
mod people;

pub use self::{
    identity::{
        Claims, Decided, Decider, IdentityProvider, Invite, InvitedTo, LimitRequest,
        SKEW_SECS_DEFAULT, WorkloadIdentity,
    },
    objects::{
        Budget, Deployment, Dialect, Limit, Member, Model, On, Policy, Price, Provider, SecretRef,
        Terms, Tier,
    },
    people::{
        ActFor, AdminKey, CREDENTIAL_HOURS_DEFAULT, CREDENTIAL_HOURS_MAX, Group, Identity, Key,
        Membership, Org, Owner, Previous, Project, Role, Scope, ServiceAccount, Subject, Unit,
        User,
    },
};

use crate::ids::NotAnId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The value of `apiVersion` in every document.
pub const API_VERSION: &str = "penstock/v1";

/// Levels of the unit tree, at most.
pub const UNIT_DEPTH_MAX: usize = 5;
/// Characters of a name, at most.
pub const NAME_CHARS_MAX: usize = 128;

/// Whether a text is an id of any kind of object.
pub fn is_id(text: &str) -> bool {
    Kind::ALL.iter().any(|kind| kind.parse_id(text).is_ok())
}

macro_rules! kinds {
    ($($kind:ident $word:literal $id:ident,)*) => {
        /// What a document describes.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
            JsonSchema,
        )]
        pub enum Kind { $($kind,)* }

        /// One object of an org's settings.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "kind")]
        pub enum Document { $($kind($kind),)* }

        impl Kind {
            /// In the order in which documents are applied: what is referred to comes first.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            pub const fn word(self) -> &'static str {
                match self { $(Self::$kind => $word,)* }
            }

            /// The id of an object of this kind, as its 16 bytes.
            pub fn parse_id(self, text: &str) -> Result<[u8; 16], NotAnId> {
                match self {
                    $(Self::$kind => text.parse().map(|id: crate::ids::$id| *id.as_bytes()),)*
                }
            }

            pub fn id_text(self, bytes: [u8; 16]) -> String {
                match self {
                    $(Self::$kind => crate::ids::$id::from_bytes(bytes).to_string(),)*
                }
            }
        }

        impl Document {
            pub fn kind(&self) -> Kind {
                match self { $(Self::$kind(_) => Kind::$kind,)* }
            }

            pub fn name(&self) -> &str {
                match self { $(Self::$kind(it) => &it.name,)* }
            }

            pub fn name_mut(&mut self) -> &mut String {
                match self { $(Self::$kind(it) => &mut it.name,)* }
            }

            /// The id that the document pins, if it does.
            pub fn id(&self) -> Option<&str> {
                match self { $(Self::$kind(it) => it.id.as_deref(),)* }
            }

            pub fn set_id(&mut self, id: Option<String>) {
                match self { $(Self::$kind(it) => it.id = id,)* }
            }

            /// Only files that are applied may change it.
            pub fn locked(&self) -> bool {
                match self { $(Self::$kind(it) => it.locked,)* }
            }
        }
    };
}

kinds! {
    Org "org" OrgId,
    Role "role" RoleId,
    IdentityProvider "identity provider" IdentityProviderId,
    Unit "unit" UnitId,
    Project "project" ProjectId,
    User "user" UserId,
    Group "group" GroupId,
    ServiceAccount "service account" ServiceAccountId,
    WorkloadIdentity "workload identity" WorkloadIdentityId,
    Key "key" KeyId,
    AdminKey "admin key" AdminKeyId,
    Invite "invite" InviteId,
    LimitRequest "limit request" LimitRequestId,
    Provider "provider" ProviderId,
    Deployment "deployment" DeploymentId,
    Tier "tier" TierId,
    Model "model" ModelId,
    Price "price" PriceId,
    Limit "limit" LimitId,
    Budget "budget" BudgetId,
    Policy "policy" PolicyId,
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.word())
    }
}

impl Document {
    /// The org that the document names; an org names itself.
    pub fn org(&self) -> &str {
        match self {
            Self::Org(it) => &it.name,
            Self::Unit(it) => &it.org,
            Self::Project(it) => &it.org,
            Self::User(it) => &it.org,
            Self::Group(it) => &it.org,
            Self::ServiceAccount(it) => &it.org,
            Self::Role(it) => &it.org,
            Self::IdentityProvider(it) => &it.org,
            Self::WorkloadIdentity(it) => &it.org,
            Self::AdminKey(it) => &it.org,
            Self::Invite(it) => &it.org,
            Self::LimitRequest(it) => &it.org,
            Self::Key(it) => &it.org,
            Self::Provider(it) => &it.org,
            Self::Deployment(it) => &it.org,
            Self::Tier(it) => &it.org,
            Self::Model(it) => &it.org,
            Self::Price(it) => &it.org,
            Self::Limit(it) => &it.org,
            Self::Budget(it) => &it.org,
            Self::Policy(it) => &it.org,
        }
    }

    /// Takes out what nobody may read: hashes of secrets, and sealed values.
    pub fn strip_secrets(&mut self) {
        match self {
            Self::User(it) => it.password = None,
            Self::Key(it) => (it.sha256, it.tail, it.previous) = (None, None, None),
            Self::AdminKey(it) => (it.sha256, it.tail) = (None, None),
            Self::Invite(it) => it.sha256 = None,
            Self::Provider(it) => strip(&mut it.credential),
            Self::IdentityProvider(it) => strip(&mut it.client_secret),
            Self::Org(_)
            | Self::Role(_)
            | Self::Unit(_)
            | Self::Project(_)
            | Self::Group(_)
            | Self::ServiceAccount(_)
            | Self::WorkloadIdentity(_)
            | Self::LimitRequest(_)
            | Self::Deployment(_)
            | Self::Tier(_)
            | Self::Model(_)
            | Self::Price(_)
            | Self::Limit(_)
            | Self::Budget(_)
            | Self::Policy(_) => {}
        }
    }

    /// Takes over from `stored`, the same object as it is in the store, what nobody writes by hand.
    pub fn keep_secrets_of(&mut self, stored: &Self) {
        match (self, stored) {
            (Self::User(it), Self::User(old)) => {
                it.password.clone_from(&old.password);
                if it.credentials_from.is_none() {
                    it.credentials_from.clone_from(&old.credentials_from);
                }
            }
            (Self::Key(it), Self::Key(old)) => {
                it.sha256.clone_from(&old.sha256);
                it.tail.clone_from(&old.tail);
                it.previous.clone_from(&old.previous);
            }
            (Self::AdminKey(it), Self::AdminKey(old)) => {
                it.sha256.clone_from(&old.sha256);
                it.tail.clone_from(&old.tail);
            }
            (Self::Invite(it), Self::Invite(old)) => it.sha256.clone_from(&old.sha256),
            (Self::Provider(it), Self::Provider(old)) => keep(&mut it.credential, &old.credential),
            (Self::IdentityProvider(it), Self::IdentityProvider(old)) => {
                keep(&mut it.client_secret, &old.client_secret);
            }
            _ => {}
        }
    }

    /// Every reference to another object of the org: the field, the kind, and the name in it.
    pub fn references(&mut self) -> Vec<(&'static str, Kind, &mut String)> {
        match self {
            Self::Org(_)
            | Self::Role(_)
            | Self::IdentityProvider(_)
            | Self::User(_)
            | Self::Provider(_) => vec![],
            Self::Unit(it) => {
                let parent = it.parent.iter_mut().map(|name| ("parent", Kind::Unit, name));
                parent.chain(it.admins.iter_mut().map(|who| who.reference("admins"))).collect()
            }
            Self::Project(it) => {
                let unit = it.unit.iter_mut().map(|name| ("unit", Kind::Unit, name));
                let models = it.models.iter_mut().map(|name| ("models", Kind::Model, name));
                let denied = it.denied_models.iter_mut();
                let denied = denied.map(|name| ("denied_models", Kind::Model, name));
                let members = it.members.iter_mut().map(|it| it.who.reference("members"));
                unit.chain(models).chain(denied).chain(members).collect()
            }
            Self::Group(it) => {
                let members = it.members.iter_mut().map(|name| ("members", Kind::User, name));
                let provider = it.claim_provider.iter_mut();
                let provider =
                    provider.map(|name| ("claim_provider", Kind::IdentityProvider, name));
                members.chain(provider).collect()
            }
            Self::ServiceAccount(it) => {
                it.project.iter_mut().map(|name| ("project", Kind::Project, name)).collect()
            }
            Self::WorkloadIdentity(it) => vec![
                ("service_account", Kind::ServiceAccount, &mut it.service_account),
                ("project", Kind::Project, &mut it.project),
            ],
            Self::Key(it) => {
                let models = it.models.iter_mut().map(|name| ("models", Kind::Model, name));
                let own = [("project", Kind::Project, &mut it.project), it.owner.reference()];
                models.chain(own).collect()
            }
            Self::AdminKey(it) => vec![it.owner.reference()],
            Self::Invite(it) => {
                let projects = it.projects.iter_mut();
                projects.map(|it| ("projects", Kind::Project, &mut it.project)).collect()
            }
            Self::LimitRequest(it) => {
                let budget = it.budget.iter_mut().map(|name| ("budget", Kind::Budget, name));
                let limit = it.limit.iter_mut().map(|name| ("limit", Kind::Limit, name));
                budget.chain(limit).chain([("by", Kind::User, &mut it.by)]).collect()
            }
            Self::Deployment(it) => vec![("provider", Kind::Provider, &mut it.provider)],
            Self::Tier(it) => members(&mut it.deployments),
            Self::Model(it) => {
                let tier = it.tier.iter_mut().map(|name| ("tier", Kind::Tier, name));
                tier.chain(members(&mut it.deployments)).collect()
            }
            Self::Price(it) => vec![("deployment", Kind::Deployment, &mut it.deployment)],
            Self::Limit(it) => it.on.reference().into_iter().collect(),
            Self::Budget(it) => it.on.reference().into_iter().collect(),
            Self::Policy(it) => {
                it.project.iter_mut().map(|name| ("project", Kind::Project, name)).collect()
            }
        }
    }
}

fn strip(secret: &mut Option<SecretRef>) {
    if let Some(SecretRef::Sealed(_)) = secret {
        *secret = Some(SecretRef::Stored(true));
    }
}

fn keep(secret: &mut Option<SecretRef>, stored: &Option<SecretRef>) {
    if let (Some(SecretRef::Stored(_)), Some(SecretRef::Sealed(_))) = (&secret, stored) {
        secret.clone_from(stored);
    }
}

fn members(members: &mut [Member]) -> Vec<(&'static str, Kind, &mut String)> {
    let names = members.iter_mut().map(|member| &mut member.deployment);
    names.map(|name| ("deployments", Kind::Deployment, name)).collect()
}

impl Subject {
    fn reference(&mut self, field: &'static str) -> (&'static str, Kind, &mut String) {
        match self {
            Self::User(name) => (field, Kind::User, name),
            Self::Group(name) => (field, Kind::Group, name),
            Self::ServiceAccount(name) => (field, Kind::ServiceAccount, name),
        }
    }
}

impl Owner {
    fn reference(&mut self) -> (&'static str, Kind, &mut String) {
        match self {
            Self::User(name) => ("owner", Kind::User, name),
            Self::ServiceAccount(name) => ("owner", Kind::ServiceAccount, name),
        }
    }
}

impl Kind {
    /// Whether files describe it. What is not is a step of somebody's work, and ends by itself.
    pub const fn is_declared(self) -> bool {
        !matches!(self, Self::Invite | Self::LimitRequest)
    }
}

impl On {
    /// The level's word in refusals and tables.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Org => "your organization",
            Self::Unit(_) => "your unit",
            Self::Project(_) => "your project",
            Self::Group(_) => "your group",
            Self::User(_) => "your user",
            Self::ServiceAccount(_) => "your service account",
            Self::Key(_) => "your key",
            Self::EndUsers | Self::EndUser(_) => "the end user",
            Self::Tier(_) => "the tier",
            Self::Deployment(_) => "the deployment",
        }
    }

    fn reference(&mut self) -> Option<(&'static str, Kind, &mut String)> {
        let (kind, name) = match self {
            Self::Org | Self::EndUsers | Self::EndUser(_) => return None,
            Self::Unit(name) => (Kind::Unit, name),
            Self::Project(name) => (Kind::Project, name),
            Self::Group(name) => (Kind::Group, name),
            Self::User(name) => (Kind::User, name),
            Self::ServiceAccount(name) => (Kind::ServiceAccount, name),
            Self::Key(name) => (Kind::Key, name),
            Self::Tier(name) => (Kind::Tier, name),
            Self::Deployment(name) => (Kind::Deployment, name),
        };
        Some(("on", kind, name))
    }
}

/// A document as it is stored: with the id that it was given when it was first applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Object {
    pub id: [u8; 16],
    pub document: Document,
}

/// Something in the settings that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{kind} `{name}`: `{field}`: {message}")]
pub struct Mistake {
    pub kind: Kind,
    pub name: String,
    pub field: String,
    pub message: String,
}

//! The settings that an administrator writes, one document for each object.
//!
//! References are by name; a name is unique among its kind in its org. What a document means for
//! requests is compiled in [`crate::tenant`].

mod objects;

pub use self::objects::{
    Budget, Deployment, Dialect, Group, Key, Limit, Member, Model, On, Org, Owner, Policy, Price,
    Project, Provider, SecretRef, ServiceAccount, Terms, Tier, Unit, User,
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
        }
    };
}

kinds! {
    Org "org" OrgId,
    Unit "unit" UnitId,
    Project "project" ProjectId,
    User "user" UserId,
    Group "group" GroupId,
    ServiceAccount "service account" ServiceAccountId,
    Key "key" KeyId,
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

    /// Every reference to another object of the org: the field, the kind, and the name in it.
    pub fn references(&mut self) -> Vec<(&'static str, Kind, &mut String)> {
        match self {
            Self::Org(_) | Self::User(_) | Self::ServiceAccount(_) | Self::Provider(_) => vec![],
            Self::Unit(it) => {
                it.parent.iter_mut().map(|name| ("parent", Kind::Unit, name)).collect()
            }
            Self::Project(it) => {
                it.unit.iter_mut().map(|name| ("unit", Kind::Unit, name)).collect()
            }
            Self::Group(it) => {
                it.members.iter_mut().map(|name| ("members", Kind::User, name)).collect()
            }
            Self::Key(it) => {
                let owner = match &mut it.owner {
                    Owner::User(name) => ("owner", Kind::User, name),
                    Owner::ServiceAccount(name) => ("owner", Kind::ServiceAccount, name),
                };
                let models = it.models.iter_mut().map(|name| ("models", Kind::Model, name));
                models.chain([("project", Kind::Project, &mut it.project), owner]).collect()
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

fn members(members: &mut [Member]) -> Vec<(&'static str, Kind, &mut String)> {
    let names = members.iter_mut().map(|member| &mut member.deployment);
    names.map(|name| ("deployments", Kind::Deployment, name)).collect()
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
            Self::Tier(_) => "the tier",
            Self::Deployment(_) => "the deployment",
        }
    }

    fn reference(&mut self) -> Option<(&'static str, Kind, &mut String)> {
        let (kind, name) = match self {
            Self::Org => return None,
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

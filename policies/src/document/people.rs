//! Who there is and where they belong, field by field.

use super::shape::{is_true, utc, yes};
use crate::data::Level;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Hours for which a credential that a person fetched is good, unless the org says otherwise.
pub const CREDENTIAL_HOURS_DEFAULT: u32 = 12;
/// Hours for which such a credential may be good, at most: a week.
pub const CREDENTIAL_HOURS_MAX: u32 = 168;

/// A tenant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Org {
    /// Pins the object, so that its name may change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    pub name: String,
    /// Only files that are applied may change it; every other editor is refused.
    #[serde(default, skip_serializing_if = "crate::document::shape::is_false")]
    pub locked: bool,
    /// IANA name of the zone in which budget periods begin and end, such as `Europe/Berlin`.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// Whom a refused caller should ask: a link or an address, told in refusals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub support: Option<String>,
    /// Networks from which the org's credentials may be used, such as `192.0.2.0/24`; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// Whether people may sign in with a password of ours. Off: only by an identity provider.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub local_login: bool,
    /// Whether people may make long-lived keys for themselves.
    #[serde(default, skip_serializing_if = "crate::document::shape::is_false")]
    pub personal_keys: bool,
    /// Hours for which the credential is good that a person fetches by signing in, 1 to 168.
    #[serde(default = "credential_hours", skip_serializing_if = "is_usual_hours")]
    pub credential_hours: u32,
    /// False: nobody can use anything of the org. Its data stays.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub active: bool,
}

/// Somebody who is given something.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    User(String),
    Group(String),
    ServiceAccount(String),
}

/// A role in a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Membership {
    pub who: Subject,
    /// `project_admin`, `developer`, `viewer`, or a role of the org's own.
    pub role: String,
}

document! {
    /// A node of the tree between org and project.
    Unit {
        /// The unit above; none: directly below the org.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cost_centre: Option<String>,
        /// Who may run it, with all units and projects below it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        admins: Vec<Subject>,
    }
}

document! {
    /// A workspace.
    Project {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unit: Option<String>,
        /// What an unlabelled request of this project is.
        #[serde(default = "internal")]
        data_level: Level,
        /// Overrides the cost centre of its units.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cost_centre: Option<String>,
        /// Tag keys that requests may set with `x-penstock-tags`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tags: Vec<String>,
        /// Models that may be used in it; empty: all of the org.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        models: Vec<String>,
        /// Models that may not be used in it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        denied_models: Vec<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        members: Vec<Membership>,
        /// False: it is archived, and its keys are refused.
        #[serde(default = "yes", skip_serializing_if = "is_true")]
        active: bool,
    }
}

/// A person as an identity provider knows them.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The provider's issuer.
    pub issuer: String,
    /// The person's `sub` there.
    pub subject: String,
}

document! {
    /// A person.
    User {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        email: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        display_name: Option<String>,
        /// Roles in the org: `owner`, `admin`, `security`, `billing`, `auditor`, or the org's own.
        /// Everybody is a `member`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        roles: Vec<String>,
        /// The id that a directory (SCIM) knows the person by.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        external_id: Option<String>,
        /// Whom identity providers mean by this person. Added at the first sign-in.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        identities: Vec<Identity>,
        #[serde(default = "yes", skip_serializing_if = "is_true")]
        active: bool,
        /// Credentials that were fetched before this moment (RFC 3339) are refused.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        credentials_from: Option<String>,
        /// Argon2id hash (PHC string) of a local password. Written by Penstock, never by hand.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(skip)]
        password: Option<String>,
    }
}

document! {
    /// A set of users.
    Group {
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        members: Vec<String>,
        /// Roles in the org that its members have.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        roles: Vec<String>,
        /// The value in an identity provider's groups claim that stands for this group.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        claim: Option<String>,
        /// The identity provider whose word the claim is. It may be left out where only one
        /// provider of the org fills groups.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        claim_provider: Option<String>,
        /// The id that a directory (SCIM) knows the group by.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        external_id: Option<String>,
    }
}

/// How a service says for whom it acts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActFor {
    /// Public keys (PEM) of the assertions that the service signs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// Whether the header `x-penstock-act-for` is believed as it is, from `sources` only.
    #[serde(default, skip_serializing_if = "crate::document::shape::is_false")]
    pub header: bool,
    /// Networks that the service calls from. The header is believed from these alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
}

document! {
    /// A machine identity.
    ServiceAccount {
        /// The project that it works in; none: the keys say it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        project: Option<String>,
        /// Roles in the org, for admin keys that it owns.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        roles: Vec<String>,
        /// It may act for people; none: it may not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        act_for: Option<ActFor>,
        #[serde(default = "yes", skip_serializing_if = "is_true")]
        active: bool,
    }
}

/// Who a key acts for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    User(String),
    ServiceAccount(String),
}

/// What a key may be used for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Send prompts to models.
    Infer,
    /// See the models that it may use.
    Models,
    /// See its project's own requests.
    Requests,
}

/// The secret that a key had before it was rotated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Previous {
    pub sha256: String,
    /// RFC 3339: refused from then on.
    pub until: String,
}

document! {
    /// A credential. Its secret is made when it is applied first, and shown once.
    Key {
        project: String,
        owner: Owner,
        /// Models that it may use; empty: all of the project.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        models: Vec<String>,
        /// What it may be used for; empty: everything that its project offers.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        scopes: Vec<Scope>,
        /// Paths that it may call, such as `/v1/chat/completions`; empty: all.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        routes: Vec<String>,
        /// Networks from which it may be used; empty: all of the org.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        sources: Vec<String>,
        /// RFC 3339, or a date (its midnight, UTC).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires: Option<String>,
        #[serde(default = "yes", skip_serializing_if = "is_true")]
        active: bool,
        /// SHA-256 of the secret, in hexadecimal. Written by Penstock, never by hand.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(skip)]
        sha256: Option<String>,
        /// How the secret ends, to tell keys apart. Written by Penstock, never by hand.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(skip)]
        tail: Option<String>,
        /// The secret before, for a while. Written by Penstock, never by hand.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(skip)]
        previous: Option<Previous>,
    }
}

document! {
    /// A credential for administration. Its secret is made when it is applied first.
    AdminKey {
        owner: Owner,
        /// Roles that narrow its owner's; empty: all that the owner has.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        roles: Vec<String>,
        /// Networks from which it may be used; empty: all of the org.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        sources: Vec<String>,
        /// RFC 3339, or a date (its midnight, UTC).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires: Option<String>,
        #[serde(default = "yes", skip_serializing_if = "is_true")]
        active: bool,
        /// SHA-256 of the secret, in hexadecimal. Written by Penstock, never by hand.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(skip)]
        sha256: Option<String>,
        /// How the secret ends, to tell keys apart. Written by Penstock, never by hand.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(skip)]
        tail: Option<String>,
    }
}

document! {
    /// A role of the org's own: a list of permissions.
    Role {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        /// Such as `projects.read`; the manual lists them.
        permissions: Vec<String>,
    }
}

const fn internal() -> Level {
    Level::Internal
}

const fn credential_hours() -> u32 {
    CREDENTIAL_HOURS_DEFAULT
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_usual_hours(hours: &u32) -> bool {
    *hours == CREDENTIAL_HOURS_DEFAULT
}

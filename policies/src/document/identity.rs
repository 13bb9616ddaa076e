//! Who vouches for people and machines, and what people ask for, field by field.

use super::{
    objects::SecretRef,
    people::Membership,
    shape::{is_true, yes},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Seconds by which clocks may differ, unless a provider says otherwise.
pub const SKEW_SECS_DEFAULT: u32 = 60;

/// Where a token says what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Claims {
    /// The person's address.
    pub email: String,
    /// How the person is called.
    pub name: String,
    /// Names or ids of groups, a list.
    pub groups: String,
    /// The project that a request is for, by name or id; the header `openai-project` wins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
}

impl Default for Claims {
    fn default() -> Self {
        Self {
            email: "email".to_owned(),
            name: "name".to_owned(),
            groups: "groups".to_owned(),
            project: None,
        }
    }
}

document! {
    /// An OpenID provider whose word the org takes.
    IdentityProvider {
        /// Exactly as it stands in its tokens' `iss`, such as `https://login.example.com`.
        issuer: String,
        /// Where its keys are; none: where its discovery document says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        jwks_uri: Option<String>,
        /// For signing in to the console.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_secret: Option<SecretRef>,
        /// The public client that `penstock login` uses; none: `client_id`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cli_client_id: Option<String>,
        /// Values of `aud` that are meant for us, besides the client ids.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        audiences: Vec<String>,
        /// Signature algorithms that are accepted (RFC 7518, RFC 8037); never `none` or `HS*`.
        #[serde(default = "algorithms_default")]
        algorithms: Vec<String>,
        /// Scopes that are asked for at sign-in, beside `openid`.
        #[serde(default = "scopes_default")]
        scopes: Vec<String>,
        #[serde(default, skip_serializing_if = "super::shape::is_default")]
        claims: Claims,
        /// Whether people may sign in to the console with it.
        #[serde(default = "yes", skip_serializing_if = "is_true")]
        sign_in: bool,
        /// Whether its tokens may call models directly.
        #[serde(default, skip_serializing_if = "super::shape::is_false")]
        call_models: bool,
        /// Whether somebody who is not known yet becomes a user when they sign in.
        #[serde(default, skip_serializing_if = "super::shape::is_false")]
        create_users: bool,
        /// Whether a verified address joins somebody who signs in to the user who has it. Only for
        /// a provider that gives an address to nobody but its owner.
        #[serde(default, skip_serializing_if = "super::shape::is_false")]
        trust_email: bool,
        /// Whether sign-in brings groups that have a `claim` up to date.
        #[serde(default = "yes", skip_serializing_if = "is_true")]
        sync_groups: bool,
        /// Seconds by which its clock may differ from ours, 0 to 300.
        #[serde(default = "skew_default")]
        skew_secs: u32,
        #[serde(default = "yes", skip_serializing_if = "is_true")]
        active: bool,
    }
}

document! {
    /// Machines that come with a token of their platform instead of a key (RFC 8693).
    WorkloadIdentity {
        /// Exactly as it stands in the tokens' `iss`.
        issuer: String,
        /// Where its keys are; none: where its discovery document says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        jwks_uri: Option<String>,
        /// The value of `aud` that the tokens must have.
        audience: String,
        /// Signature algorithms that are accepted; never `none` or `HS*`.
        #[serde(default = "algorithms_default")]
        algorithms: Vec<String>,
        /// Claims that a token must have, by their path (`kubernetes.io.namespace` is one name),
        /// with their values; `*` at the end of a value stands for anything.
        claims: BTreeMap<String, String>,
        /// Whom such a machine acts as.
        service_account: String,
        project: String,
        /// Minutes for which the credential is good that it gets, 1 to 720.
        #[serde(default = "minutes_default")]
        minutes: u32,
        #[serde(default = "yes", skip_serializing_if = "is_true")]
        active: bool,
    }
}

document! {
    /// Somebody who was asked to join. Not part of files.
    Invite {
        email: String,
        /// Roles in the org that they will have.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        roles: Vec<String>,
        /// Projects that they will be a member of, by name, with their roles there.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        projects: Vec<InvitedTo>,
        /// RFC 3339.
        expires: String,
        /// When it was accepted (RFC 3339).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        accepted: Option<String>,
        /// SHA-256 of the secret in its link. Written by Penstock, never by hand.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(skip)]
        sha256: Option<String>,
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InvitedTo {
    pub project: String,
    pub role: String,
}

/// Who decided about a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decider {
    /// Of a user or a service account.
    pub id: String,
    /// As people know them at the time.
    pub name: String,
}

/// What became of somebody's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decided {
    Pending,
    Approved,
    Denied,
    Withdrawn,
}

document! {
    /// Somebody's request for a higher limit or budget. Not part of files.
    LimitRequest {
        /// The budget or limit that is too low.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        budget: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<String>,
        /// The fields that should change, with the values asked for.
        wanted: BTreeMap<String, String>,
        reason: String,
        /// The user who asks.
        by: String,
        state: Decided,
        /// Who decided, why and when (RFC 3339).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        decided_by: Option<Decider>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        decided_reason: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        decided_at: Option<String>,
    }
}

impl IdentityProvider {
    /// Whether sign-ins by it say in which groups people are.
    pub fn fills_groups(&self) -> bool {
        self.active && self.sign_in && self.sync_groups
    }
}

impl InvitedTo {
    /// The membership that it becomes.
    pub fn membership(&self, user: &str) -> Membership {
        Membership { who: super::people::Subject::User(user.to_owned()), role: self.role.clone() }
    }
}

fn algorithms_default() -> Vec<String> {
    ["RS256", "ES256", "EdDSA", "PS256"].map(str::to_owned).to_vec()
}

fn scopes_default() -> Vec<String> {
    ["profile", "email"].map(str::to_owned).to_vec()
}

const fn skew_default() -> u32 {
    SKEW_SECS_DEFAULT
}

const fn minutes_default() -> u32 {
    60
}

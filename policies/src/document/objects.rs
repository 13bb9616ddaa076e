//! What requests are answered with, priced and bounded by, field by field.

use super::shape::{
    bound_default, is_default, is_false, is_true, output_default, weight_default, yes,
};
use crate::{
    data::{Clearance, Rule},
    time::Period,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The wire format that a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// OpenAI, or any server compatible with it.
    Openai,
    /// Penstock's own simulated provider.
    Simulated,
}

/// Where a secret value is found when it is needed. It is stored sealed, or not at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SecretRef {
    /// The name of an environment variable.
    Env(String),
    /// The path of a file; white space around its content is taken off.
    File(String),
    /// `true`: the value that the store has sealed already, which no one can read back.
    Stored(bool),
    /// The sealed value. Written by Penstock, never by hand, and shown to nobody.
    #[schemars(skip)]
    Sealed(String),
}

/// What the provider does with what it is sent. Unknown counts as the worst.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Whether it trains on what it is sent. Unknown: yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trains: Option<bool>,
    /// Days for which it keeps what it is sent. Unknown: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
    #[serde(default)]
    pub self_hosted: bool,
}

document! {
    /// A connection to a model vendor or server.
    Provider {
        dialect: Dialect,
        /// Such as `https://api.openai.com/v1`: what stands before `/chat/completions`.
        base_url: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        credential: Option<SecretRef>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        region: Option<String>,
        #[serde(default, skip_serializing_if = "is_default")]
        terms: Terms,
        /// It is reached on the public internet only, whatever its name resolves to. Always so for
        /// what others than the operator set up.
        #[serde(default, skip_serializing_if = "is_false")]
        public_only: bool,
    }
}

document! {
    /// A model at a provider, with what it may receive.
    Deployment {
        provider: String,
        /// The provider's name of the model.
        model: String,
        /// What it may receive: `public` data only, until somebody says more.
        #[serde(default, skip_serializing_if = "is_default")]
        clearance: Clearance,
        /// Output tokens of one answer, at most; the bound of a hold where the caller sets none.
        #[serde(default = "output_default")]
        max_output_tokens: i64,
        /// How the provider calls the bound on output tokens.
        #[serde(default = "bound_default")]
        output_bound_parameter: String,
        /// It costs nothing. A deployment has either this or a price.
        #[serde(default, skip_serializing_if = "is_false")]
        free: bool,
        #[serde(default = "yes", skip_serializing_if = "is_true")]
        active: bool,
    }
}

/// A deployment's place in a tier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Member {
    pub deployment: String,
    /// Lower goes first.
    #[serde(default)]
    pub priority: u32,
    /// Share among members of one priority, 1 to 1000.
    #[serde(default = "weight_default")]
    pub weight: u32,
}

document! {
    /// An ordered class of models.
    Tier {
        /// Lower is cheaper: economy 1, standard 2, frontier 3.
        rank: u32,
        deployments: Vec<Member>,
    }
}

document! {
    /// A name that callers use.
    Model {
        /// The tier that answers for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tier: Option<String>,
        /// Or its deployments, without a tier.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        deployments: Vec<Member>,
    }
}

document! {
    /// What a deployment costs from a moment on: US dollars per million tokens, as decimal text.
    Price {
        deployment: String,
        /// RFC 3339, or a date (its midnight, UTC).
        from: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        input: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cached_input: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cache_write: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reasoning: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        audio_input: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        audio_output: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        image: Option<String>,
        /// US dollars for each request, whatever it uses.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        per_request: Option<String>,
    }
}

/// What a limit or a budget is set on, by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// The whole org.
    Org,
    Unit(String),
    Project(String),
    Group(String),
    User(String),
    ServiceAccount(String),
    Key(String),
    /// Limits only: each end user of the org by itself, from the first request on.
    EndUsers,
    /// Limits only: one end user, in place of what holds for each.
    EndUser(String),
    /// Limits only.
    Tier(String),
    /// Limits only.
    Deployment(String),
}

document! {
    /// Rates and concurrency, each optional.
    Limit {
        on: On,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        requests_per_minute: Option<i64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        requests_per_day: Option<i64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tokens_per_minute: Option<i64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tokens_per_day: Option<i64>,
        /// Requests in flight at once; a stream counts until it ends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        concurrent_requests: Option<i64>,
    }
}

document! {
    /// Money per period. Requests that could exceed it are refused before they are sent.
    Budget {
        on: On,
        /// US dollars as decimal text, such as `20` or `0.50`.
        limit: String,
        period: Period,
    }
}

document! {
    /// Data rules of an org, or of one of its projects.
    Policy {
        /// Narrows one project; none: the ceiling of the whole org.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        project: Option<String>,
        rules: Vec<Rule>,
    }
}

//! The rows that billing is made of: one usage record for each attempt that cost something.
//!
//! What is not stamped at admission is lost, because records never change. So a record is two
//! parts: the [`Stamp`], known before the first byte goes upstream, and the [`Ending`].

use crate::{
    budget::Chain,
    ids::{
        BootId, DeploymentId, KeyId, OrgId, PriceId, ProjectId, RequestId, Revision,
        ServiceAccountId, UnitId, UserId,
    },
    money::NanoUsd,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// Tokens by kind. `input` and `output` are what is left after the other kinds are taken out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tokens {
    /// Input that was neither read from nor written to a provider's prompt cache.
    pub input: i64,
    pub cache_read: i64,
    pub cache_write: i64,
    /// Visible output, tool calls included.
    pub output: i64,
    pub reasoning: i64,
    pub audio_in: i64,
    pub audio_out: i64,
    pub image: i64,
}

impl Tokens {
    pub const fn all_input(&self) -> i64 {
        self.input
            .saturating_add(self.cache_read)
            .saturating_add(self.cache_write)
            .saturating_add(self.audio_in)
            .saturating_add(self.image)
    }

    pub const fn all_output(&self) -> i64 {
        self.output.saturating_add(self.reasoning).saturating_add(self.audio_out)
    }

    pub const fn total(&self) -> i64 {
        self.all_input().saturating_add(self.all_output())
    }
}

/// Who acts: a person, or a machine identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Principal {
    User(UserId),
    ServiceAccount(ServiceAccountId),
}

impl fmt::Display for Principal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => id.fmt(formatter),
            Self::ServiceAccount(id) => id.fmt(formatter),
        }
    }
}

/// A closed set that is stored by its word: `Display`, `FromStr` and serde all use it.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name { $($(#[$about])* #[serde(rename = $word)] $variant,)* }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.word() == word)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(self.word())
            }
        }
    };
}

words! {
    /// The endpoint that a caller used.
    Surface {
        Chat = "chat",
        Embeddings = "embeddings",
    }
}

words! {
    /// Why this attempt was made.
    Leg {
        Primary = "primary",
        /// The attempt before it failed before its first visible byte.
        Fallback = "fallback",
    }
}

words! {
    /// How an attempt ended.
    Outcome {
        /// The provider finished its answer.
        Finished = "finished",
        /// The caller hung up first.
        HungUp = "hung_up",
        /// The stream was cut because its hold was used up.
        Cut = "cut",
        /// The provider broke off, or sent an error inside its answer.
        Truncated = "truncated",
        /// It was sent and nobody knows what it cost: counted at its hold until resolved.
        Indeterminate = "indeterminate",
    }
}

words! {
    /// Where the token counts of a record come from.
    Source {
        Reported = "reported",
        /// Counted by us, because the provider had not reported yet.
        Estimated = "estimated",
        /// The provider reported more than its hold could cover, or what cannot be.
        Capped = "capped",
    }
}

/// What is known of an attempt before it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    pub org: OrgId,
    pub request: RequestId,
    /// Counts from 1 within the request.
    pub attempt: u32,
    /// The first request of which this one is a client's repeat; else the request itself.
    pub logical_request: RequestId,
    pub leg: Leg,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unit_path: Vec<UnitId>,
    pub project: ProjectId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_centre: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    pub principal: Principal,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acted_for: Option<UserId>,
    pub key: KeyId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_user_hash: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_hash: Option<String>,
    /// Hash of route, request class and system prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_hash: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_class: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_request_id: Option<String>,
    pub surface: Surface,
    pub stream: bool,
    /// The name that the caller asked for.
    pub model: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    pub deployment: DeploymentId,
    /// The name that was asked of the provider.
    pub upstream_model: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<PriceId>,
    pub revision: Revision,
    pub boot: BootId,
    /// The budgets that this attempt counts against, each with its period.
    pub chain: Chain,
    /// The worst cost, set aside before the attempt was sent.
    pub hold: NanoUsd,
    /// By the ledger's clock; it decides period and price.
    pub admitted_at: Timestamp,
    pub queue_millis: i64,
}

/// How an attempt ended, and what it cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    pub outcome: Outcome,
    pub source: Source,
    pub tokens: Tokens,
    /// What is billed. None: a kind of usage without a price; the period cannot close.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<NanoUsd>,
    /// What each kind of usage costs, in nano-USD: the lines of the bill. A cost that was cut at
    /// the hold is one line, `capped`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lines: BTreeMap<String, NanoUsd>,
    /// What the budgets count: the cost, or the whole hold while the cost is unknown.
    pub counted: NanoUsd,
    /// What the provider reported above the hold.
    pub overrun: NanoUsd,
    /// The provider's own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// What was wrong with the provider's report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flaw: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte_millis: Option<i64>,
    pub total_millis: i64,
    pub ended_at: Timestamp,
}

/// One immutable row: `part` 0 is the record of the attempt, 1.. are corrections of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRecord {
    pub stamp: Stamp,
    pub part: u32,
    pub ending: Ending,
}

words! {
    /// What became of a request that reached `route`.
    Verdict {
        Allowed = "allowed",
        /// Allowed after findings were masked.
        Masked = "masked",
        Refused = "refused",
    }
}

/// Why a request went where it went. It names labels and ids; never a text, never a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    pub org: OrgId,
    pub request: RequestId,
    pub at: Timestamp,
    pub project: ProjectId,
    pub principal: Principal,
    pub key: KeyId,
    pub surface: Surface,
    pub model: String,
    pub verdict: Verdict,
    /// The stable code of the refusal, if it was one.
    pub refusal: Option<String>,
    pub flow: crate::data::Flow,
    /// Each candidate deployment with the reason for which it was kept or left out.
    pub candidates: Vec<(DeploymentId, String)>,
    pub masked: Vec<String>,
    pub revision: Revision,
}

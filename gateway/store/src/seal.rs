//! Secrets at rest: sealed by a data key of their org, which a master key outside the store wraps.
//!
//! A sealed value is base64 of: one byte that names this form, the version of the data key (4
//! bytes, big-endian), a nonce (12 bytes), then AES-256-GCM's ciphertext with its tag. The org's
//! id and the column are authenticated with it, so that a value which somebody moved to another
//! org, or to another column, does not open.

mod cipher;
mod keeper;
mod master;
mod secret;
#[cfg(test)]
mod tests;

pub use self::{
    keeper::{Keeper, Rewrapped},
    master::{BadMasterKey, MASTER_KEY_BYTES, MasterKey},
    secret::Secret,
};

use crate::{Fault, entropy::Dry};
use async_trait::async_trait;
use policies::ids::OrgId;

/// Bytes of a value that can be sealed, at most.
pub const SECRET_BYTES_MAX: usize = 64 * 1024;

/// The columns that hold sealed values: a value opens only as what it was sealed as.
pub mod column {
    pub const PROVIDER_CREDENTIAL: &str = "provider.credential";
    pub const CLIENT_SECRET: &str = "identity_provider.client_secret";
}

/// Something outside the store that wraps data keys: a master key, or a key service.
///
/// `bound_to` is authenticated with the wrapped key: it unwraps for the same text only. A key
/// service has a field for it, often called the encryption context.
#[async_trait]
pub trait KeyWrapper: Send + Sync {
    /// Stored beside what it wraps. It never changes, and tells nothing about the key.
    fn id(&self) -> &str;
    async fn wrap(&self, bound_to: &str, key: &[u8]) -> Result<Vec<u8>, SealFault>;
    /// [`SealFault::Refused`]: it was not wrapped by this, or not for `bound_to`.
    async fn unwrap(&self, bound_to: &str, wrapped: &[u8]) -> Result<Secret<Vec<u8>>, SealFault>;
}

/// Why something was not sealed or opened. No text here holds a secret, or a part of one.
#[derive(Debug, thiserror::Error)]
pub enum SealFault {
    /// Not base64 of our form, or of a form that a later version writes.
    #[error("not a sealed value that this version can read")]
    Malformed,
    /// It was sealed as something else, or was changed since: the two look the same.
    #[error("the value was sealed for another org, column or key, or it was changed")]
    Refused,
    #[error("`{org}` has no data key of version {version}")]
    NoDataKey { org: OrgId, version: u32 },
    #[error(
        "{keys} data keys in the store are wrapped by the master key `{master}`, which is not \
         among those that are configured ({known}): configure it as the master key, or among the \
         older ones until `penstock secrets rewrap` has run"
    )]
    UnknownMaster { master: String, keys: usize, known: String },
    /// The data key of the installation does not unwrap, although its master key is known.
    #[error("the installation's data key does not open: the store was changed by something else")]
    Spoiled,
    #[error("a secret has at most {SECRET_BYTES_MAX} bytes")]
    TooLong,
    /// Others change the same data keys again and again; nothing was changed.
    #[error("the data keys are being changed by somebody else; nothing was changed: try again")]
    Conflict,
    /// The key service outside does not answer; it may later. Its text says why.
    #[error("the key service does not answer: {0}")]
    Away(String),
    #[error(transparent)]
    Store(#[from] Fault),
    #[error(transparent)]
    Dry(#[from] Dry),
}

impl SealFault {
    /// True: the same call may succeed later, with nothing changed.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Away(_) | Self::Dry(_) | Self::Conflict => true,
            Self::Store(fault) => !fault.is_about_data(),
            Self::Malformed
            | Self::Refused
            | Self::NoDataKey { .. }
            | Self::UnknownMaster { .. }
            | Self::Spoiled
            | Self::TooLong => false,
        }
    }
}

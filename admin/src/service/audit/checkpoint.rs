//! Signed statements of how long an org's chain was at a moment, and what its last hash was.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use policies::{ids::OrgId, time::Timestamp};
use serde::{Deserialize, Serialize};
use store::audit::Head;

/// The version of the form that is written.
pub const VERSION: u32 = 1;

/// What the signed text begins with: the form's name.
const RECIPE: &str = "penstock-audit-checkpoint-v1";

/// One line of a file of checkpoints. Bytes are in lower-case hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    pub version: u32,
    pub org: OrgId,
    /// Rows in the chain.
    pub size: u64,
    /// The hash of row `size`.
    pub head: String,
    /// RFC 3339, in UTC, with milliseconds.
    pub at: String,
    /// 32 bytes (RFC 8032).
    pub public_key: String,
    /// 64 bytes (RFC 8032), over [`Checkpoint::message`].
    pub signature: String,
}

impl Checkpoint {
    pub fn sign(key: &Ed25519KeyPair, org: OrgId, head: Head, at: Timestamp) -> Self {
        let mut checkpoint = Self {
            version: VERSION,
            org,
            size: head.size,
            head: hex::encode(head.hash),
            at: at.rfc3339(),
            public_key: hex::encode(key.public_key()),
            signature: String::new(),
        };
        checkpoint.signature = hex::encode(key.sign(checkpoint.message().as_bytes()));
        checkpoint
    }

    /// The signed text: five lines, joined by `\n`, without one at the end.
    pub fn message(&self) -> String {
        let Self { org, size, head, at, .. } = self;
        format!("{RECIPE}\n{org}\n{size}\n{head}\n{at}")
    }

    /// Whether the key that it names has signed it.
    pub fn is_signed(&self) -> bool {
        let (Ok(key), Ok(signature)) =
            (hex::decode(&self.public_key), hex::decode(&self.signature))
        else {
            return false;
        };
        let key = UnparsedPublicKey::new(&ED25519, key);
        self.version == VERSION && key.verify(self.message().as_bytes(), &signature).is_ok()
    }

    /// What it states; none if its hash is no hash.
    pub fn stated(&self) -> Option<Head> {
        let hash = hex::decode(&self.head).ok()?.try_into().ok()?;
        Some(Head { size: self.size, hash })
    }
}

//! Makes the secret of a new key.

use aws_lc_rs::digest;
use policies::{
    document,
    ids::KeyId,
    key::{KEY_RANDOM_BYTES, key_text},
};
use std::fmt;
use store::entropy;

/// A key that was just made. Its secret is here and nowhere else; the store has only its hash.
pub struct Issued {
    pub org: String,
    pub key: String,
    pub id: KeyId,
    secret: String,
}

impl Issued {
    /// The secret, to be shown to its owner once.
    pub fn reveal(&self) -> &str {
        &self.secret
    }
}

/// Without the secret, so that no log can have it.
impl fmt::Debug for Issued {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Issued({}/{}, {})", self.org, self.key, self.id)
    }
}

/// The SHA-256 of a key's whole text: what the store knows of it. A key has 256 bits of chance,
/// so a slow hash would protect nothing more.
pub fn fingerprint(secret: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    let hash = digest::digest(&digest::SHA256, secret.as_bytes());
    for (byte, of_hash) in bytes.iter_mut().zip(hash.as_ref()) {
        *byte = *of_hash;
    }
    bytes
}

pub(super) fn issue(
    org: &str,
    id: [u8; 16],
    key: &mut document::Key,
) -> Result<Issued, entropy::Dry> {
    let mut random = [0; KEY_RANDOM_BYTES];
    entropy::fill(&mut random)?;
    let secret = key_text(&random);
    key.sha256 = Some(hex::encode(fingerprint(&secret)));
    Ok(Issued { org: org.to_owned(), key: key.name.clone(), id: KeyId::from_bytes(id), secret })
}

//! Makes the secret of a new key.

use aws_lc_rs::digest;
use policies::{
    document::Document,
    ids::KeyId,
    key::{self, KEY_RANDOM_BYTES, admin_key_text, key_text},
};
use std::fmt;
use store::entropy::{self, Dry};

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
    fingerprint_of(secret.as_bytes())
}

/// The SHA-256 of any bytes.
pub fn fingerprint_of(bytes: &[u8]) -> [u8; 32] {
    let hash = digest::digest(&digest::SHA256, bytes);
    let mut bytes = [0; 32];
    for (byte, of_hash) in bytes.iter_mut().zip(hash.as_ref()) {
        *byte = *of_hash;
    }
    bytes
}

/// A new secret and its hash.
pub fn secret_of(text: fn(&[u8; KEY_RANDOM_BYTES]) -> String) -> Result<(String, String), Dry> {
    let mut random = [0; KEY_RANDOM_BYTES];
    entropy::fill(&mut random)?;
    let secret = text(&random);
    let sha256 = hex::encode(fingerprint(&secret));
    Ok((secret, sha256))
}

/// Makes the secret of a key, of either kind, that has none yet.
pub(super) fn issue(
    org: &str,
    id: [u8; 16],
    document: &mut Document,
) -> Result<Option<Issued>, Dry> {
    let (name, sha256, tail, text): (_, _, _, fn(&_) -> _) = if let Document::Key(key) = document {
        (&key.name, &mut key.sha256, &mut key.tail, key_text)
    } else if let Document::AdminKey(key) = document {
        (&key.name, &mut key.sha256, &mut key.tail, admin_key_text)
    } else {
        return Ok(None);
    };
    if sha256.is_some() {
        return Ok(None);
    }
    let (secret, hash) = secret_of(text)?;
    (*sha256, *tail) = (Some(hash), key::tail(&secret));
    let (org, key, id) = (org.to_owned(), name.clone(), KeyId::from_bytes(id));
    Ok(Some(Issued { org, key, id, secret }))
}

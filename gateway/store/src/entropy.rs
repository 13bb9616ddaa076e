//! The only source of ids and of randomness.

use crate::clock;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};

/// The operating system gave no randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no randomness")]
pub struct Dry;

/// Fills `bytes` from a cryptographically secure generator.
pub fn fill(bytes: &mut [u8]) -> Result<(), Dry> {
    SystemRandom::new().fill(bytes).map_err(|_| Dry)
}

/// The 16 bytes of a new id: a UUIDv7 (RFC 9562, section 5.7), so that ids sort by age.
pub fn id() -> Result<[u8; 16], Dry> {
    let mut random = [0; 10];
    fill(&mut random)?;
    let millis = u64::try_from(clock::now().0).unwrap_or(0);
    Ok(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid().into_bytes())
}

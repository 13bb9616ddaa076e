//! AES-256-GCM with a random nonce in front, and what is derived from a key.

use super::{SealFault, Secret};
use crate::entropy;
use aws_lc_rs::{
    aead::{self, AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, UnboundKey},
    hkdf,
};
use zeroize::Zeroizing;

/// Bytes of every key here.
pub(super) const KEY_BYTES: usize = 32;
/// Bytes of a tag, which stands at the end.
const TAG_BYTES: usize = 16;

/// Nonce, ciphertext and tag of `plaintext`, put behind `head`.
///
/// Nonces are random: a key may seal 2^32 values before two are likely to be the same (NIST SP
/// 800-38D, section 8.3). An org seals one for each secret that it is given.
pub(super) fn encrypt(
    key: &[u8],
    bound_to: &str,
    head: Vec<u8>,
    plaintext: &[u8],
) -> Result<Vec<u8>, SealFault> {
    let mut nonce = [0; NONCE_LEN];
    entropy::fill(&mut nonce)?;
    let mut sealed = head;
    sealed.reserve_exact(NONCE_LEN + plaintext.len() + TAG_BYTES);
    sealed.extend_from_slice(&nonce);
    // Encrypted in place, beside the result: no plaintext is left in what grows.
    let mut text = Zeroizing::new(plaintext.to_vec());
    let nonce = aead::Nonce::assume_unique_for_key(nonce);
    let tag = cipher(key)?.seal_in_place_separate_tag(nonce, aad(bound_to), text.as_mut_slice());
    let tag = tag.map_err(|_| SealFault::Refused)?;
    sealed.extend_from_slice(&text);
    sealed.extend_from_slice(tag.as_ref());
    Ok(sealed)
}

/// What [`encrypt`] made, without its head.
pub(super) fn decrypt(
    key: &[u8],
    bound_to: &str,
    sealed: &[u8],
) -> Result<Secret<Vec<u8>>, SealFault> {
    let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(SealFault::Malformed)?;
    let nonce = aead::Nonce::assume_unique_for_key(*nonce);
    let mut text = Zeroizing::new(text.to_vec());
    let opened = cipher(key)?.open_in_place(nonce, aad(bound_to), text.as_mut_slice());
    let opened = opened.map_err(|_| SealFault::Refused)?;
    Ok(Secret::new(opened.to_vec()))
}

/// A further key for another use: HKDF with SHA-256 (RFC 5869), without a salt.
pub(super) fn derive(key: &[u8], info: &str) -> Result<Secret<[u8; KEY_BYTES]>, SealFault> {
    let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]);
    let mut derived = Zeroizing::new([0; KEY_BYTES]);
    let key = salt.extract(key);
    let info = [info.as_bytes()];
    let output = key.expand(&info, hkdf::HKDF_SHA256).map_err(|_| SealFault::Refused)?;
    output.fill(derived.as_mut_slice()).map_err(|_| SealFault::Refused)?;
    Ok(Secret::new(*derived))
}

/// Only a key of another length fails.
fn cipher(key: &[u8]) -> Result<LessSafeKey, SealFault> {
    UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new).map_err(|_| SealFault::Refused)
}

fn aad(bound_to: &str) -> Aad<&[u8]> {
    Aad::from(bound_to.as_bytes())
}

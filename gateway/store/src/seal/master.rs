//! The master key: 32 bytes that are never in the store, from a file or the environment.

use super::{KeyWrapper, SealFault, Secret, cipher};
use crate::entropy;
use async_trait::async_trait;
use aws_lc_rs::digest;
use base64::{
    Engine,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use std::collections::BTreeSet;
use zeroize::Zeroizing;

pub const MASTER_KEY_BYTES: usize = cipher::KEY_BYTES;

/// Of 32 random bytes, about 30 differ. A key of which less than this many do was not drawn at
/// random; one that was has 17 or more but for one in a thousand million.
const DISTINCT_BYTES_MIN: usize = 17;
/// Bytes of the id, which is told in hexadecimal digits.
const ID_BYTES: usize = 8;
/// What is hashed before the key for its id, so that the id is of use for nothing else.
const ID_RECIPE: &[u8] = b"penstock-master-key-id";
/// The ids of keys that anybody can read in the manual.
const SAMPLE_IDS: &[&str] = &["657342773aee805e"];

/// Characters of a key as base64, without and with the padding.
const BASE64_CHARS: std::ops::RangeInclusive<usize> = 43..=44;
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Wraps the data keys of every org. Whoever has it and the store can read all that is sealed.
pub struct MasterKey {
    key: Secret<[u8; MASTER_KEY_BYTES]>,
    id: String,
}

/// Why a text is not taken as a master key. It tells nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMasterKey {
    #[error("it is empty{HOW}")]
    Empty,
    #[error("it is neither base64 nor hexadecimal, but a word or a sentence{HOW}")]
    Word,
    #[error("it has {0} bytes instead of {MASTER_KEY_BYTES}{HOW}")]
    Length(usize),
    #[error("all its bytes are the same{HOW}")]
    Uniform,
    #[error("it repeats itself: only {0} of its bytes differ{HOW}")]
    Repetitive(usize),
    #[error("its bytes count up or down{HOW}")]
    Sequence,
    #[error("it is readable text, not random bytes{HOW}")]
    Text,
    #[error("it is the sample of the manual, which anybody knows{HOW}")]
    Sample,
}

/// How to get a good one.
const HOW: &str = "; `penstock secrets generate-master-key` prints a good one";

impl MasterKey {
    /// From its text: base64 (with or without `=`) or 64 hexadecimal digits. White space around it
    /// is taken off. Weak keys are refused: what a person would think of, and known ones.
    pub fn parse(text: &str) -> Result<Self, BadMasterKey> {
        let text = text.trim();
        if text.is_empty() {
            return Err(BadMasterKey::Empty);
        }
        // Every hexadecimal digit is one of base64 too: the length says which is meant.
        let bytes = match BASE64_CHARS.contains(&text.len()) {
            true => BASE64.decode(text).ok(),
            false => hex::decode(text).ok().or_else(|| BASE64.decode(text).ok()),
        };
        let bytes = bytes.ok_or(BadMasterKey::Word)?;
        let bytes = Zeroizing::new(bytes);
        let key = bytes.as_slice().try_into().map_err(|_| BadMasterKey::Length(bytes.len()))?;
        Self::new(Secret::new(key))
    }

    /// A new one, and its text as base64.
    pub fn generate() -> Result<(Self, Secret<String>), entropy::Dry> {
        loop {
            let mut key = Zeroizing::new([0; MASTER_KEY_BYTES]);
            entropy::fill(key.as_mut_slice())?;
            let text = Secret::new(STANDARD.encode(key.as_slice()));
            // A random key looks weak so rarely that nobody will see a second turn.
            if let Ok(key) = Self::new(Secret::new(*key)) {
                return Ok((key, text));
            }
        }
    }

    fn new(key: Secret<[u8; MASTER_KEY_BYTES]>) -> Result<Self, BadMasterKey> {
        weakness(key.expose())?;
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(ID_RECIPE);
        context.update(key.expose());
        let hash = context.finish();
        let id = hex::encode(hash.as_ref().get(..ID_BYTES).unwrap_or_default());
        match SAMPLE_IDS.contains(&id.as_str()) {
            true => Err(BadMasterKey::Sample),
            false => Ok(Self { key, id }),
        }
    }
}

/// Signs that the key was thought up instead of drawn.
fn weakness(key: &[u8; MASTER_KEY_BYTES]) -> Result<(), BadMasterKey> {
    let distinct = key.iter().collect::<BTreeSet<_>>().len();
    let steps = key.iter().zip(key.iter().skip(1)).map(|(one, next)| next.wrapping_sub(*one));
    let steps: BTreeSet<u8> = steps.collect();
    if distinct == 1 {
        return Err(BadMasterKey::Uniform);
    }
    if steps.len() == 1 {
        return Err(BadMasterKey::Sequence);
    }
    if key.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
        return Err(BadMasterKey::Text);
    }
    if distinct < DISTINCT_BYTES_MIN {
        return Err(BadMasterKey::Repetitive(distinct));
    }
    Ok(())
}

#[async_trait]
impl KeyWrapper for MasterKey {
    fn id(&self) -> &str {
        &self.id
    }

    async fn wrap(&self, bound_to: &str, key: &[u8]) -> Result<Vec<u8>, SealFault> {
        cipher::encrypt(self.key.expose(), bound_to, Vec::new(), key)
    }

    async fn unwrap(&self, bound_to: &str, wrapped: &[u8]) -> Result<Secret<Vec<u8>>, SealFault> {
        cipher::decrypt(self.key.expose(), bound_to, wrapped)
    }
}

//! Local passwords: hashed with Argon2id, a few at a time.

use crate::failure::Failure;
use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version,
    password_hash::phc::PasswordHash,
};
use std::{sync::Arc, time::Duration};
use store::{entropy, seal::Secret};
use tokio::sync::Semaphore;

/// Characters of a password, at least.
pub const PASSWORD_CHARS_MIN: usize = 12;
/// Bytes of a password, at most.
pub const PASSWORD_BYTES_MAX: usize = 512;

/// Memory, passes and lanes of a hash: the first choice of OWASP's Password Storage Cheat Sheet.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;
/// Hashes under way at once: each takes a core and 19 MiB.
const HASHES_MAX: usize = 2;
/// How long somebody waits for their turn.
const TURN: Duration = Duration::from_secs(5);
const RETRY_SECS: u64 = 5;

/// A plain password, wiped when it is dropped.
pub type Password = Secret<String>;

/// The one place in which passwords are hashed.
pub struct Passwords {
    turns: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(HASHES_MAX)) }
    }
}

/// Refuses what is too easy to guess, or too long to be a password.
///
/// # Errors
/// [`Failure::Invalid`] at `field`.
pub fn must_be_strong(field: &str, password: &Password) -> Result<(), Failure> {
    let text = password.expose();
    if text.chars().count() < PASSWORD_CHARS_MIN {
        let message = format!("must have at least {PASSWORD_CHARS_MIN} characters");
        return Err(Failure::invalid(field, message));
    }
    if PASSWORD_BYTES_MAX < text.len() {
        let message = format!("must have at most {PASSWORD_BYTES_MAX} bytes");
        return Err(Failure::invalid(field, message));
    }
    Ok(())
}

impl Passwords {
    /// The hash to store (a PHC string).
    ///
    /// # Errors
    /// [`Failure::TooMany`] if others are being hashed for too long.
    pub async fn hash(&self, password: Password) -> Result<String, Failure> {
        let hashed = self.in_turn(move || hash(&password)).await?;
        hashed.ok_or(Failure::Unavailable)
    }

    /// Whether it is the password that was stored. It takes the same time where none was.
    ///
    /// # Errors
    /// As [`hash`](Self::hash).
    pub async fn check(&self, password: Password, stored: Option<String>) -> Result<bool, Failure> {
        let is_usable = password.expose().len() <= PASSWORD_BYTES_MAX;
        self.in_turn(move || match stored.as_deref().map(PasswordHash::new) {
            Some(Ok(stored)) if is_usable => {
                hasher().verify_password(password.expose().as_bytes(), &stored).is_ok()
            }
            Some(_) | None => {
                let _ = hash(&Secret::new(String::from("nobody's password")));
                false
            }
        })
        .await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let turn = tokio::time::timeout(TURN, Arc::clone(&self.turns).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(Failure::TooMany { retry_secs: RETRY_SECS }) };
        let done = tokio::task::spawn_blocking(move || {
            // Kept to the end of the work, also if the asker is gone by then.
            let _turn = turn;
            work()
        });
        done.await.map_err(|_| Failure::Unavailable)
    }
}

fn hasher() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash(password: &Password) -> Option<String> {
    let mut salt = [0; SALT_BYTES];
    entropy::fill(&mut salt).ok()?;
    let hash = hasher().hash_password_with_salt(password.expose().as_bytes(), &salt).ok()?;
    Some(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Secret::new(text.to_owned())
    }

    #[tokio::test]
    async fn a_password_is_known_again_and_another_is_not() {
        let passwords = Passwords::default();

        let stored = passwords.hash(password("correct horse battery")).await.unwrap();

        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        let good = passwords.check(password("correct horse battery"), Some(stored.clone()));
        assert!(good.await.unwrap());
        for wrong in ["correct horse batterY", "", &"x".repeat(PASSWORD_BYTES_MAX + 1)] {
            assert!(!passwords.check(password(wrong), Some(stored.clone())).await.unwrap());
        }
        assert!(!passwords.check(password("x"), None).await.unwrap());
        assert!(!passwords.check(password("x"), Some("plain".to_owned())).await.unwrap());
    }

    #[test]
    fn short_and_huge_passwords_are_refused() {
        assert!(must_be_strong("password", &password("short")).is_err());
        assert!(must_be_strong("password", &password(&"x".repeat(513))).is_err());
        assert!(must_be_strong("password", &password("twelve chars")).is_ok());
    }
}

//! Tokens that were verified, by their SHA-256, so that each signature is checked once.

use super::{Addressed, Bearer};
use crate::snapshot::{Live, World};
use admin::identity::credential::Credential;
use aws_lc_rs::digest;
use policies::{
    ids::{OrgId, Revision},
    time::Timestamp,
};
use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, PoisonError},
};

/// Tokens of one generation, at most. Two are kept: what was not asked for during a whole one is
/// forgotten.
const GENERATION_MAX: usize = 8_192;

/// What a token was found to mean.
#[derive(Debug)]
pub(super) struct Verified {
    /// One for each org that knows the person; our own credential is for one org only.
    /// Each with whether the token names that org.
    pub(super) bearers: Vec<(Bearer, Addressed)>,
    /// None: it is our own.
    pub(super) issuer: Option<String>,
    until: Timestamp,
    /// The settings by which it was judged: others may judge it otherwise. Empty: it is our own.
    judged: Vec<(OrgId, Revision)>,
}

impl Verified {
    pub(super) fn ours(credential: Credential) -> Self {
        let until = credential.expires;
        let bearers = vec![(credential.into(), Addressed::ToIt)];
        Self { bearers, issuer: None, until, judged: Vec::new() }
    }

    /// Means nobody yet.
    pub(super) fn of_world() -> Self {
        let until = Timestamp::NEVER;
        Self { bearers: Vec::new(), issuer: None, until, judged: Vec::new() }
    }

    pub(super) fn add(&mut self, live: &Live, bearer: (Bearer, Addressed), until: Timestamp) {
        self.bearers.push(bearer);
        self.until = self.until.min(until);
        self.judged.push((live.tenant.org, live.tenant.revision));
    }

    /// Whether the settings by which it was judged are still those of `world`.
    pub(super) fn holds_in(&self, world: &World) -> bool {
        self.judged.iter().all(|(org, revision)| {
            world.tenant(org).is_some_and(|live| live.tenant.revision == *revision)
        })
    }
}

#[derive(Default)]
pub(super) struct Tokens(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: HashMap<[u8; 32], Arc<Verified>>,
    old: HashMap<[u8; 32], Arc<Verified>>,
}

pub(super) fn hash(token: &str) -> [u8; 32] {
    let hash = digest::digest(&digest::SHA256, token.as_bytes());
    // SHA-256 has 32 bytes.
    hash.as_ref().try_into().unwrap_or_default()
}

impl Tokens {
    pub(super) fn get(&self, sha256: &[u8; 32], now: Timestamp) -> Option<Arc<Verified>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = match all.young.get(sha256) {
            Some(found) => Arc::clone(found),
            None => {
                let found = all.old.remove(sha256)?;
                all.insert(*sha256, Arc::clone(&found));
                found
            }
        };
        (now < found.until).then_some(found)
    }

    pub(super) fn keep(&self, sha256: [u8; 32], verified: Arc<Verified>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(sha256, verified);
    }
}

impl Generations {
    fn insert(&mut self, sha256: [u8; 32], verified: Arc<Verified>) {
        if GENERATION_MAX <= self.young.len() {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(sha256, verified);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_kept_and_the_rest_is_bounded() {
        let tokens = Tokens::default();
        let verified = Arc::new(Verified::of_world());
        let name = |at: usize| hash(&at.to_string());
        tokens.keep(name(0), Arc::clone(&verified));

        for at in 1..4 * GENERATION_MAX {
            tokens.keep(name(at), Arc::clone(&verified));
            if at % 1_000 == 0 {
                assert!(tokens.get(&name(0), Timestamp(0)).is_some(), "{at}");
            }
        }

        let all = tokens.0.lock().unwrap();
        assert!(all.young.len() + all.old.len() <= 2 * GENERATION_MAX);
        assert!(!all.young.contains_key(&name(1)) && !all.old.contains_key(&name(1)));
    }

    #[test]
    fn a_token_that_has_expired_is_not_found() {
        let tokens = Tokens::default();
        let verified = Verified { until: Timestamp(5), ..Verified::of_world() };
        tokens.keep([1; 32], Arc::new(verified));

        assert!(tokens.get(&[1; 32], Timestamp(4)).is_some());
        assert!(tokens.get(&[1; 32], Timestamp(5)).is_none());
    }
}

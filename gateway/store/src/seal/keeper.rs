//! Seals, opens and derives: the data keys of all orgs in use.

use super::{KeyWrapper, SECRET_BYTES_MAX, SealFault, Secret, cipher};
use crate::{
    INSTALLATION, clock, entropy,
    vault::{Vault, WrappedKey},
};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine, engine::general_purpose::STANDARD};
use policies::ids::OrgId;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};
use zeroize::Zeroizing;

/// The first byte of a sealed value.
const FORM: u8 = 1;
/// The version of an org's first data key.
const FIRST: u32 = 1;
/// Orgs whose data keys are kept in memory, at most.
const ORGS_KEPT_MAX: usize = 4_096;
/// How often a rewrap begins again because data keys were added meanwhile.
const REWRAPS_MAX: u32 = 8;

type DataKey = Secret<[u8; cipher::KEY_BYTES]>;
/// By version.
type DataKeys = BTreeMap<u32, DataKey>;

/// What a rewrap came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewrapped {
    /// Data keys that have a new wrapping.
    pub changed: usize,
    /// Data keys that had it already.
    pub unchanged: usize,
}

/// Holds the keys of all that is sealed. Each org has its own data key, made when it is first
/// needed; the store has it only wrapped.
pub struct Keeper {
    store: Arc<dyn Vault>,
    current: Arc<dyn KeyWrapper>,
    older: Vec<Arc<dyn KeyWrapper>>,
    kept: Mutex<HashMap<OrgId, Arc<DataKeys>>>,
}

impl Keeper {
    /// `current` wraps what is made from now on; `older` only unwrap what they wrapped before.
    pub fn new(
        store: Arc<dyn Vault>,
        current: Arc<dyn KeyWrapper>,
        older: Vec<Arc<dyn KeyWrapper>>,
    ) -> Self {
        Self { store, current, older, kept: Mutex::default() }
    }

    /// Whether every data key's master key is at hand, and the installation's data key opens; it
    /// is made if there is none. To be asked before anything is served.
    pub async fn check(&self) -> Result<(), SealFault> {
        let mut masters = BTreeMap::<String, usize>::new();
        for (_, key) in self.store.all_data_keys().await? {
            *masters.entry(key.master).or_default() += 1;
        }
        for (master, keys) in masters {
            self.wrapper(&master).map_err(|_| self.unknown(&master, keys))?;
        }
        match self.keys(&INSTALLATION).await {
            Ok(_) => Ok(()),
            Err(SealFault::Refused | SealFault::Malformed) => Err(SealFault::Spoiled),
            Err(fault) => Err(fault),
        }
    }

    /// The sealed text of a value of at most [`SECRET_BYTES_MAX`]. It opens for this org and this
    /// column only.
    pub async fn seal(
        &self,
        org: &OrgId,
        column: &str,
        plaintext: &[u8],
    ) -> Result<String, SealFault> {
        if SECRET_BYTES_MAX < plaintext.len() {
            return Err(SealFault::TooLong);
        }
        let keys = self.keys(org).await?;
        let missing = SealFault::NoDataKey { org: *org, version: FIRST };
        let (version, key) = keys.last_key_value().ok_or(missing)?;
        let mut head = vec![FORM];
        head.extend_from_slice(&version.to_be_bytes());
        let sealed = cipher::encrypt(key.expose(), &place(org, column), head, plaintext)?;
        Ok(STANDARD.encode(sealed))
    }

    /// What [`seal`](Keeper::seal) sealed.
    pub async fn open(
        &self,
        org: &OrgId,
        column: &str,
        sealed: &str,
    ) -> Result<Secret<Vec<u8>>, SealFault> {
        let sealed = STANDARD.decode(sealed).map_err(|_| SealFault::Malformed)?;
        let (form, rest) = sealed.split_first().ok_or(SealFault::Malformed)?;
        let (version, rest) = rest.split_first_chunk().ok_or(SealFault::Malformed)?;
        if *form != FORM {
            return Err(SealFault::Malformed);
        }
        let version = u32::from_be_bytes(*version);
        // Another gateway may have added the version after this one read them.
        let known = self.in_memory(org).filter(|keys| keys.contains_key(&version));
        let keys = match known {
            Some(keys) => keys,
            None => self.stored(org).await?,
        };
        let key = keys.get(&version).ok_or(SealFault::NoDataKey { org: *org, version })?;
        cipher::decrypt(key.expose(), &place(org, column), rest)
    }

    /// Gives every data key of every org the wrapping of the current master key: after it, the
    /// older ones wrap nothing any more. What is sealed stays as it is. Repeating it is harmless.
    pub async fn rewrap(&self) -> Result<Rewrapped, SealFault> {
        for _ in 0..REWRAPS_MAX {
            let all = self.store.all_data_keys().await?;
            let total = all.len();
            let mut changes = Vec::new();
            for (org, from) in all {
                if from.master == self.current.id() {
                    continue;
                }
                let key = self.unwrap(&org, &from).await?;
                let blob = self.wrap(&org, from.version, &key).await?;
                let master = self.current.id().to_owned();
                let to = WrappedKey { master, blob, ..from.clone() };
                changes.push((org, from, to));
            }
            if changes.is_empty() || self.store.rewrap(&changes).await? {
                let changed = changes.len();
                return Ok(Rewrapped { changed, unchanged: total - changed });
            }
        }
        Err(SealFault::Conflict)
    }

    /// The installation's signing key for one purpose: every gateway and every start has the same.
    /// Its seed is HKDF-SHA256 of the installation's first data key.
    pub async fn signing_key(&self, purpose: &str) -> Result<Ed25519KeyPair, SealFault> {
        let keys = self.keys(&INSTALLATION).await?;
        let missing = SealFault::NoDataKey { org: INSTALLATION, version: FIRST };
        let key = keys.get(&FIRST).ok_or(missing)?;
        let seed = cipher::derive(key.expose(), &format!("penstock ed25519 {purpose}"))?;
        Ed25519KeyPair::from_seed_unchecked(seed.expose()).map_err(|_| SealFault::Refused)
    }

    /// The public half of [`signing_key`](Keeper::signing_key) (RFC 8032, section 5.1.5).
    pub async fn public_key(&self, purpose: &str) -> Result<[u8; 32], SealFault> {
        let pair = self.signing_key(purpose).await?;
        pair.public_key().as_ref().try_into().map_err(|_| SealFault::Refused)
    }

    /// The org's data keys; the first is made if there is none.
    async fn keys(&self, org: &OrgId) -> Result<Arc<DataKeys>, SealFault> {
        if let Some(keys) = self.in_memory(org) {
            return Ok(keys);
        }
        let keys = self.stored(org).await?;
        if !keys.is_empty() {
            return Ok(keys);
        }
        // Of two that make it at once, one wins, and the other reads what that one made.
        self.make(org).await?;
        self.stored(org).await
    }

    /// The org's data keys as the store has them, which are kept in memory from then on.
    async fn stored(&self, org: &OrgId) -> Result<Arc<DataKeys>, SealFault> {
        let mut keys = DataKeys::new();
        for wrapped in self.store.data_keys(org).await? {
            keys.insert(wrapped.version, self.unwrap(org, &wrapped).await?);
        }
        let keys = Arc::new(keys);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if ORGS_KEPT_MAX <= kept.len() && !kept.contains_key(org) {
            kept.clear();
        }
        if !keys.is_empty() {
            kept.insert(*org, Arc::clone(&keys));
        }
        Ok(keys)
    }

    fn in_memory(&self, org: &OrgId) -> Option<Arc<DataKeys>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(org).map(Arc::clone)
    }

    async fn make(&self, org: &OrgId) -> Result<(), SealFault> {
        let mut bytes = Zeroizing::new([0; cipher::KEY_BYTES]);
        entropy::fill(bytes.as_mut_slice())?;
        let blob = self.wrap(org, FIRST, &Secret::new(*bytes)).await?;
        let master = self.current.id().to_owned();
        let key = WrappedKey { version: FIRST, master, blob, created: clock::now() };
        let _somebody_may_be_quicker = self.store.add_data_key(org, &key).await?;
        Ok(())
    }

    async fn wrap(&self, org: &OrgId, version: u32, key: &DataKey) -> Result<Vec<u8>, SealFault> {
        self.current.wrap(&bound_to(org, version), key.expose()).await
    }

    async fn unwrap(&self, org: &OrgId, wrapped: &WrappedKey) -> Result<DataKey, SealFault> {
        let bound_to = bound_to(org, wrapped.version);
        let opened = self.wrapper(&wrapped.master)?.unwrap(&bound_to, &wrapped.blob).await?;
        let key = opened.expose().as_slice().try_into().map_err(|_| SealFault::Malformed)?;
        Ok(Secret::new(key))
    }

    fn wrapper(&self, master: &str) -> Result<&dyn KeyWrapper, SealFault> {
        let found = self.wrappers().find(|it| it.id() == master);
        found.map(Arc::as_ref).ok_or_else(|| self.unknown(master, 1))
    }

    fn wrappers(&self) -> impl Iterator<Item = &Arc<dyn KeyWrapper>> {
        std::iter::once(&self.current).chain(&self.older)
    }

    fn unknown(&self, master: &str, keys: usize) -> SealFault {
        let known: Vec<String> = self.wrappers().map(|it| format!("`{}`", it.id())).collect();
        SealFault::UnknownMaster { master: master.to_owned(), keys, known: known.join(", ") }
    }
}

/// What a wrapped data key is bound to.
fn bound_to(org: &OrgId, version: u32) -> String {
    format!("{org}\n{version}")
}

/// What a sealed value is bound to.
fn place(org: &OrgId, column: &str) -> String {
    format!("{org}\n{column}")
}

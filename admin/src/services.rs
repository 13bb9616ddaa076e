//! What administrative requests may reach, built once at start.

use crate::{
    failure::Failure, identity::Issuers, outbound::Nowhere, probe::Probe, service::sign_in::SignIn,
};
use policies::{
    authority::{self, Authority},
    ids::{AdminKeyId, KeyId, OrgId, Revision},
    time::Timestamp,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use store::{Settings, Store, clock};

/// The use of an admin key is written down this often, at most.
const NOTE_MILLIS: i64 = 60_000;
const KEYS_NOTED_MAX: usize = 10_000;
/// Orgs whose compiled authority is kept, at most.
const ORGS_KEPT_MAX: usize = 256;

/// An org's settings at one revision, with who may do what in it.
#[derive(Debug)]
pub struct Known {
    pub settings: Settings,
    pub authority: Authority,
}

pub struct Services {
    pub store: Arc<dyn Store>,
    pub probe: Arc<dyn Probe>,
    pub sign_in: SignIn,
    /// Whose word is taken, with the way out to them.
    pub issuers: Arc<Issuers>,
    known: Mutex<HashMap<OrgId, Arc<Known>>>,
    /// When the use of each admin key was last written down.
    noted: Mutex<HashMap<AdminKeyId, Timestamp>>,
}

impl Services {
    pub fn new(store: Arc<dyn Store>, probe: Arc<dyn Probe>) -> Self {
        let (sign_in, issuers) = (SignIn::default(), Issuers::new(Arc::new(Nowhere)));
        Self {
            store,
            probe,
            sign_in,
            issuers: Arc::new(issuers),
            known: Mutex::default(),
            noted: Mutex::default(),
        }
    }

    /// The same, with these issuers of tokens.
    #[must_use]
    pub fn believing(self, issuers: Arc<Issuers>) -> Self {
        Self { issuers, ..self }
    }

    /// The same, with these settings of signing in.
    #[must_use]
    pub fn signing_in(self, sign_in: SignIn) -> Self {
        Self { sign_in, ..self }
    }

    /// The org as it is now; none if there is no such org.
    pub async fn org(&self, org: &OrgId) -> Result<Option<Arc<Known>>, Failure> {
        let revisions = self.store.revisions().await?;
        let Some((_, revision)) = revisions.iter().find(|(id, _)| id == org) else {
            return Ok(None);
        };
        if let Some(known) = self.kept(org, *revision) {
            return Ok(Some(known));
        }
        let Some(settings) = self.store.settings(org).await? else { return Ok(None) };
        let authority = authority::compile(*org, &settings.objects);
        let known = Arc::new(Known { settings, authority });
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if ORGS_KEPT_MAX <= all.len() && !all.contains_key(org) {
            all.clear();
        }
        all.insert(*org, Arc::clone(&known));
        Ok(Some(known))
    }

    /// Writes the use of an admin key down, once a minute at most.
    pub async fn note_use(&self, org: &OrgId, key: AdminKeyId) -> Result<(), Failure> {
        let now = clock::now();
        {
            let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
            let fresh = |at: &Timestamp| now < at.plus_millis(NOTE_MILLIS);
            if noted.get(&key).is_some_and(fresh) {
                return Ok(());
            }
            if KEYS_NOTED_MAX <= noted.len() {
                noted.clear();
            }
            noted.insert(key, now);
        }
        Ok(self.store.used(org, &[(KeyId::from_bytes(*key.as_bytes()), now)]).await?)
    }

    fn kept(&self, org: &OrgId, revision: Revision) -> Option<Arc<Known>> {
        let all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(org).filter(|known| known.settings.revision == revision).map(Arc::clone)
    }
}

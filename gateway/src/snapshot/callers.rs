//! Who calls an org's models, indexed for requests: people by what others call them, and the keys
//! of services that act for them.

use admin::identity::jwks::Key;
use policies::{
    document::Identity,
    ids::{ServiceAccountId, UserId},
    tenant::Tenant,
};
use std::collections::{BTreeMap, HashMap};

#[derive(Default)]
pub(super) struct Callers {
    identities: BTreeMap<Identity, UserId>,
    /// By name, and by address in small letters. None: several are called that.
    names: HashMap<String, Option<UserId>>,
    assertion_keys: HashMap<ServiceAccountId, Vec<Key>>,
}

impl Callers {
    pub(super) fn of(tenant: &Tenant) -> Self {
        let mut callers = Self::default();
        for (id, person) in &tenant.people {
            for identity in &person.identities {
                callers.identities.insert(identity.clone(), *id);
            }
            callers.call(person.name.clone(), *id);
            if let Some(email) = &person.email {
                callers.call(email.to_ascii_lowercase(), *id);
            }
        }
        for (id, machine) in &tenant.machines {
            let texts = machine.act_for.iter().flat_map(|rule| &rule.keys);
            let keys = texts.filter_map(|pem| {
                let key = Key::from_pem(pem);
                if key.is_none() {
                    let (org, account) = (tenant.org, &machine.name);
                    tracing::error!(%org, account, "a public key in `act_for` cannot be read");
                }
                key
            });
            callers.assertion_keys.insert(*id, keys.collect());
        }
        callers
    }

    fn call(&mut self, name: String, user: UserId) {
        let known = self.names.entry(name).or_insert(Some(user));
        if *known != Some(user) {
            *known = None;
        }
    }

    pub(super) fn user_of(&self, identity: &Identity) -> Option<UserId> {
        self.identities.get(identity).copied()
    }

    /// By name or address: none if two are meant.
    pub(super) fn user_called(&self, name: &str) -> Option<UserId> {
        let exactly = self.names.get(name);
        let address = name.contains('@').then(|| name.to_ascii_lowercase());
        let loosely = address.and_then(|address| self.names.get(&address));
        match (exactly, loosely) {
            (Some(one), Some(other)) if one == other => *one,
            (Some(_), Some(_)) | (None, None) => None,
            (Some(only), None) | (None, Some(only)) => *only,
        }
    }

    pub(super) fn assertion_keys(&self, account: &ServiceAccountId) -> &[Key] {
        self.assertion_keys.get(account).map_or(&[], Vec::as_slice)
    }
}

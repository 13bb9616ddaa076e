//! Who calls an org's models, indexed for requests: people by what others call them, and the keys
//! of services that act for them.

use admin::identity::{credential::Basis, jwks::Key};
use policies::{
    document::Identity,
    ids::{ServiceAccountId, UserId, WorkloadIdentityId},
    tenant::Tenant,
};
use std::collections::{BTreeMap, HashMap, HashSet};

#[derive(Default)]
pub(super) struct Callers {
    identities: BTreeMap<Identity, UserId>,
    /// On which word of which issuer somebody's credentials rest.
    bases: HashSet<(UserId, String, Basis)>,
    /// What each rule for machines asks for.
    rules: HashMap<WorkloadIdentityId, Basis>,
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
                let basis = Basis::of_person(&identity.issuer, &identity.subject);
                callers.bases.insert((*id, identity.issuer.clone(), basis));
            }
            callers.call(person.name.clone(), *id);
            if let Some(email) = &person.email {
                callers.call(email.to_ascii_lowercase(), *id);
            }
        }
        for rule in &tenant.workloads {
            callers.rules.insert(rule.id, Basis::of_rule(&rule.settings));
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

    pub(super) fn rests_on(&self, rule: &WorkloadIdentityId, basis: Basis) -> bool {
        self.rules.get(rule) == Some(&basis)
    }

    pub(super) fn vouches(&self, user: UserId, issuer: &str, basis: Basis) -> bool {
        self.bases.contains(&(user, issuer.to_owned(), basis))
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

//! [`Vault`] over a plain map.

use super::Model;
use crate::{
    Fault,
    vault::{Vault, WrappedKey, left, same_versions},
};
use async_trait::async_trait;
use policies::ids::OrgId;

#[async_trait]
impl Vault for Model {
    async fn data_keys(&self, org: &OrgId) -> Result<Vec<WrappedKey>, Fault> {
        Ok(self.read(|world| {
            let of_org = world.data_keys.iter().filter(|((of, _), _)| of == org);
            of_org.map(|(_, key)| key.clone()).collect()
        }))
    }

    async fn add_data_key(&self, org: &OrgId, key: &WrappedKey) -> Result<bool, Fault> {
        self.write(|world| {
            let place = (*org, key.version);
            let is_new = !world.data_keys.contains_key(&place);
            world.data_keys.entry(place).or_insert_with(|| key.clone());
            Ok(is_new)
        })
    }

    async fn rewrap(&self, changes: &[(OrgId, WrappedKey, WrappedKey)]) -> Result<bool, Fault> {
        same_versions(changes)?;
        self.write(|world| {
            let mut next = world.data_keys.clone();
            for (org, from, to) in changes {
                let stored = next.get_mut(&(*org, from.version));
                let same = |it: &WrappedKey| it.master == from.master && it.blob == from.blob;
                match stored.filter(|it| same(it)) {
                    Some(key) => {
                        key.master.clone_from(&to.master);
                        key.blob.clone_from(&to.blob);
                    }
                    None => return Ok(false),
                }
            }
            let left = left(changes);
            if next.values().any(|key| left.contains(&key.master.as_str())) {
                return Ok(false);
            }
            world.data_keys = next;
            Ok(true)
        })
    }

    async fn all_data_keys(&self) -> Result<Vec<(OrgId, WrappedKey)>, Fault> {
        Ok(self.read(|world| {
            world.data_keys.iter().map(|((org, _), key)| (*org, key.clone())).collect()
        }))
    }
}

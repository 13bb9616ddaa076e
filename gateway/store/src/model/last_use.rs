//! [`LastUse`] over a plain map.

use super::Model;
use crate::{Fault, last_use::LastUse};
use async_trait::async_trait;
use policies::{
    ids::{KeyId, OrgId},
    time::Timestamp,
};

#[async_trait]
impl LastUse for Model {
    async fn used(&self, org: &OrgId, uses: &[(KeyId, Timestamp)]) -> Result<(), Fault> {
        self.write(|world| {
            for (key, used) in uses {
                let last = world.last_uses.entry((*org, *key)).or_insert(*used);
                *last = (*last).max(*used);
            }
            Ok(())
        })
    }

    async fn last_uses(&self, org: &OrgId) -> Result<Vec<(KeyId, Timestamp)>, Fault> {
        Ok(self.read(|world| {
            let of_org = world.last_uses.iter().filter(|((of, _), _)| of == org);
            of_org.map(|((_, key), used)| (*key, *used)).collect()
        }))
    }
}

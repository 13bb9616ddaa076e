//! When each key was last used, written down now and then.

use policies::{
    ids::{KeyId, OrgId},
    time::Timestamp,
};
use std::{
    collections::HashMap,
    mem,
    sync::{Mutex, PoisonError, TryLockError},
};
use store::{Fault, last_use::LastUse};

/// Keys whose use waits to be written, at most: what comes beyond is noted at its next use.
const WAITING_MAX: usize = 100_000;

/// Uses since the last writing.
#[derive(Default)]
pub struct Uses {
    seen: Mutex<HashMap<(OrgId, KeyId), Timestamp>>,
}

impl Uses {
    /// Never waits: while another request notes its own, this one lets it be, and the key's next
    /// request is as good.
    pub fn note(&self, org: OrgId, key: KeyId, now: Timestamp) {
        let mut seen = match self.seen.try_lock() {
            Ok(seen) => seen,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if seen.len() < WAITING_MAX || seen.contains_key(&(org, key)) {
            seen.insert((org, key), now);
        }
    }

    /// Writes what was noted. What cannot be written is noted again at the next use.
    pub async fn write(&self, store: &(impl LastUse + ?Sized)) -> Result<(), Fault> {
        let seen = mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        let mut by_org: HashMap<OrgId, Vec<(KeyId, Timestamp)>> = HashMap::new();
        for ((org, key), at) in seen {
            by_org.entry(org).or_default().push((key, at));
        }
        for (org, uses) in by_org {
            store.used(&org, &uses).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::model::Model;

    #[tokio::test]
    async fn the_last_use_of_each_key_is_written_for_its_own_org() {
        let (uses, store) = (Uses::default(), Model::default());
        let org = |at: u8| OrgId::from_bytes([at; 16]);
        let key = KeyId::from_bytes([9; 16]);
        for (at, moment) in [(1, 10), (1, 20), (2, 15)] {
            uses.note(org(at), key, Timestamp(moment));
        }

        uses.write(&store).await.unwrap();

        assert_eq!(store.last_uses(&org(1)).await.unwrap(), [(key, Timestamp(20))]);
        assert_eq!(store.last_uses(&org(2)).await.unwrap(), [(key, Timestamp(15))]);
    }
}

//! The contract of [`LastUse`].

use super::samples::{ACME, OTHER};
use crate::{Fault, last_use::LastUse};
use policies::{ids::KeyId, time::Timestamp};

fn uses(uses: &[(u8, i64)]) -> Vec<(KeyId, Timestamp)> {
    let uses = uses.iter();
    uses.map(|(key, used)| (KeyId::from_bytes([*key; 16]), Timestamp(*used))).collect()
}

pub async fn of_two_uses_of_a_key_the_later_stays(store: &impl LastUse) -> Result<(), Fault> {
    store.used(&ACME, &uses(&[(2, 20), (1, 10), (1, 13), (1, 12)])).await?;
    store.used(&ACME, &uses(&[(2, 19), (1, 14), (3, 5)])).await?;
    store.used(&ACME, &[]).await?;

    assert_eq!(store.last_uses(&ACME).await?, uses(&[(1, 14), (2, 20), (3, 5)]));
    assert_eq!(store.last_uses(&OTHER).await?, []);
    Ok(())
}

pub async fn the_uses_of_an_org_are_its_own(store: &impl LastUse) -> Result<(), Fault> {
    store.used(&ACME, &uses(&[(1, 10)])).await?;
    store.used(&OTHER, &uses(&[(1, 11)])).await?;

    assert_eq!(store.last_uses(&ACME).await?, uses(&[(1, 10)]));
    assert_eq!(store.last_uses(&OTHER).await?, uses(&[(1, 11)]));
    Ok(())
}

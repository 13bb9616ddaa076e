//! The contract of [`Directory`](crate::Directory).

use super::{
    Seed,
    samples::{ACME, ADA_KEY, APP, ORGS, OTHER, house, key, org_object, project},
};
use crate::{Fault, Settings};
use policies::ids::{KeyId, Revision};

pub async fn an_empty_store_knows_nobody(store: &impl Seed) -> Result<(), Fault> {
    assert_eq!(store.revisions().await?, []);
    assert_eq!(store.settings(&ACME).await?, None);
    assert_eq!(store.keys().await?, []);
    Ok(())
}

pub async fn settings_come_back_as_they_were_put(store: &impl Seed) -> Result<(), Fault> {
    for org in ORGS {
        store.seed(&org, house(org)?).await?;
    }

    for org in ORGS {
        let objects = crate::sorted(house(org)?);
        let expected = Settings { org, revision: Revision(1), objects };
        assert_eq!(store.settings(&org).await?, Some(expected));
    }
    Ok(())
}

pub async fn objects_are_ordered_by_kind_and_then_by_name(store: &impl Seed) -> Result<(), Fault> {
    let objects = vec![
        key([1; 16], "acme", "a", 1)?,
        project([2; 16], "acme", "b")?,
        project([3; 16], "acme", "a")?,
        org_object(ACME, "acme")?,
    ];
    store.seed(&ACME, objects).await?;

    let settings = store.settings(&ACME).await?;

    let objects = settings.map(|settings| settings.objects).unwrap_or_default();
    let ids: Vec<_> = objects.iter().map(|object| object.id).collect();
    assert_eq!(ids, [*ACME.as_bytes(), [3; 16], [2; 16], [1; 16]]);
    Ok(())
}

pub async fn an_org_sees_its_own_objects_only(store: &impl Seed) -> Result<(), Fault> {
    store.seed(&ACME, vec![org_object(ACME, "acme")?, project(APP, "acme", "app")?]).await?;
    store.seed(&OTHER, vec![org_object(OTHER, "other")?]).await?;

    let settings = store.settings(&OTHER).await?;

    let objects = settings.map(|settings| settings.objects).unwrap_or_default();
    assert_eq!(objects, [org_object(OTHER, "other")?]);
    Ok(())
}

pub async fn a_key_hash_names_its_org_and_key(store: &impl Seed) -> Result<(), Fault> {
    for org in ORGS {
        store.seed(&org, house(org)?).await?;
    }

    let keys = store.keys().await?;

    let key = KeyId::from_bytes(ADA_KEY);
    assert_eq!(keys, [([1; 32], ACME, key), ([2; 32], OTHER, key)]);
    Ok(())
}

pub async fn every_change_raises_the_revision(store: &impl Seed) -> Result<(), Fault> {
    for org in ORGS {
        store.seed(&org, house(org)?).await?;
    }

    store.seed(&OTHER, vec![project([9; 16], "other", "new")?]).await?;

    assert_eq!(store.revisions().await?, [(ACME, Revision(1)), (OTHER, Revision(2))]);
    Ok(())
}

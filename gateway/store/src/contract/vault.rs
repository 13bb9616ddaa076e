//! The contract of [`Vault`].

use super::{
    boots::all_at_once,
    samples::{ACME, ORGS, OTHER},
};
use crate::{
    Fault, INSTALLATION,
    vault::{Vault, WrappedKey},
};
use policies::{ids::OrgId, time::Timestamp};

fn wrapped(version: u32, master: &str, blob: u8) -> WrappedKey {
    WrappedKey {
        version,
        master: master.to_owned(),
        blob: vec![blob, 0, blob],
        created: Timestamp(i64::from(version)),
    }
}

/// What `begin` puts, by org and version.
fn stored() -> Vec<(OrgId, WrappedKey)> {
    vec![
        (INSTALLATION, wrapped(1, "old", 1)),
        (ACME, wrapped(1, "old", 2)),
        (ACME, wrapped(2, "old", 3)),
        (OTHER, wrapped(1, "older", 4)),
    ]
}

async fn begin(store: &impl Vault) -> Result<(), Fault> {
    for (org, key) in stored().iter().rev() {
        assert!(store.add_data_key(org, key).await?);
    }
    Ok(())
}

/// Every key, and the same with other wrappings.
fn rewrapped() -> Vec<(OrgId, WrappedKey, WrappedKey)> {
    let all = stored().into_iter();
    all.map(|(org, from)| {
        let to = WrappedKey { master: "new".to_owned(), blob: vec![9], ..from.clone() };
        (org, from, to)
    })
    .collect()
}

pub async fn data_keys_are_listed_by_version(store: &impl Vault) -> Result<(), Fault> {
    assert_eq!(store.data_keys(&ACME).await?, []);

    begin(store).await?;

    assert_eq!(store.all_data_keys().await?, stored());
    for org in [INSTALLATION, ACME, OTHER] {
        let mut expected = stored();
        expected.retain(|(of, _)| *of == org);
        let expected: Vec<_> = expected.into_iter().map(|(_, key)| key).collect();
        assert_eq!(store.data_keys(&org).await?, expected);
    }
    Ok(())
}

pub async fn a_version_of_a_data_key_is_added_once(store: &impl Vault) -> Result<(), Fault> {
    let adds = (0..20_u8).map(|number| async move {
        let org = if number % 2 == 0 { ACME } else { OTHER };
        store.add_data_key(&org, &wrapped(1, "old", number)).await
    });
    let added = all_at_once(adds).await.into_iter().collect::<Result<Vec<_>, _>>()?;

    assert_eq!(added.iter().filter(|added| **added).count(), 2);
    for org in ORGS {
        let before = store.data_keys(&org).await?;
        assert!(!store.add_data_key(&org, &wrapped(1, "new", 99)).await?);
        assert_eq!(store.data_keys(&org).await?, before);
        assert_eq!(before.len(), 1);
    }
    Ok(())
}

pub async fn a_rewrap_gives_every_key_its_new_wrapping(store: &impl Vault) -> Result<(), Fault> {
    begin(store).await?;

    assert!(store.rewrap(&rewrapped()).await?);

    let expected = rewrapped().into_iter().map(|(org, _, to)| (org, to)).collect::<Vec<_>>();
    assert_eq!(store.all_data_keys().await?, expected);
    assert!(!store.rewrap(&rewrapped()).await?, "they have other wrappings now");
    Ok(())
}

pub async fn a_rewrap_of_what_has_changed_does_nothing(store: &impl Vault) -> Result<(), Fault> {
    begin(store).await?;

    // The last one is not what it was: another blob, another master, or no such version.
    for (version, master, blob) in [(1, "older", 5), (1, "old", 4), (7, "older", 4)] {
        let mut changes = rewrapped();
        if let Some((_, from, to)) = changes.last_mut() {
            *from = wrapped(version, master, blob);
            to.version = version;
        }
        assert!(!store.rewrap(&changes).await?);
        assert_eq!(store.all_data_keys().await?, stored());
    }
    Ok(())
}

pub async fn a_rewrap_leaves_no_key_with_a_master_that_it_leaves(
    store: &impl Vault,
) -> Result<(), Fault> {
    begin(store).await?;

    let mut forgetful = rewrapped();
    forgetful.remove(1);
    assert!(!store.rewrap(&forgetful).await?);
    assert_eq!(store.all_data_keys().await?, stored());

    let mut of_one_master = rewrapped();
    of_one_master.retain(|(_, from, _)| from.master == "older");
    assert!(store.rewrap(&of_one_master).await?);
    assert_eq!(store.data_keys(&OTHER).await?.first().map(|key| key.master.as_str()), Some("new"));
    Ok(())
}

pub async fn a_data_key_keeps_its_version(store: &impl Vault) -> Result<(), Fault> {
    begin(store).await?;
    let mut changes = rewrapped();
    for (_, _, to) in &mut changes {
        to.version += 1;
    }

    let outcome = store.rewrap(&changes).await;

    assert!(matches!(outcome, Err(Fault::Broken(_))), "{outcome:?}");
    assert_eq!(store.all_data_keys().await?, stored());
    Ok(())
}

//! The contract of [`Registry`].

use super::samples::{ACME, ADA_KEY, APP, ORGS, OTHER, house, key, org_object, project};
use crate::{Change, Committed, Fault, Registry, Settings};
use policies::{
    document::Object,
    ids::{OrgId, Revision},
};

async fn begin(store: &impl Registry) -> Result<(), Fault> {
    for org in ORGS {
        let done = store.commit(vec![change(org, 0, house(org)?)]).await?;
        assert_eq!(done, Committed::Done(vec![Revision(1)]));
    }
    Ok(())
}

fn change(org: OrgId, from: u64, put: Vec<Object>) -> Change {
    Change { org, from: Revision(from), put, remove: Vec::new(), acts: Vec::new() }
}

async fn both(store: &impl Registry) -> Result<[Option<Settings>; 2], Fault> {
    Ok([store.settings(&ACME).await?, store.settings(&OTHER).await?])
}

pub async fn a_change_from_an_old_revision_changes_nothing(
    store: &impl Registry,
) -> Result<(), Fault> {
    begin(store).await?;
    let before = both(store).await?;

    for from in [0, 2] {
        let put = vec![project([9; 16], "acme", "new")?];
        let outcome = store.commit(vec![change(ACME, from, put)]).await?;
        assert_eq!(outcome, Committed::Conflict(ACME));
    }

    assert_eq!(both(store).await?, before);
    Ok(())
}

pub async fn a_conflict_in_one_org_undoes_the_change_of_another(
    store: &impl Registry,
) -> Result<(), Fault> {
    begin(store).await?;
    let before = both(store).await?;

    let good = change(ACME, 1, vec![project([9; 16], "acme", "new")?]);
    let outcome = store.commit(vec![good, change(OTHER, 7, Vec::new())]).await?;

    assert_eq!(outcome, Committed::Conflict(OTHER));
    assert_eq!(both(store).await?, before);
    Ok(())
}

pub async fn a_name_is_taken_once_in_its_kind_and_org(store: &impl Registry) -> Result<(), Fault> {
    begin(store).await?;
    let before = both(store).await?;

    let outcome =
        store.commit(vec![change(ACME, 1, vec![project([9; 16], "acme", "app")?])]).await?;

    assert_eq!(outcome, Committed::NameTaken("app".to_owned()));
    assert_eq!(both(store).await?, before, "though the other org has an `app` as well");
    Ok(())
}

pub async fn an_org_name_is_taken_once(store: &impl Registry) -> Result<(), Fault> {
    begin(store).await?;
    let third = OrgId::from_bytes([0xc; 16]);

    let taken = store.commit(vec![change(third, 0, vec![org_object(third, "acme")?])]).await?;
    let exchanged = store
        .commit(vec![
            change(ACME, 1, vec![org_object(ACME, "other")?]),
            change(OTHER, 1, vec![org_object(OTHER, "acme")?]),
        ])
        .await?;

    assert_eq!(taken, Committed::NameTaken("acme".to_owned()));
    assert_eq!(exchanged, Committed::Done(vec![Revision(2), Revision(2)]));
    assert_eq!(store.settings(&third).await?, None);
    Ok(())
}

pub async fn two_objects_may_change_names_in_one_change(
    store: &impl Registry,
) -> Result<(), Fault> {
    begin(store).await?;
    store.commit(vec![change(ACME, 1, vec![project([9; 16], "acme", "web")?])]).await?;

    let put = vec![project([9; 16], "acme", "app")?, project(APP, "acme", "web")?];
    let outcome = store.commit(vec![change(ACME, 2, put)]).await?;

    assert_eq!(outcome, Committed::Done(vec![Revision(3)]));
    Ok(())
}

pub async fn a_key_hash_belongs_to_one_key(store: &impl Registry) -> Result<(), Fault> {
    begin(store).await?;
    let before = store.keys().await?;

    let outcome =
        store.commit(vec![change(OTHER, 1, vec![key([9; 16], "other", "k", 1)?])]).await?;

    assert_eq!(outcome, Committed::NameTaken("k".to_owned()));
    assert_eq!(store.keys().await?, before);
    Ok(())
}

pub async fn a_removed_key_is_forgotten(store: &impl Registry) -> Result<(), Fault> {
    begin(store).await?;

    let removal = Change { remove: vec![ADA_KEY], ..change(ACME, 1, Vec::new()) };
    let outcome = store.commit(vec![removal]).await?;

    assert_eq!(outcome, Committed::Done(vec![Revision(2)]));
    let orgs: Vec<_> = store.keys().await?.into_iter().map(|(_, org, _)| org).collect();
    assert_eq!(orgs, [OTHER], "the other org's key has the same id");
    Ok(())
}

pub async fn a_renamed_object_keeps_its_id(store: &impl Registry) -> Result<(), Fault> {
    begin(store).await?;

    store.commit(vec![change(ACME, 1, vec![project(APP, "acme", "renamed")?])]).await?;

    let [acme, other] = both(store).await?;
    let name = |settings: Option<Settings>| {
        let objects = settings.map(|settings| settings.objects).unwrap_or_default();
        let found = objects.into_iter().find(|object| object.id == APP);
        found.map(|object| object.document.name().to_owned())
    };
    assert_eq!(name(acme).as_deref(), Some("renamed"));
    assert_eq!(name(other).as_deref(), Some("app"));
    Ok(())
}

//! The contract of [`AuditLog`], and of what [`Registry`] leaves in it.

use super::{
    boots::all_at_once,
    samples::{ACME, ORGS, OTHER, house, project},
};
use crate::{
    Change, Committed, Fault, INSTALLATION, Registry,
    audit::{Act, ActFilter, Actor, ActorKind, AuditLog, Entry, Head, Order, Outcome, Target},
    model::Model,
};
use policies::{
    ids::{OrgId, Revision},
    time::Timestamp,
};
use serde_json::json;
use std::collections::BTreeSet;

/// Looks of a reader for rows before it counts as one that will never see them.
const LOOKS_MAX: u32 = 100_000;

/// One of some acts that differ in all that a filter can ask for.
pub(crate) fn act(number: i64) -> Act {
    let target = Target {
        kind: "project".to_owned(),
        id: format!("target-{}", number % 7),
        name: "app".to_owned(),
        project: (number % 2 == 0).then(|| format!("project-{}", number % 4)),
    };
    Act {
        at: Timestamp(1_700_000_000_000 + number % 10),
        actor: Actor {
            kind: ActorKind::User,
            id: format!("user-{}", number % 5),
            name: "ada".to_owned(),
        },
        address: None,
        action: format!("project.act-{}", number % 3),
        outcome: Outcome::Done,
        target: (number % 6 != 0).then_some(target),
        before: None,
        after: Some(json!({ "number": number })),
        reason: None,
        request: None,
        via: "api".to_owned(),
        revision: None,
    }
}

async fn chain(store: &impl AuditLog, org: OrgId) -> Result<Vec<Entry>, Fault> {
    store.acts(&org, &ActFilter::default(), Order::Oldest, None, u32::MAX).await
}

/// The chain of the org, each link of which was checked.
async fn checked(store: &impl AuditLog, org: OrgId) -> Result<Vec<Entry>, Fault> {
    let entries = chain(store, org).await?;
    let mut head = Head::default();
    for entry in &entries {
        assert_eq!(entry.org, org);
        assert!(head.leads_to(entry), "{entry:?} does not follow {head:?}");
        head = entry.head();
    }
    assert_eq!(store.head(&org).await?, head);
    Ok(entries)
}

pub async fn each_org_has_one_chain_from_zero(store: &impl AuditLog) -> Result<(), Fault> {
    assert_eq!(store.head(&ACME).await?, Head::default());
    assert_eq!(store.heads().await?, []);

    for number in 0..3 {
        for org in [INSTALLATION, ACME, OTHER] {
            store.append(&org, vec![act(number), act(number + 10)]).await?;
        }
    }
    store.append(&OTHER, vec![act(99)]).await?;
    store.append(&OTHER, Vec::new()).await?;

    let mut heads = Vec::new();
    for (org, size) in [(INSTALLATION, 6), (ACME, 6), (OTHER, 7)] {
        let entries = checked(store, org).await?;
        assert_eq!(entries.len(), size);
        heads.push((org, store.head(&org).await?));
    }
    assert_eq!(store.heads().await?, heads);
    Ok(())
}

pub async fn an_act_comes_back_as_it_was(store: &impl AuditLog) -> Result<(), Fault> {
    let odd = "\u{0}\u{1} \"quoted\" \\ \u{7f} ümlaut \u{1f511}\n";
    let full = Act {
        actor: Actor { kind: ActorKind::AdminKey, id: odd.to_owned(), name: odd.to_owned() },
        address: Some("2001:db8::1".to_owned()),
        outcome: Outcome::Refused,
        action: odd.to_owned(),
        target: Some(Target {
            kind: "key".to_owned(),
            id: odd.to_owned(),
            name: odd.to_owned(),
            project: Some(odd.to_owned()),
        }),
        before: Some(json!({ "z": 1.5, "a": [null, odd], "long": u64::MAX })),
        after: Some(json!([])),
        reason: Some(odd.to_owned()),
        request: Some("req_1".to_owned()),
        revision: Some(7),
        ..act(1)
    };
    store.append(&OTHER, vec![act(2)]).await?;
    store.append(&ACME, vec![full.clone()]).await?;

    let odd = || vec![odd.to_owned()];
    let filter = ActFilter {
        actions: odd(),
        actors: odd(),
        targets: odd(),
        projects: odd(),
        ..ActFilter::default()
    };
    let entries = store.acts(&ACME, &filter, Order::Oldest, None, 10).await?;

    let acts = entries.iter().map(Entry::act).collect::<Result<Vec<_>, _>>()?;
    assert_eq!(acts, [full]);
    checked(store, ACME).await?;
    Ok(())
}

pub async fn a_page_of_acts_goes_on_where_the_last_one_ended(
    store: &impl AuditLog,
) -> Result<(), Fault> {
    for org in ORGS {
        store.append(&org, (0..10).map(act).collect()).await?;
    }

    for (order, expected) in
        [(Order::Oldest, (1..=10).collect::<Vec<_>>()), (Order::Newest, (1..=10).rev().collect())]
    {
        let (mut seqs, mut after) = (Vec::new(), None);
        loop {
            let page = store.acts(&ACME, &ActFilter::default(), order, after, 3).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.seq);
            seqs.extend(page.iter().map(|entry| entry.seq));
        }
        assert_eq!(seqs, expected);
    }
    Ok(())
}

pub async fn the_filters_are_those_of_the_model(store: &impl AuditLog) -> Result<(), Fault> {
    let model = Model::default();
    for number in 0..60 {
        let org = if number % 11 == 0 { OTHER } else { ACME };
        store.append(&org, vec![act(number)]).await?;
        model.append(&org, vec![act(number)]).await?;
    }

    let mut sizes = BTreeSet::new();
    for choice in 0..128_u32 {
        let on = |bit: u32| choice & (1 << bit) != 0;
        let words = |bit: u32, words: &[&str]| -> Vec<String> {
            let words = if on(bit) { words } else { &[] };
            words.iter().map(|word| (*word).to_owned()).collect()
        };
        let filter = ActFilter {
            from: on(0).then_some(Timestamp(1_700_000_000_003)),
            to: on(1).then_some(Timestamp(1_700_000_000_008)),
            actions: words(2, &["project.act-1", "project.act-2"]),
            actors: words(3, &["user-1", "user-2", "nobody' OR 1=1 --"]),
            targets: words(4, &["target-0", "target-3", "target-4"]),
            projects: words(5, &["project-0"]),
        };
        let order = if on(6) { Order::Newest } else { Order::Oldest };
        let found = store.acts(&ACME, &filter, order, Some(30), 20).await?;
        let expected = model.acts(&ACME, &filter, order, Some(30), 20).await?;
        let links = |entries: Vec<Entry>| -> Vec<_> {
            entries.into_iter().map(|entry| (entry.seq, entry.hash, entry.body)).collect()
        };
        sizes.insert(found.len());
        assert_eq!(links(found), links(expected), "{filter:?}");
    }

    assert!(4 < sizes.len(), "the filters differ: {sizes:?}");
    Ok(())
}

pub async fn many_at_once_never_fork_a_chain(store: &impl AuditLog) -> Result<(), Fault> {
    let writes = (0..100).map(|number| async move {
        let org = if number % 2 == 0 { ACME } else { OTHER };
        store.append(&org, vec![act(number), act(number + 1)]).await
    });
    all_at_once(writes).await.into_iter().collect::<Result<Vec<_>, _>>()?;

    let lengths = [checked(store, ACME).await?.len(), checked(store, OTHER).await?.len()];
    assert_eq!(lengths, [100; 2]);
    Ok(())
}

pub async fn a_sink_sees_every_row_once_and_in_order(store: &impl AuditLog) -> Result<(), Fault> {
    const WRITES: i64 = 60;
    let orgs = [ACME, OTHER, INSTALLATION];

    // The last of them reads while the others write.
    let tasks = (0..=WRITES).map(|number| async move {
        let mut seen: Vec<Entry> = Vec::new();
        if number < WRITES {
            for org in orgs {
                store.append(&org, vec![act(number)]).await?;
            }
            return Ok(seen);
        }
        let mut looks = 0;
        while seen.len() < 3 * usize::try_from(WRITES).unwrap_or(0) && looks < LOOKS_MAX {
            let after = seen.last().map_or(0, |entry| entry.position);
            seen.extend(store.arrivals(after, 7).await?);
            looks += 1;
        }
        Ok::<_, Fault>(seen)
    });
    let seen = all_at_once(tasks).await.into_iter().collect::<Result<Vec<_>, _>>()?.concat();

    assert!(seen.is_sorted_by(|left, right| left.position < right.position));
    for org in orgs {
        let of_org: Vec<_> = seen.iter().filter(|entry| entry.org == org).cloned().collect();
        assert_eq!(of_org, checked(store, org).await?);
    }
    Ok(())
}

pub async fn a_sink_remembers_how_far_it_came(store: &impl AuditLog) -> Result<(), Fault> {
    store.set_sink_position("siem", 7).await?;
    store.set_sink_position("file", 3).await?;
    store.set_sink_position("siem", 9).await?;

    assert_eq!(store.sink_position("siem").await?, 9);
    assert_eq!(store.sink_position("file").await?, 3);
    assert_eq!(store.sink_position("none").await?, 0);
    Ok(())
}

fn change(org: OrgId, from: u64, numbers: &[i64]) -> Change {
    let acts = numbers.iter().map(|number| act(*number)).collect();
    Change { org, from: Revision(from), put: Vec::new(), remove: Vec::new(), acts }
}

pub async fn a_change_leaves_its_acts_with_its_revision(
    store: &(impl AuditLog + Registry),
) -> Result<(), Fault> {
    store.append(&ACME, vec![act(1)]).await?;
    for org in ORGS {
        let put = house(org)?;
        store.commit(vec![Change { put, ..change(org, 0, &[2]) }]).await?;
    }
    store.commit(vec![change(ACME, 1, &[3, 4]), change(OTHER, 1, &[])]).await?;

    for (org, expected) in [(ACME, vec![None, Some(1), Some(2), Some(2)]), (OTHER, vec![Some(1)])] {
        let entries = checked(store, org).await?;
        let acts = entries.iter().map(Entry::act).collect::<Result<Vec<_>, _>>()?;
        assert_eq!(acts.iter().map(|act| act.revision).collect::<Vec<_>>(), expected);
    }
    Ok(())
}

pub async fn a_refused_change_leaves_no_act(
    store: &(impl AuditLog + Registry),
) -> Result<(), Fault> {
    for org in ORGS {
        let put = house(org)?;
        store.commit(vec![Change { put, ..change(org, 0, &[1]) }]).await?;
    }

    let conflict = store.commit(vec![change(ACME, 1, &[2]), change(OTHER, 0, &[2])]).await?;
    let put = vec![project([9; 16], "other", "app")?];
    let taken = Change { put, ..change(OTHER, 1, &[3]) };
    let taken = store.commit(vec![change(ACME, 1, &[3]), taken]).await?;

    assert_eq!(conflict, Committed::Conflict(OTHER));
    assert_eq!(taken, Committed::NameTaken("app".to_owned()));
    for org in ORGS {
        assert_eq!(checked(store, org).await?.len(), 1);
    }
    Ok(())
}

pub async fn changes_and_acts_at_once_never_fork_a_chain(
    store: &(impl AuditLog + Registry),
) -> Result<(), Fault> {
    for org in ORGS {
        store.commit(vec![Change { put: house(org)?, ..change(org, 0, &[]) }]).await?;
    }

    let writes = (0..100).map(|number| async move {
        let org = if number % 2 == 0 { ACME } else { OTHER };
        if number % 5 == 0 {
            // All are from one revision, so that one of each org is done.
            let done = store.commit(vec![change(org, 1, &[number])]).await?;
            return Ok(usize::from(matches!(done, Committed::Done(_))));
        }
        store.append(&org, vec![act(number), act(number + 1)]).await?;
        Ok::<usize, Fault>(2)
    });
    let written = all_at_once(writes).await.into_iter().sum::<Result<usize, _>>()?;

    assert_eq!(written, 2 * 80 + 2);
    let lengths = [checked(store, ACME).await?.len(), checked(store, OTHER).await?.len()];
    assert_eq!(lengths, [81; 2]);
    Ok(())
}

//! Every way to tamper with a chain that we could think of, and that an untouched one passes.

use super::*;
use crate::service::audit::{checkpoint::Checkpoint, export, line};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use policies::time::Timestamp;
use serde_json::{Value, json};
use store::{
    audit::{Act, Actor, ActorKind, AuditLog, Entry, Outcome, link},
    model::Model,
};

const ORG: OrgId = OrgId::from_bytes([1; 16]);
const OTHER: OrgId = OrgId::from_bytes([2; 16]);

fn act(name: &str) -> Act {
    Act {
        at: Timestamp(5),
        actor: Actor { kind: ActorKind::System, id: String::new(), name: name.to_owned() },
        address: None,
        action: "project.created".to_owned(),
        outcome: Outcome::Done,
        target: None,
        before: None,
        after: None,
        reason: Some("a \"quoted\" {brace} und ein Ü".to_owned()),
        request: None,
        via: "api".to_owned(),
        revision: None,
    }
}

/// A chain of five rows, as lines.
async fn chain(org: OrgId, name: &str) -> Vec<String> {
    let log = Model::default();
    for _ in 0..5 {
        log.append(&org, vec![act(name)]).await.unwrap();
    }
    let mut file = Vec::new();
    assert_eq!(export::export(&log, org, &mut file).await.unwrap(), 5);
    String::from_utf8(file).unwrap().lines().map(str::to_owned).collect()
}

fn key(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn state(key: &Ed25519KeyPair, rows: &[String], size: usize) -> String {
    let row = line::read(&rows[size - 1]).unwrap();
    let head = Head { size: row.seq, hash: row.hash };
    let checkpoint = Checkpoint::sign(key, row.org, head, Timestamp(9));
    serde_json::to_string(&checkpoint).unwrap()
}

/// The rows with their hashes made anew from row `from` on, as whoever has the store can do.
fn relinked(rows: &[String], from: usize) -> Vec<String> {
    let mut prev = [0; 32];
    let each = rows.iter().enumerate().map(|(index, text)| {
        let row = line::read(text).unwrap();
        let (org, body) = (row.org, row.act);
        let mut entry = Entry { org, seq: row.seq, prev, hash: row.hash, body, position: 0 };
        if from <= index {
            entry.hash = link(&entry.org, entry.seq, &prev, &entry.body);
        }
        prev = entry.hash;
        line::write(&entry)
    });
    each.collect()
}

fn check(rows: &[String], checkpoints: Option<&[String]>) -> Result<Checked, (Option<u64>, Flaw)> {
    check_with(rows, checkpoints, &[])
}

fn check_with(
    rows: &[String],
    checkpoints: Option<&[String]>,
    trusted: &[String],
) -> Result<Checked, (Option<u64>, Flaw)> {
    let rows = rows.join("\n") + "\n";
    let text = checkpoints.map(|lines| lines.join("\n") + "\n");
    let mut bytes = text.as_deref().map(str::as_bytes);
    let checkpoints = bytes.as_mut().map(|bytes| bytes as &mut dyn BufRead);
    match verify(&mut rows.as_bytes(), checkpoints, trusted) {
        Ok(checked) => Ok(checked),
        Err(Failed::Flawed { seq, flaw, .. }) => Err((seq, flaw)),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn an_untouched_chain_passes_and_says_what_was_checked() {
    let rows = chain(ORG, "ada").await;
    let foreign = chain(OTHER, "eve").await;
    let key = key(1);
    let lines = [state(&key, &rows, 2), state(&key, &foreign, 5), state(&key, &rows, 4)];

    let checked = check(&rows, Some(&lines)).unwrap();

    assert_eq!((checked.rows, checked.first, checked.org), (5, 1, Some(ORG)));
    assert_eq!((checked.checkpoints, checked.met), (2, 2));
    assert_eq!(checked.newest.as_ref().map(|(size, _)| *size), Some(4));
    let told = checked.to_string();
    assert!(told.contains("rows from 5 on"), "{told}");
    assert!(told.contains(&hex::encode(key.public_key())), "{told}");
}

#[tokio::test]
async fn an_export_that_goes_on_from_another_passes_from_there() {
    let rows = chain(ORG, "ada").await;

    let checked = check(&rows[2..], Some(&[state(&key(1), &rows, 2)])).unwrap();

    assert_eq!((checked.rows, checked.first), (3, 3));
    assert!(checked.to_string().contains("rows before 3"));
}

#[tokio::test]
async fn a_changed_row_is_found() {
    let rows = chain(ORG, "ada").await;
    for part in ["ada", "project.created", "\"at\":5", "api"] {
        let mut rows = rows.clone();
        let other = part.replace(['a', '5'], "7");
        rows[2] = rows[2].replace(part, &other);
        assert_eq!(check(&rows, None), Err((Some(3), Flaw::Changed)), "{part}");
    }
}

#[tokio::test]
async fn a_changed_row_with_a_hash_that_fits_is_found_at_the_row_after_it() {
    let rows = chain(ORG, "ada").await;
    let mut forged = rows.clone();
    forged[2] = forged[2].replace("ada", "eve");
    let row = line::read(&forged[2]).unwrap();
    let (hash, prev) = (link(&row.org, 3, &row.prev, &row.act), row.prev);
    let entry = Entry { org: ORG, seq: 3, prev, hash, body: row.act, position: 0 };
    forged[2] = line::write(&entry);

    assert_eq!(check(&forged, None), Err((Some(4), Flaw::Unlinked)));
}

#[tokio::test]
async fn a_dropped_a_swapped_a_repeated_and_an_inserted_row_are_found() {
    let rows = chain(ORG, "ada").await;

    let mut dropped = rows.clone();
    dropped.remove(2);
    let missing = Flaw::Missing { from: 3, to: 3 };
    assert_eq!(check(&dropped, None), Err((Some(3), missing.clone())));

    let mut swapped = rows.clone();
    swapped.swap(2, 3);
    assert_eq!(check(&swapped, None), Err((Some(3), missing)));

    let mut repeated = rows.clone();
    repeated.insert(3, rows[2].clone());
    assert_eq!(check(&repeated, None), Err((Some(3), Flaw::Misplaced { expected: 4 })));

    let mut inserted = rows.clone();
    inserted.insert(2, chain(ORG, "eve").await[2].clone());
    assert_eq!(check(&inserted, None), Err((Some(3), Flaw::Unlinked)));

    let mut foreign = rows.clone();
    foreign[2] = chain(OTHER, "ada").await[2].clone();
    assert_eq!(check(&foreign, None), Err((Some(3), Flaw::Foreign { found: OTHER })));
}

#[tokio::test]
async fn a_row_in_another_spelling_is_none() {
    let rows = chain(ORG, "ada").await;
    let spaced = rows[2].replace("\"seq\":3", "\"seq\": 3");
    let twice = rows[2].replace("\"seq\":3", "\"seq\":3,\"seq\":3");
    let more = rows[2].replace("\"seq\":3", "\"seq\":3,\"x\":3");
    for other in [spaced.as_str(), &twice, &more, &rows[2].to_uppercase(), "", "{}", "null"] {
        let mut rows = rows.clone();
        rows[2] = other.to_owned();
        let found = check(&rows, None);
        assert!(matches!(found, Err((Some(3), Flaw::NotARow { line: 3, .. }))), "{found:?}");
    }
}

#[tokio::test]
async fn a_cut_tail_is_found_by_a_checkpoint() {
    let rows = chain(ORG, "ada").await;
    let lines = [state(&key(1), &rows, 3), state(&key(1), &rows, 5)];

    let found = check(&rows[..4], Some(&lines));

    assert!(matches!(found, Err((Some(5), Flaw::Cut { size: 5, .. }))), "{found:?}");
    let nothing = verify(&mut "".as_bytes(), Some(&mut lines.join("\n").as_bytes()), &[]);
    let cut = |flaw: &Flaw| matches!(flaw, Flaw::Cut { .. });
    assert!(matches!(nothing, Err(Failed::Flawed { flaw, .. }) if cut(&flaw)));
    assert!(matches!(verify(&mut "".as_bytes(), None, &[]), Err(Failed::Empty)));
}

#[tokio::test]
async fn a_chain_written_anew_with_right_hashes_is_found_by_a_checkpoint() {
    let rows = chain(ORG, "ada").await;
    let kept = state(&key(1), &rows, 4);
    let mut anew = rows.clone();
    anew[1] = anew[1].replace("ada", "eve");
    let anew = relinked(&anew, 1);

    assert!(check(&anew, None).is_ok(), "nothing inside the chain can tell");
    let found = check(&anew, Some(&[kept]));
    assert!(matches!(found, Err((Some(4), Flaw::Rewritten { .. }))), "{found:?}");
}

#[tokio::test]
async fn a_chain_written_anew_and_signed_with_the_key_is_found_by_what_was_kept_outside() {
    let rows = chain(ORG, "ada").await;
    let key = key(1);
    let kept = state(&key, &rows, 4);
    let mut anew = rows.clone();
    anew[1] = anew[1].replace("ada", "eve");
    let anew = relinked(&anew, 1);

    let with_later = [kept.clone(), state(&key, &anew, 5)];
    let found = check(&anew, Some(&with_later));
    assert!(matches!(found, Err((Some(4), Flaw::Rewritten { .. }))), "{found:?}");

    let same_size = [kept, state(&key, &anew, 4)];
    let found = check(&anew, Some(&same_size));
    assert!(matches!(found, Err((None, Flaw::Checkpoint { line: 2, .. }))), "{found:?}");
}

#[tokio::test]
async fn forged_checkpoints_are_found() {
    let rows = chain(ORG, "ada").await;
    let own = key(1);
    let good = state(&own, &rows, 4);
    let trusted = [hex::encode(own.public_key())];

    assert!(check_with(&rows, Some(std::slice::from_ref(&good)), &trusted).unwrap().pinned);
    let mut changed: Value = serde_json::from_str(&good).unwrap();
    changed["size"] = json!(3);
    for bad in [changed.to_string(), state(&key(2), &rows, 4)] {
        let found = check_with(&rows, Some(&[good.clone(), bad]), &trusted);
        assert!(matches!(found, Err((None, Flaw::Checkpoint { line: 2, .. }))), "{found:?}");
    }
    let torn = good[..40].to_owned();
    let checked = check(&rows, Some(&[torn, good])).unwrap();
    assert_eq!((checked.checkpoints, checked.unread), (1, 1), "a gateway was killed as it wrote");
}

#[tokio::test]
async fn the_worked_example_of_the_manual_is_right() {
    let page = crate::manual::page("audit").unwrap();
    let block = |begin: &str| {
        let line = page.lines().map(str::trim).find(|line| line.starts_with(begin));
        line.unwrap_or_else(|| panic!("`{begin}` is not in the manual")).to_owned()
    };
    let row = block("{\"org\":\"org_");
    let checkpoint = block("{\"version\":1,");

    let checked = check(std::slice::from_ref(&row), Some(std::slice::from_ref(&checkpoint)));

    let checked = checked.unwrap();
    assert_eq!((checked.rows, checked.met), (1, 1));
    let read = line::read(&row).unwrap();
    let places = page.matches(&hex::encode(read.hash)).count();
    assert_eq!(places, 4, "row, checkpoint, sha256sum, message");
    let checkpoint: Checkpoint = serde_json::from_str(&checkpoint).unwrap();
    assert!(page.contains(&checkpoint.message().replace('\n', "\\n")));
}

//! Whoever has the store, and even the signing key, cannot tamper with the log unseen.

use super::{CHECKPOINTS, make_unit, org, plan, store};
use rusqlite::{Connection, params};
use std::fs;
use store::audit::link;
use tests::{
    house::House,
    process::Ran,
    wait::{self, SOON},
};

const UNITS: [&str; 4] = ["one", "two", "three", "four"];
const KEPT: &str = "kept-elsewhere.ndjson";

/// A house that has made some units and is shut down, with the checkpoints copied away.
async fn settled() -> House {
    let mut house = plan(org("acme").with(org("globex"))).open().await;
    for unit in UNITS {
        assert_eq!(make_unit(&house, "acme", unit).await, 201);
    }
    assert!(house.terminate().await.success());
    fs::copy(house.path(CHECKPOINTS), house.path(KEPT)).expect("a store to tamper with");
    house
}

async fn verify(house: &House, checkpoints: Option<&str>) -> Ran {
    let args = ["audit", "export", "--org", "acme", "-o", "acme.ndjson", "--config"];
    house.run(&[&args[..], &["penstock.toml"]].concat()).await.ok();
    let mut args = vec!["verify-audit", "acme.ndjson"];
    args.extend(checkpoints.iter().flat_map(|file| ["--checkpoints", file]));
    house.run(&args).await
}

/// The store without what guards its log.
fn unguarded(house: &House) -> Connection {
    let store = store(house);
    let names = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'";
    let mut statement = store.prepare(names).expect("a store to tamper with");
    let names: Vec<String> = statement
        .query_map([], |row| row.get(0))
        .expect("a store to tamper with")
        .map(|it| it.expect("a store to tamper with"))
        .collect();
    assert_eq!(names.len(), 3, "rows are guarded");
    for name in names {
        store.execute_batch(&format!("DROP TRIGGER {name}")).expect("a store to tamper with");
    }
    drop(statement);
    store
}

/// The row that made a unit, as its place in the chain of its org.
fn made(store: &Connection, unit: &str) -> (Vec<u8>, i64) {
    let body = format!("%unit.created%\"{unit}\"%");
    let sql = "SELECT org, seq FROM audit WHERE body LIKE ?1 ORDER BY seq LIMIT 1";
    store
        .query_row(sql, [body], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("a store to tamper with")
}

/// Hashes anew from the first row on, and the head too: what whoever writes to the store can do.
fn written_anew(store: &Connection, org: &[u8]) {
    let sql = "SELECT seq, body FROM audit WHERE org = ?1 ORDER BY seq";
    let mut statement = store.prepare(sql).expect("a store to tamper with");
    let rows: Vec<(i64, String)> = statement
        .query_map([org], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("a store to tamper with")
        .map(|it| it.expect("a store to tamper with"))
        .collect();
    let id = policies::ids::OrgId::from_bytes(org.try_into().expect("a store to tamper with"));
    let mut prev = [0; 32];
    for (seq, body) in &rows {
        let hash = link(&id, u64::try_from(*seq).expect("a store to tamper with"), &prev, body);
        let sql = "UPDATE audit SET prev = ?1, hash = ?2 WHERE org = ?3 AND seq = ?4";
        store
            .execute(sql, params![prev.as_slice(), hash.as_slice(), org, seq])
            .expect("a store to tamper with");
        prev = hash;
    }
    let sql = "UPDATE audit_head SET size = ?1, hash = ?2 WHERE org = ?3";
    let size = i64::try_from(rows.len()).expect("a store to tamper with");
    store.execute(sql, params![size, prev.as_slice(), org]).expect("a store to tamper with");
}

fn found(ran: &Ran, what: &str) {
    assert_eq!(ran.code(), Some(1), "{ran:?}");
    assert!(ran.stdout.contains(what), "`{what}` is not in {}", ran.stdout);
}

#[tokio::test]
async fn an_untouched_log_is_in_order() {
    let house = settled().await;

    let ran = verify(&house, Some(KEPT)).await;
    let key = house.run(&["audit", "public-key", "--config", "penstock.toml"]).await.ok();
    let pinned = ["verify-audit", "acme.ndjson", "--checkpoints", KEPT, "--public-key"];
    let with_key = house.run(&[&pinned[..], &[key.trim()]].concat()).await;
    let other = "00".repeat(32);
    let with_other = house.run(&[&pinned[..], &[other.as_str()]].concat()).await;

    assert_eq!(ran.code(), Some(0), "{ran:?}");
    assert!(ran.stdout.contains("in order") && ran.stdout.contains(key.trim()), "{ran:?}");
    assert_eq!(with_key.code(), Some(0), "{with_key:?}");
    found(&with_other, "another key");
    assert_eq!(house.run(&["verify-audit", "nothing.ndjson"]).await.code(), Some(2));
}

#[tokio::test]
async fn without_a_checkpoint_it_is_said_that_a_cut_tail_is_not_found_and_may_be_a_failure() {
    let house = settled().await;
    assert_eq!(verify(&house, Some(KEPT)).await.code(), Some(0));
    let log = fs::read_to_string(house.path("acme.ndjson")).unwrap();
    let cut: Vec<&str> = log.lines().take(log.lines().count() / 2).collect();
    fs::write(house.path("cut.ndjson"), cut.join("\n") + "\n").unwrap();
    let required = ["verify-audit", "cut.ndjson", "--require-checkpoint"];

    let alone = house.run(&["verify-audit", "cut.ndjson"]).await;
    let refused = house.run(&required).await;
    let with = house.run(&[&required[..], &["--checkpoints", KEPT]].concat()).await;

    assert_eq!(alone.code(), Some(0), "{alone:?}");
    assert!(!alone.stdout.contains("in order\n"), "{alone:?}");
    assert!(alone.stdout.contains("rows cut off at its end cannot be missed"), "{alone:?}");
    assert_eq!(refused.code(), Some(2), "{refused:?}");
    assert!(refused.stderr.contains("--checkpoints"), "{refused:?}");
    found(&with, "the tail is cut");
}

#[tokio::test]
async fn a_row_that_was_changed_dropped_swapped_or_forged_is_found_by_hashes_alone() {
    let house = settled().await;
    let store = unguarded(&house);
    let (org, seq) = made(&store, "two");
    let database = house.path("penstock.db");
    store.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(store);
    let untouched = fs::read(&database).unwrap();

    for (tampering, what) in [
        (
            "UPDATE audit SET body = replace(body, 'two', 'ten') WHERE seq = ?2 AND org = ?1",
            "changed",
        ),
        ("DELETE FROM audit WHERE seq = ?2 AND org = ?1", "missing"),
        (
            "UPDATE audit SET body = (SELECT other.body FROM audit AS other WHERE other.org = ?1
                AND other.seq = 2 * ?2 + 1 - audit.seq) WHERE org = ?1 AND seq IN (?2, ?2 + 1)",
            "changed",
        ),
        (
            "UPDATE audit SET prev = zeroblob(32), hash = zeroblob(32) WHERE seq = ?2 AND org = ?1",
            "changed",
        ),
        // Whole rows change their places.
        (
            "UPDATE audit SET (body, prev, hash) = (SELECT body, prev, hash FROM audit AS other
                WHERE other.org = ?1 AND other.seq = ?2 + 1) WHERE org = ?1 AND seq = ?2",
            "changed",
        ),
    ] {
        for beside in ["penstock.db-wal", "penstock.db-shm"] {
            // A process that has ended may have left none.
            let _ = fs::remove_file(house.path(beside));
        }
        fs::write(&database, &untouched).unwrap();
        let store = super::store(&house);
        assert!(0 < store.execute(tampering, params![org, seq]).unwrap(), "{tampering}");
        drop(store);

        let ran = verify(&house, None).await;

        found(&ran, &format!("WRONG at row {seq}"));
        found(&ran, what);
    }
}

#[tokio::test]
async fn a_forged_row_between_others_is_found_by_hashes_alone() {
    let house = settled().await;
    let store = unguarded(&house);
    let (org, seq) = made(&store, "two");
    store
        .execute_batch("UPDATE audit SET seq = -seq; UPDATE audit SET position = -position;")
        .expect_err("numbers are checked");
    let forged = "INSERT INTO audit (position, org, seq, prev, hash, body, at, action, actor)
        SELECT 1000000, org, 1000000, prev, hash, replace(body, 'two', 'ten'), at, action, actor
        FROM audit WHERE org = ?1 AND seq = ?2";
    store.execute(forged, params![org, seq]).unwrap();
    let shift = "UPDATE audit SET seq = seq + 1 WHERE org = ?1 AND seq = ?2";
    let last: i64 = store
        .query_row("SELECT size FROM audit_head WHERE org = ?1", [&org], |row| row.get(0))
        .unwrap();
    for from in (seq..=last).rev() {
        store.execute(shift, params![org, from]).unwrap();
    }
    let place = "UPDATE audit SET seq = ?2 WHERE org = ?1 AND seq = 1000000";
    store.execute(place, params![org, seq]).unwrap();
    store.execute("UPDATE audit_head SET size = size + 1 WHERE org = ?1", [&org]).unwrap();
    drop(store);

    let ran = verify(&house, None).await;

    found(&ran, &format!("WRONG at row {seq}"));
}

#[tokio::test]
async fn a_cut_tail_is_found_by_checkpoints_from_outside() {
    let house = settled().await;
    let store = unguarded(&house);
    let (org, seq) = made(&store, "three");
    store.execute("DELETE FROM audit WHERE org = ?1 AND ?2 <= seq", params![org, seq]).unwrap();
    written_anew(&store, &org);
    drop(store);

    assert_eq!(verify(&house, None).await.code(), Some(0), "nothing inside can tell");
    let ran = verify(&house, Some(KEPT)).await;

    assert_eq!(ran.code(), Some(1), "{ran:?}");
    let cut = ran.stdout.contains("tail is cut") || ran.stdout.contains("written anew");
    assert!(cut, "{}", ran.stdout);
}

#[tokio::test]
async fn a_chain_written_anew_raises_an_alarm_and_is_found_even_if_it_is_signed_again() {
    let mut house = settled().await;
    let store = unguarded(&house);
    let (org, seq) = made(&store, "two");
    let change = "UPDATE audit SET body = replace(body, 'two', 'ten') WHERE org = ?1 AND seq = ?2";
    store.execute(change, params![org, seq]).unwrap();
    written_anew(&store, &org);
    drop(store);
    found(&verify(&house, Some(KEPT)).await, "written anew");

    // The gateway does not sign it, and says so.
    house.start().await;
    wait::until(SOON, "the alarm", || async {
        let args = ["audit", "export", "--org", "penstock", "--config", "penstock.toml"];
        let text = house.run(&args).await.stdout;
        if text.contains("audit.head_went_back") { Ok(()) } else { Err(text) }
    })
    .await;
    assert!(house.terminate().await.success());
    found(&verify(&house, Some(CHECKPOINTS)).await, "written anew");

    // Somebody takes its memory away, so that the key signs the forged chain.
    fs::remove_file(house.path(CHECKPOINTS)).unwrap();
    house.start().await;
    assert!(house.terminate().await.success());
    let inside = verify(&house, Some(CHECKPOINTS)).await;
    assert_eq!(inside.code(), Some(0), "{inside:?}");
    found(&verify(&house, Some(KEPT)).await, "written anew");
    let both = [KEPT, CHECKPOINTS].map(|name| fs::read_to_string(house.path(name)).unwrap());
    fs::write(house.path("both.ndjson"), both.concat()).unwrap();
    let ran = verify(&house, Some("both.ndjson")).await;
    assert_eq!(ran.code(), Some(1), "{ran:?}");
}

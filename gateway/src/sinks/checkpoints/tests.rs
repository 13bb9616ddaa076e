//! A checkpoint for each chain that moved, and none that contradicts an earlier one.

use super::*;
use admin::service::audit::{export, verify::verify};
use std::{fs, path::Path};
use store::model::Model;

const ORG: OrgId = OrgId::from_bytes([1; 16]);
const OTHER: OrgId = OrgId::from_bytes([2; 16]);

fn key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

fn act(name: &str) -> Act {
    let mut act = contradiction(ORG, Head::default(), Head::default());
    act.action = "unit.created".to_owned();
    act.reason = Some(name.to_owned());
    act
}

async fn grow(log: &Model, org: OrgId, rows: usize) {
    for _ in 0..rows {
        log.append(&org, vec![act("one")]).await.unwrap();
    }
}

/// A start of the gateway that ends at once, with one round on its way.
async fn visit(log: &Arc<Model>, path: &Path) {
    let stop = CancellationToken::new();
    stop.cancel();
    let log = Arc::clone(log) as Arc<dyn AuditLog>;
    let ways = vec![Way::File(path.to_owned())];
    let every = Duration::from_secs(60);
    Checkpoints::new(log, key(), ways, every).run(&stop, Duration::from_secs(5)).await;
}

fn lines(path: &Path) -> Vec<Checkpoint> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[tokio::test]
async fn each_chain_that_moved_is_stated_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoints");
    let log = Arc::new(Model::default());
    grow(&log, ORG, 2).await;
    grow(&log, OTHER, 1).await;

    visit(&log, &path).await;
    visit(&log, &path).await;
    grow(&log, ORG, 1).await;
    visit(&log, &path).await;

    let told: Vec<(OrgId, u64)> = lines(&path).iter().map(|it| (it.org, it.size)).collect();
    assert_eq!(told, [(ORG, 2), (OTHER, 1), (ORG, 3)]);
    assert!(lines(&path).iter().all(Checkpoint::is_signed));
    let mut file = Vec::new();
    export::export(&*log, ORG, &mut file).await.unwrap();
    let kept = fs::read(&path).unwrap();
    let checked = verify(&mut file.as_slice(), Some(&mut kept.as_slice()), &[]).unwrap();
    assert_eq!(checked.met, 2);
}

#[tokio::test]
async fn a_chain_that_was_written_anew_raises_an_alarm_and_is_not_stated() {
    for rows in [0, 2, 3, 5] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoints");
        let before = Arc::new(Model::default());
        grow(&before, ORG, 3).await;
        visit(&before, &path).await;
        let anew = Arc::new(Model::default());
        anew.append(&OTHER, vec![act("other")]).await.unwrap();
        for _ in 0..rows {
            anew.append(&ORG, vec![act("forged")]).await.unwrap();
        }

        visit(&anew, &path).await;
        visit(&anew, &path).await;

        let of_org = lines(&path).into_iter().filter(|it| it.org == ORG).count();
        assert_eq!(of_org, 1, "{rows}");
        let all = ActFilter::default();
        let alarms = anew.acts(&INSTALLATION, &all, Order::Oldest, None, 9).await.unwrap();
        let first = alarms.first().map(|row| row.act().unwrap());
        let alarm = first.unwrap_or_else(|| panic!("no alarm with {rows} rows"));
        assert_eq!(alarm.action, "audit.head_went_back");
        assert_eq!(alarm.target.unwrap().id, ORG.to_string());
    }
}

#[tokio::test]
async fn lines_that_another_has_signed_silence_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoints");
    let log = Arc::new(Model::default());
    grow(&log, ORG, 1).await;
    let theirs = Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap();
    let forged = Checkpoint::sign(&theirs, ORG, Head { size: 99, hash: [9; 32] }, clock::now());
    fs::write(&path, serde_json::to_string(&forged).unwrap() + "\n{\"half").unwrap();

    visit(&log, &path).await;

    let last = lines(&path).pop().unwrap();
    assert_eq!((last.size, last.public_key), (1, hex::encode(key().public_key())));
}

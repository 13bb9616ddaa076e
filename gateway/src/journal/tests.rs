//! What the journal brings back, and what it lets go.

use super::*;
use crate::{
    config::Durability,
    purse::{Patience, Purse, Want},
    shipper::{Body, Outbox, Quarantine, Row, Shipper, bring},
};
use policies::{
    ids::{BootId, DeploymentId, KeyId, OrgId, ProjectId, RequestId, Revision, UserId},
    time::Timestamp,
    usage::{Leg, Outcome, Principal, Source, Surface, Tokens, UsageRecord},
};
use std::{collections::BTreeMap, path::Path, time::Duration};
use store::{Ledger, UsageLog, model::Model};

const ORG: OrgId = OrgId::from_bytes([1; 16]);
const BOOT: BootId = BootId::from_bytes([2; 16]);

struct Bench {
    journal: Journal,
    outbox: Arc<Outbox>,
    purse: Purse,
}

fn open(path: &Path) -> Bench {
    let file = File::open(path, Durability::ProcessCrash).unwrap();
    let outbox = Arc::new(Outbox::default());
    let journal = Journal::start(file, BOOT, 4, Arc::clone(&outbox)).unwrap();
    let quarantine = Arc::new(Quarantine::beside(path));
    let shipper = Arc::new(Shipper::new(Arc::clone(&outbox), quarantine));
    let purse = Purse::new(BOOT, Arc::new(Model::default()), shipper);
    Bench { journal, outbox, purse }
}

fn stamp(number: u8) -> Arc<Stamp> {
    let request = RequestId::from_bytes([number; 16]);
    Arc::new(Stamp {
        org: ORG,
        request,
        attempt: 1,
        logical_request: request,
        leg: Leg::Primary,
        unit_path: Vec::new(),
        project: ProjectId::from_bytes([3; 16]),
        cost_centre: None,
        tags: BTreeMap::new(),
        principal: Principal::User(UserId::from_bytes([4; 16])),
        acted_for: None,
        key: KeyId::from_bytes([5; 16]),
        end_user_hash: None,
        session_hash: None,
        task_hash: None,
        request_class: None,
        client_request_id: None,
        surface: Surface::Chat,
        stream: true,
        model: "m".to_owned(),
        tier: None,
        deployment: DeploymentId::from_bytes([6; 16]),
        upstream_model: "m".to_owned(),
        price: None,
        revision: Revision(1),
        boot: BOOT,
        chain: Vec::new(),
        hold: NanoUsd(100),
        admitted_at: Timestamp(1_000),
        queue_millis: 0,
    })
}

fn ending(counted: i64) -> Ending {
    Ending {
        outcome: Outcome::Finished,
        source: Source::Reported,
        tokens: Tokens::default(),
        cost: Some(NanoUsd(counted)),
        lines: BTreeMap::new(),
        counted: NanoUsd(counted),
        overrun: NanoUsd::ZERO,
        finish_reason: None,
        flaw: None,
        first_byte_millis: None,
        total_millis: 1,
        ended_at: Timestamp(2_000),
    }
}

impl Bench {
    async fn intend(&self, stamp: &Arc<Stamp>) {
        let intent = Some(Intent { stamp: Arc::clone(stamp) });
        self.journal.write(Entry { intent, ..Entry::default() }).await.unwrap();
    }

    async fn close(&self, stamp: &Arc<Stamp>, ending: Option<Ending>) {
        let want = Want { limits: vec![], budgets: vec![], amount: NanoUsd(100), tokens: 0 };
        let none = Patience(Duration::ZERO);
        let (_, hold, _) = self.purse.take(&ORG, &want, none).await.unwrap();
        let (stamp, seats) = (Arc::clone(stamp), Vec::new());
        let closing = Some(Closing { stamp, ending, hold, seats, place: None });
        self.journal.write(Entry { closing, ..Entry::default() }).await.unwrap();
    }
}

async fn recovered(path: &Path, ledger: &Model) -> Recovered {
    let file = File::open(path, Durability::ProcessCrash).unwrap();
    let quarantine = Quarantine::beside(path);
    let mut legacy = Legacy::read(&file, &quarantine, Timestamp(9_000)).unwrap();
    let recovered = legacy.bring(ledger, &file.id(), &quarantine).await.unwrap();
    file.mark_closed(&legacy.boots()).unwrap();
    recovered
}

async fn records(ledger: &Model) -> Vec<UsageRecord> {
    let all = policies::time::Span::LIFETIME;
    let page = ledger.page(&ORG, all, store::Cursor::default(), 100).await.unwrap();
    page.into_iter().map(|(_, record)| record).collect()
}

#[tokio::test]
async fn an_intent_that_was_never_sent_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let bench = open(&path);
    bench.intend(&stamp(1)).await;
    assert!(!bench.outbox.is_empty(), "an open intent is kept");
    bench.close(&stamp(1), None).await;

    assert!(bench.outbox.is_empty());
    assert!(bench.journal.stop(), "a clean end");
    drop(bench);
    assert_eq!(recovered(&path, &Model::default()).await, Recovered::default());
}

#[tokio::test]
async fn an_intent_without_an_ending_is_indeterminate_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let bench = open(&path);
    bench.intend(&stamp(1)).await;
    let request = stamp(1).request;
    bench.journal.note(Progress { request, attempt: 1, cost: NanoUsd(7), output_tokens: 3 });
    bench.intend(&stamp(2)).await;
    bench.close(&stamp(2), Some(ending(0))).await;
    assert!(!bench.journal.stop(), "an intent is open");
    drop(bench);

    let ledger = Model::default();
    let found = recovered(&path, &ledger).await;

    assert_eq!((found.rows, found.indeterminate, found.refused), (2, 1, 0));
    let mut records = records(&ledger).await;
    records.sort_by_key(|record| record.stamp.request);
    let cut_off = &records[0].ending;
    assert_eq!(cut_off.outcome, Outcome::Indeterminate);
    assert_eq!((cut_off.cost, cut_off.counted), (Some(NanoUsd(7)), NanoUsd(100)));
    assert_eq!(records[1].ending, ending(0));
}

/// A store that refuses the rows of one request.
struct Picky(Model, RequestId);

#[async_trait::async_trait]
impl Ledger for Picky {
    async fn ship(&self, org: &OrgId, rows: store::Shipment) -> Result<(), store::Fault> {
        if rows.records.iter().any(|record| record.stamp.request == self.1) {
            return Err(store::Fault::Broken("not this one".to_owned()));
        }
        self.0.ship(org, rows).await
    }

    async fn claim_journal(
        &self,
        journal: &policies::ids::JournalId,
        claim: &store::JournalClaim,
    ) -> Result<store::Claimed, store::Fault> {
        self.0.claim_journal(journal, claim).await
    }

    async fn open_boot(
        &self,
        boot: &BootId,
        journal: &policies::ids::JournalId,
    ) -> Result<(), store::Fault> {
        self.0.open_boot(boot, journal).await
    }

    async fn renew(&self, boot: &BootId) -> Result<Option<Timestamp>, store::Fault> {
        self.0.renew(boot).await
    }

    async fn sync(
        &self,
        org: &OrgId,
        boot: &BootId,
        ask: store::SyncAsk,
    ) -> Result<store::SyncReply, store::Fault> {
        self.0.sync(org, boot, ask).await
    }

    async fn close(&self, boot: &BootId, complete: bool) -> Result<(), store::Fault> {
        assert!(!complete, "something of it is not told");
        self.0.close(boot, complete).await
    }

    async fn recalls(
        &self,
        boot: &BootId,
        since: Timestamp,
    ) -> Result<store::Recalls, store::Fault> {
        self.0.recalls(boot, since).await
    }

    async fn unheard(&self, millis: i64) -> Result<Vec<BootId>, store::Fault> {
        self.0.unheard(millis).await
    }
}

fn free(number: u8) -> Row {
    let (stamp, ending) = (Arc::unwrap_or_clone(stamp(number)), ending(0));
    Row::new(Body::Record(Arc::new(UsageRecord { stamp, part: 0, ending })), [None; 2])
}

#[tokio::test]
async fn a_row_that_the_store_refuses_holds_up_no_other() {
    let ledger = Picky(Model::default(), RequestId::from_bytes([4; 16]));
    let rows: Vec<Row> = (1..=9).map(free).collect();

    let brought = bring(&ORG, &rows, &ledger).await;

    assert_eq!((brought.shipped.len(), brought.refused.len()), (8, 1));
    assert!(brought.away.is_none());
    assert_eq!(records(&ledger.0).await.len(), 8);
}

#[tokio::test]
async fn what_the_store_refuses_after_a_crash_is_kept_for_people_and_gives_nothing_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let bench = open(&path);
    for number in [1, 2] {
        bench.intend(&stamp(number)).await;
        bench.close(&stamp(number), Some(ending(0))).await;
    }
    assert!(!bench.journal.stop(), "rows are not shipped");
    drop(bench);

    let ledger = Picky(Model::default(), RequestId::from_bytes([2; 16]));
    let file = File::open(&path, Durability::ProcessCrash).unwrap();
    let quarantine = Quarantine::beside(&path);
    let mut legacy = Legacy::read(&file, &quarantine, Timestamp(9_000)).unwrap();
    let recovered = legacy.bring(&ledger, &file.id(), &quarantine).await.unwrap();

    assert_eq!((recovered.rows, recovered.refused), (2, 1));
    assert_eq!(records(&ledger.0).await.len(), 1);
    let kept = std::fs::read_to_string(quarantine.path()).unwrap();
    let line: serde_json::Value = serde_json::from_str(kept.trim_end()).unwrap();
    assert_eq!(line["request"], RequestId::from_bytes([2; 16]).to_string());
    assert_eq!(line["reason"], "store: invariant broken: not this one");
    assert_eq!(line["row"]["record"]["part"], 0);
}

#[tokio::test]
async fn a_row_never_gets_a_number_that_was_used_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let file = File::open(&path, Durability::ProcessCrash).unwrap();
    file.begin(BOOT, Timestamp(0)).unwrap();
    let first = file.append(BOOT, Timestamp(0), b"").unwrap();
    let long_after = Timestamp(100 * 24 * 3_600_000);
    file.mark_done(first + 1, long_after).unwrap();

    assert_eq!(file.append(BOOT, long_after, b"").unwrap(), first + 1);
    drop(file);
    let again = File::open(&path, Durability::ProcessCrash).unwrap();
    assert_eq!(again.append(BOOT, long_after, b"").unwrap(), first + 2);
}

fn row(file: &File, boot: BootId) -> i64 {
    file.append(boot, Timestamp(0), &[]).unwrap()
}

fn of(file: &File) -> (Vec<i64>, bool) {
    let boots = file.old_boots();
    let left = file.rows(boots.iter().find(|old| old.boot == BOOT).unwrap()).unwrap();
    (left.rows.iter().map(|(seq, _)| *seq).collect(), left.damaged)
}

/// The segments beside `path`, in the order in which they were begun.
fn segments(path: &Path) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(path.parent().unwrap()).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.to_string_lossy().contains('-'));
    files.sort();
    files
}

#[test]
fn rows_of_every_segment_come_back_and_a_write_that_was_cut_off_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let file = File::open(&path, Durability::PowerLoss).unwrap();
    file.begin(BOOT, Timestamp(0)).unwrap();
    assert_eq!([row(&file, BOOT), row(&file, BOOT)], [1, 2]);
    drop(file);
    let file = File::open(&path, Durability::PowerLoss).unwrap();
    assert_eq!([row(&file, BOOT), row(&file, BOOT)], [3, 4]);
    drop(file);
    let cut = std::fs::OpenOptions::new().write(true).open(&segments(&path)[1]).unwrap();
    cut.set_len(cut.metadata().unwrap().len() - 1).unwrap();

    let file = File::open(&path, Durability::PowerLoss).unwrap();
    assert_eq!(of(&file), (vec![1, 2, 3], false));
    assert_eq!(row(&file, BOOT), 4, "nobody was told of the one that was cut off");
    drop(file);
    assert_eq!(of(&File::open(&path, Durability::PowerLoss).unwrap()), (vec![1, 2, 3, 4], false));
}

#[test]
fn rows_that_are_gone_or_changed_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let file = File::open(&path, Durability::ProcessCrash).unwrap();
    file.begin(BOOT, Timestamp(0)).unwrap();
    for _ in 0..3 {
        row(&file, BOOT);
    }
    drop(file);
    let file = File::open(&path, Durability::ProcessCrash).unwrap();
    row(&file, BOOT);
    drop(file);
    let first = segments(&path).remove(0);
    let whole = std::fs::read(&first).unwrap();

    let shorter = &whole[..whole.len() - 40];
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 1;
    for damaged in [shorter, &changed] {
        std::fs::write(&first, damaged).unwrap();
        assert!(of(&File::open(&path, Durability::ProcessCrash).unwrap()).1);
    }
    std::fs::write(&first, &whole).unwrap();
    assert!(!of(&File::open(&path, Durability::ProcessCrash).unwrap()).1);
}

#[test]
fn a_length_that_changed_in_the_last_segment_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let file = File::open(&path, Durability::ProcessCrash).unwrap();
    file.begin(BOOT, Timestamp(0)).unwrap();
    for _ in 0..3 {
        row(&file, BOOT);
    }
    drop(file);
    let last = segments(&path).remove(0);
    let whole = std::fs::read(&last).unwrap();
    // Three rows of the same length end the file.
    let row_bytes = frame::HEAD_BYTES + 1 + 16 + 1 + 1;
    let second = whole.len() - 2 * row_bytes;
    assert_eq!(whole[second], whole[second + row_bytes], "a row begins here");

    for place in second..second + 4 {
        let mut changed = whole.clone();
        changed[place] ^= 0x40;
        std::fs::write(&last, &changed).unwrap();
        let found = of(&File::open(&path, Durability::ProcessCrash).unwrap());
        assert_eq!(found, (vec![1], true), "{place}");
        segments(&path).into_iter().skip(1).for_each(|more| std::fs::remove_file(more).unwrap());
    }
    std::fs::write(&last, &whole[..whole.len() - 1]).unwrap();
    let found = of(&File::open(&path, Durability::ProcessCrash).unwrap());
    assert_eq!(found, (vec![1, 2], false), "the last one was cut off");
}

#[test]
fn a_segment_that_is_gone_before_its_rows_were_shipped_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let file = File::open(&path, Durability::ProcessCrash).unwrap();
    file.begin(BOOT, Timestamp(0)).unwrap();
    row(&file, BOOT);
    drop(file);
    let file = File::open(&path, Durability::ProcessCrash).unwrap();
    row(&file, BOOT);
    drop(file);
    assert_eq!(of(&File::open(&path, Durability::ProcessCrash).unwrap()), (vec![1, 2], false));

    std::fs::remove_file(segments(&path).remove(0)).unwrap();

    assert_eq!(of(&File::open(&path, Durability::ProcessCrash).unwrap()), (vec![2], true));
}

#[test]
fn segments_go_when_their_rows_are_shipped_and_old() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let file = File::open(&path, Durability::ProcessCrash).unwrap();
    file.begin(BOOT, Timestamp(0)).unwrap();
    row(&file, BOOT);
    drop(file);
    let file = File::open(&path, Durability::ProcessCrash).unwrap();
    file.begin(BOOT, Timestamp(0)).unwrap();
    let last = row(&file, BOOT);
    let (soon, later) = (store::clock::now(), store::clock::now().plus_millis(48 * 3_600_000));

    file.mark_done(last, soon).unwrap();
    assert_eq!(segments(&path).len(), 2, "young");
    file.mark_done(last - 1, later).unwrap();
    assert_eq!(segments(&path).len(), 2, "not shipped");
    file.mark_done(last, later).unwrap();
    assert_eq!(segments(&path).len(), 1);
    assert_eq!(of(&file), (vec![last], false));
}

#[test]
fn what_another_version_wrote_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    drop(File::open(&path, Durability::ProcessCrash).unwrap());
    let name = std::fs::read_to_string(&path).unwrap();
    let others = [name.replace(" 2 ", " 3 "), "SQLite format 3\0".to_owned(), String::new()];

    for other in others {
        std::fs::write(&path, &other).unwrap();
        let refused = File::open(&path, Durability::ProcessCrash).err().unwrap();
        assert!(matches!(refused, OpenFault::Foreign(_)), "{other:?}: {refused}");
    }
    std::fs::write(&path, &name).unwrap();
    assert!(File::open(&path, Durability::ProcessCrash).is_ok());
}

#[test]
fn every_line_comes_back_as_it_was_written() {
    let decision = Decision {
        org: ORG,
        request: RequestId::from_bytes([1; 16]),
        at: Timestamp(-1),
        project: ProjectId::from_bytes([3; 16]),
        principal: Principal::ServiceAccount(policies::ids::ServiceAccountId::from_bytes([9; 16])),
        key: KeyId::from_bytes([5; 16]),
        surface: Surface::Embeddings,
        model: "m\u{e9}".to_owned(),
        verdict: policies::usage::Verdict::Refused,
        refusal: Some("policy_denied".to_owned()),
        flow: policies::data::Flow {
            caller: Some(policies::data::Level::Restricted),
            labels: ["pci".to_owned()].into(),
            ..policies::data::Flow::new(policies::data::Level::Internal)
        },
        candidates: vec![(DeploymentId::from_bytes([6; 16]), "admissible".to_owned())],
        masked: vec!["pci".to_owned()],
        revision: Revision(u64::MAX),
    };
    let stamp = Stamp {
        tags: BTreeMap::from([("run".to_owned(), "42".to_owned())]),
        chain: vec![policies::budget::Pot {
            budget: policies::ids::BudgetId::from_bytes([8; 16]),
            span: policies::time::Span::LIFETIME,
        }],
        hold: NanoUsd(i64::MIN),
        ..Arc::unwrap_or_clone(stamp(1))
    };
    let intent = Some(Intent { stamp: Arc::new(stamp.clone()) });
    let mut row = Vec::new();
    let entry = Entry { decision: Some(Arc::new(decision.clone())), intent, ..Entry::default() };
    entry::write(&entry, &mut row);
    let whole = row.len();

    let lines: Result<Vec<_>, _> = entry::read(&row).collect();
    let [entry::Line::Decision(told), entry::Line::Intent(sent)] = &lines.unwrap()[..] else {
        panic!("two lines")
    };
    assert_eq!((&**told, &**sent), (&decision, &stamp));
    for cut in 1..whole {
        let lines: Vec<_> = entry::read(&row[..cut]).collect();
        assert!(lines.last().unwrap().is_err() || lines.len() == 1, "{cut}");
    }
}

#[test]
fn only_its_owner_may_read_the_journal() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("below").join("journal.db");
    let _file = File::open(&path, Durability::ProcessCrash).unwrap();

    for (path, mode) in [(path.as_path(), 0o600), (path.parent().unwrap(), 0o700)] {
        let found = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode, "{}", path.display());
    }
}

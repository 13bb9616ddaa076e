//! What exports look like, byte by byte, and that they can go on.

use super::*;
use async_trait::async_trait;
use policies::{
    budget::Pot,
    ids::{
        BootId, BudgetId, DeploymentId, KeyId, PriceId, ProjectId, RequestId, Revision, UnitId,
        UserId,
    },
    money::NanoUsd,
    time::Timestamp,
    usage::{Decision, Ending, Leg, Outcome, Principal, Source, Stamp, Surface, Tokens},
};
use std::collections::BTreeMap;
use store::{By, UsageSum};

fn org() -> OrgId {
    OrgId::from_bytes([1; 16])
}

fn record(number: u8) -> UsageRecord {
    let request = RequestId::from_bytes([number; 16]);
    let stamp = Stamp {
        org: org(),
        request,
        attempt: 1,
        logical_request: request,
        leg: Leg::Primary,
        unit_path: vec![UnitId::from_bytes([2; 16]), UnitId::from_bytes([3; 16])],
        project: ProjectId::from_bytes([4; 16]),
        cost_centre: Some("=1+1".to_owned()),
        tags: BTreeMap::from([("feature".to_owned(), "a \"b\", c".to_owned())]),
        principal: Principal::User(UserId::from_bytes([5; 16])),
        acted_for: None,
        key: KeyId::from_bytes([6; 16]),
        end_user_hash: None,
        session_hash: None,
        task_hash: None,
        request_class: None,
        client_request_id: Some("two\nlines".to_owned()),
        surface: Surface::Chat,
        stream: true,
        model: "-model".to_owned(),
        tier: Some("@tier".to_owned()),
        deployment: DeploymentId::from_bytes([7; 16]),
        upstream_model: "sim".to_owned(),
        price: Some(PriceId::from_bytes([8; 16])),
        revision: Revision(9),
        boot: BootId::from_bytes([9; 16]),
        chain: vec![Pot { budget: BudgetId::from_bytes([10; 16]), span: Span::LIFETIME }],
        hold: NanoUsd(2_000_000_000),
        admitted_at: Timestamp(1_000),
        queue_millis: 3,
    };
    let ending = Ending {
        outcome: Outcome::Finished,
        source: Source::Reported,
        tokens: Tokens { input: 10, output: 20, ..Tokens::default() },
        cost: Some(NanoUsd(-1_500)),
        lines: BTreeMap::from([("output".to_owned(), NanoUsd(-1_500))]),
        counted: NanoUsd(1),
        overrun: NanoUsd(0),
        finish_reason: Some("stop".to_owned()),
        flaw: None,
        first_byte_millis: None,
        total_millis: 12,
        ended_at: Timestamp(2_000),
    };
    UsageRecord { stamp, part: 0, ending }
}

/// A log of `count` records that breaks after `until` of them.
struct Log {
    count: i64,
    until: i64,
}

#[async_trait]
impl UsageLog for Log {
    async fn page(
        &self,
        org: &OrgId,
        _span: Span,
        after: Cursor,
        limit: u32,
    ) -> Result<Vec<(Cursor, UsageRecord)>, Fault> {
        if self.until <= after.0 && after.0 < self.count {
            return Err(Fault::Broken("the test".to_owned()));
        }
        assert_eq!(*org, OrgId::from_bytes([1; 16]));
        let end = (after.0 + i64::from(limit)).min(self.count);
        Ok((after.0 + 1..=end).map(|at| (Cursor(at), record(1))).collect())
    }

    async fn sums(&self, _: &OrgId, _: Span, _: &[By]) -> Result<Vec<UsageSum>, Fault> {
        Ok(Vec::new())
    }

    async fn request(
        &self,
        _: &OrgId,
        _: &ProjectId,
        _: &RequestId,
    ) -> Result<(Vec<UsageRecord>, Option<Decision>), Fault> {
        Ok((Vec::new(), None))
    }
}

fn from(after: i64) -> Selection {
    Selection { org: org(), span: Span::LIFETIME, after: Cursor(after) }
}

async fn exported(log: &Log, after: i64, format: Format) -> (Result<Progress, Broken>, String) {
    let mut bytes = Vec::new();
    let result = export_usage(log, from(after), format, &mut bytes).await;
    (result, String::from_utf8(bytes).unwrap())
}

#[tokio::test]
async fn text_that_a_spreadsheet_would_run_is_guarded_and_numbers_are_not() {
    let (_, text) = exported(&Log { count: 1, until: 1 }, 0, Format::Csv).await;

    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let row = reader.records().next().unwrap().unwrap();
    let cell = |name: &str| {
        let at = header.iter().position(|column| column == name).unwrap();
        row.get(at).unwrap().to_owned()
    };
    assert_eq!(cell("cost_centre"), "'=1+1");
    assert_eq!(cell("model"), "'-model");
    assert_eq!(cell("tier"), "'@tier");
    assert_eq!(cell("client_request_id"), "two\nlines");
    assert_eq!(cell("tags"), r#"{"feature":"a \"b\", c"}"#);
    assert_eq!(cell("cost_usd"), "-0.0000015");
    assert_eq!(cell("cost_nano_usd"), "-1500");
    assert_eq!(cell("hold_usd"), "2");
    assert_eq!(cell("admitted_at"), "1970-01-01T00:00:01.000Z");
    assert_eq!(cell("acted_for"), "");
    assert_eq!(header.len(), COLUMNS.len());
    assert!(text.ends_with("\r\n"));
}

#[test]
fn every_beginning_of_a_formula_is_guarded() {
    for begin in ["=", "+", "-", "@", "\t", "\r"] {
        assert_eq!(guarded(format!("{begin}x")), format!("'{begin}x"));
    }
    assert_eq!(guarded("a=b".to_owned()), "a=b");
    assert_eq!(guarded(String::new()), "");
}

#[tokio::test]
async fn lines_of_json_hold_every_column() {
    let (_, text) = exported(&Log { count: 2, until: 2 }, 0, Format::Ndjson).await;

    assert_eq!(text.lines().count(), 2);
    for line in text.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        assert_eq!(record.as_object().unwrap().len(), COLUMNS.len());
        assert_eq!(record["cost_usd"], "-0.0000015");
        assert_eq!(record["cost_nano_usd"], -1500);
        assert_eq!(record["tags"]["feature"], "a \"b\", c");
        assert_eq!(record["unit_path"].as_array().unwrap().len(), 2);
        assert_eq!(record["acted_for"], Value::Null);
        assert_eq!(record["stream"], true);
    }
}

#[tokio::test]
async fn a_broken_export_goes_on_where_it_stopped_without_a_second_header() {
    let broken = Log { count: 2_500, until: 1_000 };
    let whole = Log { count: 2_500, until: 2_500 };

    let (result, first) = exported(&broken, 0, Format::Csv).await;
    let progress = result.unwrap_err().progress;
    let (result, second) = exported(&whole, progress.cursor.0, Format::Csv).await;
    let (_, at_once) = exported(&whole, 0, Format::Csv).await;

    assert_eq!(progress, Progress { records: 1_000, cursor: Cursor(1_000) });
    assert_eq!(result.unwrap(), Progress { records: 1_500, cursor: Cursor(2_500) });
    assert!(first + &second == at_once);
}

#[tokio::test]
async fn an_output_that_fails_tells_what_was_written() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(io::Error::other("full"))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let log = Log { count: 1, until: 1 };
    let broken = export_usage(&log, from(0), Format::Ndjson, &mut Full).await.unwrap_err();

    assert_eq!(broken.progress, Progress::default());
    assert!(matches!(broken.cause, Cause::Output(_)));
}

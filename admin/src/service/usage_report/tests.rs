//! Tables over a fixed set of sums.

use super::*;
use async_trait::async_trait;
use policies::{
    budget::{Balance, Pot},
    document::Object,
    ids::{OrgId, ProjectId, RequestId, Revision},
    usage::{Decision, Tokens, UsageRecord},
};
use serde_json::json;
use store::{Cursor, Lent, PotState};

struct Fixed {
    sums: Vec<UsageSum>,
    pots: Vec<PotState>,
}

#[async_trait]
impl UsageLog for Fixed {
    async fn page(
        &self,
        _: &OrgId,
        _: Span,
        _: Cursor,
        _: u32,
    ) -> Result<Vec<(Cursor, UsageRecord)>, Fault> {
        Ok(Vec::new())
    }

    async fn sums(&self, _: &OrgId, _: Span, by: &[By]) -> Result<Vec<UsageSum>, Fault> {
        if !by.is_empty() {
            return Ok(self.sums.clone());
        }
        let whole = self.sums.iter().fold(UsageSum::default(), |whole, sum| UsageSum {
            // One request has records in both rows.
            requests: whole.requests.max(sum.requests),
            tokens: Tokens { input: whole.tokens.input + sum.tokens.input, ..whole.tokens },
            cost: whole.cost.plus(sum.cost),
            unpriced: whole.unpriced + sum.unpriced,
            ..whole
        });
        Ok(vec![whole])
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

#[async_trait]
impl Balances for Fixed {
    async fn pots(&self, _: &OrgId, _: Timestamp) -> Result<Vec<PotState>, Fault> {
        Ok(self.pots.clone())
    }

    async fn lent(&self, _: &OrgId, _: Timestamp) -> Result<Vec<Lent>, Fault> {
        Ok(Vec::new())
    }
}

const BUDGET: [u8; 16] = [3; 16];

fn settings() -> Settings {
    let of = |id: u8, document: serde_json::Value| Object {
        id: [id; 16],
        document: serde_json::from_value(document).unwrap(),
    };
    let head = json!({ "kind": "Org", "name": "acme" });
    let project = json!({ "kind": "Project", "org": "acme", "name": "assistant" });
    let budget = json!({
        "kind": "Budget",
        "org": "acme",
        "name": "org-month",
        "on": "org",
        "limit": "10",
        "period": "month",
    });
    Settings {
        org: OrgId::from_bytes([1; 16]),
        revision: Revision(1),
        objects: vec![of(1, head), of(2, project), of(3, budget)],
    }
}

fn november() -> Span {
    calendar::this_month(&jiff::tz::TimeZone::UTC, Timestamp::parse("2026-11-25").unwrap())
}

fn sum(group: &str, requests: i64, cost: i64) -> UsageSum {
    UsageSum {
        group: vec![group.to_owned()],
        requests,
        records: requests,
        tokens: Tokens { input: 10, ..Tokens::default() },
        cost: NanoUsd(cost),
        unpriced: 0,
        estimated: 0,
    }
}

fn sums() -> Vec<UsageSum> {
    let known = ProjectId::from_bytes([2; 16]).to_string();
    let gone = ProjectId::from_bytes([9; 16]).to_string();
    vec![sum(&known, 12, 1_500_000_000), sum(&gone, 3, 250_000_000), sum("", 0, 0)]
}

fn pot(span: Span, settled: i64, overrun: i64) -> PotState {
    let balance = Balance {
        limit: NanoUsd(10_000_000_000),
        settled: NanoUsd(settled),
        overrun: NanoUsd(overrun),
        ..Balance::default()
    };
    let pot = Pot { budget: BudgetId::from_bytes(BUDGET), span };
    PotState { pot, balance, indeterminate: Vec::new() }
}

async fn report(pots: Vec<PotState>, span: Span) -> Report {
    let store = Fixed { sums: sums(), pots };
    usage_report(&store, &settings(), span, &[By::Project]).await.unwrap()
}

#[tokio::test]
async fn the_table_has_names_and_a_total_that_the_ledger_confirms() {
    let pots = vec![pot(Span::LIFETIME, 7, 7), pot(november(), 1_700_000_000, 50_000_000)];

    let report = report(pots, november()).await;

    assert!(report.agrees());
    assert_eq!(
        report.table(),
        "\
usage of acme, 2026-11-01T00:00:00.000Z to 2026-12-01T00:00:00.000Z

project                                requests  input  cached  output  reasoning  cost usd
-                                             0     10       0       0          0         0
assistant                                    12     10       0       0          0       1.5
proj_09090909090909090909090909090909         3     10       0       0          0      0.25
-------------------------------------------------------------------------------------------
total                                        12     30       0       0          0      1.75

check: the total equals what the ledger counts for budget `org-month`
"
    );
}

#[tokio::test]
async fn a_total_that_the_ledger_does_not_confirm_is_said_loudly() {
    let report = report(vec![pot(november(), 1, 0)], november()).await;

    assert!(!report.agrees());
    assert!(report.table().contains("the total 1.75 USD DIFFERS from what the ledger counts"));
    let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
    assert_eq!(json["check"]["agrees"], false);
    assert_eq!(json["total"]["cost_nano_usd"], 1_750_000_000);
    assert_eq!(json["rows"][1]["project"], "assistant");
}

#[tokio::test]
async fn what_has_no_price_may_be_missing_from_the_total() {
    let mut sums = sums();
    sums[0].unpriced = 2;
    let store = Fixed { sums, pots: vec![pot(november(), 1_900_000_000, 0)] };

    let report = usage_report(&store, &settings(), november(), &[By::Project]).await.unwrap();

    assert!(report.agrees());
    assert!(report.table().contains("the total and 0.15 USD without a price equal what the"));
    assert!(report.table().contains("2 records have no price and are in no cost"));
}

#[tokio::test]
async fn a_stretch_without_a_budget_is_compared_with_all_records() {
    let report = report(vec![pot(november(), 1, 0)], Span::LIFETIME).await;

    assert!(report.agrees());
    assert!(report.table().contains("all time"));
    assert!(report.table().contains("the sum of all records"));
}

#[tokio::test]
async fn csv_has_a_header_and_no_total() {
    let report = report(Vec::new(), november()).await;

    assert_eq!(
        report.csv(),
        "project,requests,input,cached,output,reasoning,cost_usd\r\n\
         ,0,10,0,0,0,0\r\n\
         assistant,12,10,0,0,0,1.5\r\n\
         proj_09090909090909090909090909090909,3,10,0,0,0,0.25\r\n"
    );
}

#[tokio::test]
async fn without_columns_there_is_the_total_alone() {
    let store = Fixed { sums: Vec::new(), pots: Vec::new() };

    let report = usage_report(&store, &settings(), november(), &[]).await.unwrap();

    assert_eq!(report.table().matches("total").count(), 2, "{}", report.table());
}

#[test]
fn columns_are_read_by_their_words() {
    assert_eq!(columns("unit, cost-centre"), Ok(vec![By::Unit, By::CostCentre]));
    assert_eq!(columns(""), Ok(Vec::new()));
    assert!(columns("unit,colour").unwrap_err().to_string().contains("`colour` is no column"));
}

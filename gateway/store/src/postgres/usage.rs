//! [`UsageLog`] in PostgreSQL.

use super::{Postgres, Sight, row, saturate::saturated_sum, sized};
use crate::{By, Cursor, Fault, UsageLog, UsageSum};
use async_trait::async_trait;
use policies::{
    ids::{DeploymentId, KeyId, OrgId, ProjectId, RequestId},
    money::NanoUsd,
    time::Span,
    usage::{Decision, UsageRecord},
};
use sqlx::{Row, postgres::PgRow};

/// Records of one page, at most.
const PAGE_RECORDS_MAX: u32 = 10_000;
/// The org that was named to the wall.
const ORG: &str = "decode(current_setting('penstock.org'), 'hex')";

#[async_trait]
impl UsageLog for Postgres {
    async fn page(
        &self,
        org: &OrgId,
        span: Span,
        after: Cursor,
        limit: u32,
    ) -> Result<Vec<(Cursor, UsageRecord)>, Fault> {
        let (columns, starts, ends, Cursor(after)) = (row::READ, span.starts.0, span.ends.0, after);
        let limit = limit.min(PAGE_RECORDS_MAX);
        let sql = format!(
            "SELECT {columns} FROM usage
             WHERE org = {ORG} AND {starts} <= admitted_at AND admitted_at < {ends}
                AND {after} < seq ORDER BY seq LIMIT {limit}"
        );
        let rows = self.read(Sight::Org(org), &sql).await?;
        rows.iter().map(|row| Ok((Cursor(row.try_get("seq")?), row::read(row)?))).collect()
    }

    async fn sums(&self, org: &OrgId, span: Span, by: &[By]) -> Result<Vec<UsageSum>, Fault> {
        let columns: String = by.iter().map(|by| format!("{}, ", column(*by))).collect();
        let places = (1..=by.len()).map(|place| place.to_string()).collect::<Vec<_>>().join(", ");
        let grouping = if by.is_empty() { String::new() } else { format!("GROUP BY {places}") };
        let (starts, ends) = (span.starts.0, span.ends.0);
        let sql = format!(
            "SELECT {columns}{SUMS}
             WHERE org = {ORG} AND {starts} <= admitted_at AND admitted_at < {ends} {grouping}"
        );
        let rows = self.read(Sight::Org(org), &sql).await?;
        let sums = rows.iter().map(|row| sum(row, by));
        let mut sums = sums.collect::<Result<Vec<_>, Fault>>()?;
        sums.retain(|sum| 0 < sum.records);
        sums.sort_by(|left, right| left.group.cmp(&right.group));
        Ok(sums)
    }

    async fn request(
        &self,
        org: &OrgId,
        project: &ProjectId,
        request: &RequestId,
    ) -> Result<(Vec<UsageRecord>, Option<Decision>), Fault> {
        // Two reads of what only grows: a row that comes in between is not missed by a repeat.
        let its = format!(
            "org = {ORG} AND request = '\\x{}' AND project = '\\x{}'",
            hex::encode(request.as_bytes()),
            hex::encode(project.as_bytes())
        );
        let columns = row::READ;
        let sql = format!("SELECT {columns} FROM usage WHERE {its} ORDER BY attempt, part");
        let rows = self.read(Sight::Org(org), &sql).await?;
        let sql = format!("SELECT body::text AS body FROM decision WHERE {its}");
        let decision = self.read(Sight::Org(org), &sql).await?;
        let records = rows.iter().map(row::read).collect::<Result<_, _>>()?;
        let decision = decision.first().map(|row| row::from_json(row, "body"));
        Ok((records, decision.transpose()?))
    }
}

/// An unpriced record counts until a correction brings a price.
const SUMS: &str = concat!(
    "COUNT(DISTINCT request) AS requests, COUNT(*) AS records, ",
    saturated_sum!("input"),
    " AS input, ",
    saturated_sum!("cache_read"),
    " AS cache_read, ",
    saturated_sum!("cache_write"),
    " AS cache_write, ",
    saturated_sum!("output"),
    " AS output, ",
    saturated_sum!("reasoning"),
    " AS reasoning, ",
    saturated_sum!("audio_in"),
    " AS audio_in, ",
    saturated_sum!("audio_out"),
    " AS audio_out, ",
    saturated_sum!("image"),
    " AS image, ",
    saturated_sum!("cost"),
    " AS cost,
    COUNT(*) FILTER (WHERE cost IS NULL AND NOT EXISTS (
        SELECT FROM usage AS later
        WHERE later.org = usage.org AND later.request = usage.request
            AND later.attempt = usage.attempt AND usage.part < later.part
            AND later.cost IS NOT NULL)) AS unpriced,
    COUNT(*) FILTER (WHERE source = 'estimated') AS estimated
    FROM usage"
);

fn column(by: By) -> &'static str {
    match by {
        // Every unit has the same length as text: `unit_` and 32 digits.
        By::Unit => "right(unit_path, 37)",
        By::Project => "project",
        By::Model => "model",
        By::Tier => "COALESCE(tier, '')",
        By::Deployment => "deployment",
        By::Principal => "principal_kind || '_' || encode(principal, 'hex')",
        By::Key => "key",
        By::CostCentre => "COALESCE(cost_centre, '')",
        By::Day => "to_char(to_timestamp(admitted_at / 1000) AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
    }
}

fn sum(row: &PgRow, by: &[By]) -> Result<UsageSum, Fault> {
    let group = by.iter().enumerate().map(|(index, by)| value(row, index, *by));
    Ok(UsageSum {
        group: group.collect::<Result<_, Fault>>()?,
        requests: row.try_get("requests")?,
        records: row.try_get("records")?,
        tokens: row::tokens(row)?,
        cost: NanoUsd(row.try_get("cost")?),
        unpriced: row.try_get("unpriced")?,
        estimated: row.try_get("estimated")?,
    })
}

fn value(row: &PgRow, index: usize, by: By) -> Result<String, Fault> {
    Ok(match by {
        By::Project => ProjectId::from_bytes(sized(row, index)?).to_string(),
        By::Deployment => DeploymentId::from_bytes(sized(row, index)?).to_string(),
        By::Key => KeyId::from_bytes(sized(row, index)?).to_string(),
        By::Unit | By::Model | By::Tier | By::Principal | By::CostCentre | By::Day => {
            row.try_get(index)?
        }
    })
}

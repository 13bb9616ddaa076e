//! The usage table that people read: sums by what they ask for, checked against the ledger.

mod render;
#[cfg(test)]
mod tests;

use crate::service::{calendar, orgs};
use policies::{
    document::{Document, On},
    ids::BudgetId,
    money::NanoUsd,
    time::{Period, Span, Timestamp},
};
use store::{Balances, By, Fault, Settings, UsageLog, UsageSum};

/// Reads of the sums until rows and total agree; usage may arrive between two reads.
const READS_MAX: usize = 3;

/// The words of `--by`, in the order in which help lists them.
pub const COLUMNS: &[(&str, By)] = &[
    ("unit", By::Unit),
    ("project", By::Project),
    ("model", By::Model),
    ("tier", By::Tier),
    ("deployment", By::Deployment),
    ("principal", By::Principal),
    ("key", By::Key),
    ("cost-centre", By::CostCentre),
    ("day", By::Day),
];

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is no column to add up by; there are: {}", words())]
pub struct NotAColumn {
    pub word: String,
}

fn words() -> String {
    COLUMNS.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ")
}

/// Reads a list such as `unit,project`.
pub fn columns(text: &str) -> Result<Vec<By>, NotAColumn> {
    let column = |word: &str| {
        let found = COLUMNS.iter().find(|(known, _)| *known == word);
        found.map(|(_, by)| *by).ok_or_else(|| NotAColumn { word: word.to_owned() })
    };
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(column).collect()
}

/// The heading of a column.
fn heading(by: By) -> &'static str {
    match by {
        // Days are cut in UTC, whatever the zone of the org.
        By::Day => "day_utc",
        By::CostCentre => "cost_centre",
        By::Unit => "unit",
        By::Project => "project",
        By::Model => "model",
        By::Tier => "tier",
        By::Deployment => "deployment",
        By::Principal => "principal",
        By::Key => "key",
    }
}

/// Sums of one org in one stretch of time. Rendered by `table`, `csv` and `json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub org: String,
    pub span: Span,
    pub by: Vec<By>,
    pub rows: Vec<Row>,
    pub total: Row,
    /// Records without a price, whose cost is in no sum.
    pub unpriced: i64,
    /// Records whose tokens were counted by the gateway.
    pub estimated: i64,
    pub check: Check,
}

/// One line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// The value of each column asked for: a name, or the id of what is gone.
    pub group: Vec<String>,
    pub requests: i64,
    /// All input tokens, the cached ones among them.
    pub input: i64,
    /// Input that was read from a provider's prompt cache.
    pub cached: i64,
    /// All output tokens, those of reasoning among them.
    pub output: i64,
    pub reasoning: i64,
    pub cost: NanoUsd,
}

/// What the table's total was compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// What the ledger counts against an org-wide budget of the same month.
    Ledger { budget: String, counted: NanoUsd },
    /// There is no such budget: the sum of all records, read apart from the rows.
    Records { sum: NanoUsd },
}

impl Check {
    pub fn sum(&self) -> NanoUsd {
        match self {
            Self::Ledger { counted, .. } => *counted,
            Self::Records { sum } => *sum,
        }
    }
}

impl Report {
    /// Whether the total is what it was compared with. What the ledger counts for records without
    /// a price is in no cost, so it may be more then.
    pub fn agrees(&self) -> bool {
        let (total, sum) = (self.total.cost, self.check.sum());
        total == sum || (0 < self.unpriced && total < sum)
    }
}

/// Adds up the usage of the org of `settings`.
pub async fn usage_report<S>(
    store: &S,
    settings: &Settings,
    span: Span,
    by: &[By],
) -> Result<Report, Fault>
where
    S: UsageLog + Balances + ?Sized,
{
    let mut report = read(store, settings, span, by).await?;
    for _repeat in 1..READS_MAX {
        if report.agrees() {
            break;
        }
        report = read(store, settings, span, by).await?;
    }
    Ok(report)
}

async fn read<S>(store: &S, settings: &Settings, span: Span, by: &[By]) -> Result<Report, Fault>
where
    S: UsageLog + Balances + ?Sized,
{
    let sums = store.sums(&settings.org, span, by).await?;
    let whole = store.sums(&settings.org, span, &[]).await?.into_iter().next().unwrap_or_default();
    let check = match ledger_sum(store, settings, span).await? {
        Some(check) => check,
        None => Check::Records { sum: whole.cost },
    };
    let names = orgs::names(&settings.objects);
    let name = |id: String| names.get(&id).cloned().unwrap_or(id);
    let mut rows: Vec<Row> = sums
        .into_iter()
        .map(|sum| Row { group: sum.group.iter().cloned().map(&name).collect(), ..row(&sum) })
        .collect();
    rows.sort_by(|one, other| one.group.cmp(&other.group));
    // The rows' sum, not the whole: that they are the same is what the check shows.
    let cost = rows.iter().map(|row| row.cost).sum();
    Ok(Report {
        org: orgs::name(settings).to_owned(),
        span,
        by: by.to_vec(),
        total: Row { group: Vec::new(), cost, ..row(&whole) },
        rows,
        unpriced: whole.unpriced,
        estimated: whole.estimated,
        check,
    })
}

fn row(sum: &UsageSum) -> Row {
    Row {
        group: Vec::new(),
        requests: sum.requests,
        input: sum.tokens.all_input(),
        cached: sum.tokens.cache_read,
        output: sum.tokens.all_output(),
        reasoning: sum.tokens.reasoning,
        cost: sum.cost,
    }
}

/// What the ledger has of an org-wide budget in exactly this month, if there is such a budget.
/// Its `settled` is bounded by what was set aside; what was billed above that is its `overrun`.
async fn ledger_sum(
    store: &(impl Balances + ?Sized),
    settings: &Settings,
    span: Span,
) -> Result<Option<Check>, Fault> {
    if calendar::this_month(&calendar::zone(settings), span.starts) != span {
        return Ok(None);
    }
    let budgets = settings.objects.iter().filter_map(|object| {
        let Document::Budget(it) = &object.document else { return None };
        let org_wide = it.on == On::Org && it.period == Period::Month;
        org_wide.then(|| (BudgetId::from_bytes(object.id), it.name.clone()))
    });
    let budgets: Vec<(BudgetId, String)> = budgets.collect();
    if budgets.is_empty() {
        return Ok(None);
    }
    let pots = store.pots(&settings.org, Timestamp(span.starts.0)).await?;
    let check = pots.into_iter().filter(|state| state.pot.span == span).find_map(|state| {
        let (_, budget) = budgets.iter().find(|(id, _)| *id == state.pot.budget)?;
        let counted = state.balance.settled.plus(state.balance.overrun);
        Some(Check::Ledger { budget: budget.clone(), counted })
    });
    Ok(check)
}

//! A usage report as a table for people, as CSV, and as JSON.

use super::{Check, Report, Row, heading};
use crate::service::export_usage::{guarded, line};
use policies::time::Timestamp;
use serde_json::{Map, Value, json};

/// The columns of numbers, after those asked for.
const NUMBERS: [&str; 6] = ["requests", "input", "cached", "output", "reasoning", "cost_usd"];

impl Report {
    /// Aligned plain text, with a line for the total and one for what it was compared with.
    /// Input includes what was cached; output includes reasoning.
    pub fn table(&self) -> String {
        let names = self.by.len().max(1);
        let mut lines = vec![self.headings(" ")];
        if self.by.is_empty() {
            lines.iter_mut().for_each(|line| line.insert(0, String::new()));
        }
        let mut total = vec![String::new(); names];
        if let Some(first) = total.first_mut() {
            "total".clone_into(first);
        }
        if !self.by.is_empty() {
            lines.extend(
                self.rows.iter().map(|row| cells(row, row.group.iter().map(|name| shown(name)))),
            );
        }
        lines.push(cells(&self.total, total.into_iter()));
        let widths = widths(&lines);
        let mut text = format!("usage of {}, {}\n\n", self.org, self.stretch());
        for (at, line) in lines.iter().enumerate() {
            if 0 < at && at + 1 == lines.len() {
                text.push_str(&rule(&widths));
            }
            text.push_str(&aligned(line, &widths, names));
        }
        text.push('\n');
        self.notes().iter().for_each(|note| text.extend([note.as_str(), "\n"]));
        text
    }

    /// A header, a line for each row, no total: what a spreadsheet adds up by itself.
    pub fn csv(&self) -> String {
        let mut text = line(&self.headings("_"));
        for row in &self.rows {
            text.push_str(&line(&cells(row, row.group.iter().cloned().map(guarded))));
        }
        text
    }

    /// One object: rows, total and the comparison. Costs are exact decimal text and nano-dollars.
    pub fn json(&self) -> String {
        let rows: Vec<Value> = self.rows.iter().map(|row| self.object(row)).collect();
        let against = match &self.check {
            Check::Ledger { budget, .. } => json!({ "budget": budget }),
            Check::Records { .. } => json!("records"),
        };
        let report = json!({
            "org": self.org,
            "from": self.span.starts.rfc3339(),
            "to": (self.span.ends != Timestamp::NEVER).then(|| self.span.ends.rfc3339()),
            "rows": rows,
            "total": self.object(&self.total),
            "unpriced_records": self.unpriced,
            "estimated_records": self.estimated,
            "check": {
                "against": against,
                "sum_usd": self.check.sum().to_string(),
                "agrees": self.agrees(),
            },
        });
        format!("{report:#}\n")
    }

    fn object(&self, row: &Row) -> Value {
        let mut object: Map<String, Value> = Map::new();
        for (by, value) in self.by.iter().zip(&row.group) {
            object.insert(heading(*by).to_owned(), Value::from(value.as_str()));
        }
        for (name, value) in [
            ("requests", row.requests),
            ("input_tokens", row.input),
            ("cached_tokens", row.cached),
            ("output_tokens", row.output),
            ("reasoning_tokens", row.reasoning),
            ("cost_nano_usd", row.cost.0),
        ] {
            object.insert(name.to_owned(), Value::from(value));
        }
        object.insert("cost_usd".to_owned(), Value::String(row.cost.to_string()));
        Value::Object(object)
    }

    fn headings(&self, gap: &str) -> Vec<String> {
        let asked = self.by.iter().map(|by| heading(*by));
        asked.chain(NUMBERS).map(|name| name.replace('_', gap)).collect()
    }

    fn stretch(&self) -> String {
        match self.span.ends {
            Timestamp::NEVER if self.span.starts == Timestamp(0) => "all time".to_owned(),
            Timestamp::NEVER => format!("from {}", self.span.starts.rfc3339()),
            ends => format!("{} to {}", self.span.starts.rfc3339(), ends.rfc3339()),
        }
    }

    fn notes(&self) -> Vec<String> {
        let (total, sum) = (self.total.cost, self.check.sum());
        let against = match &self.check {
            Check::Ledger { budget, .. } => format!("what the ledger counts for budget `{budget}`"),
            Check::Records { .. } => {
                "the sum of all records (no org-wide monthly budget counted it)".to_owned()
            }
        };
        let mut notes = vec![if total == sum {
            format!("check: the total equals {against}")
        } else if self.agrees() {
            let more = sum.minus(total);
            format!("check: the total and {more} USD without a price equal {against}")
        } else {
            format!("check: the total {total} USD DIFFERS from {against}: {sum} USD")
        }];
        if 0 < self.estimated {
            notes.push(format!("{} records have estimated token counts", self.estimated));
        }
        if 0 < self.unpriced {
            notes.push(format!("{} records have no price and are in no cost", self.unpriced));
        }
        notes
    }
}

fn cells(row: &Row, group: impl Iterator<Item = String>) -> Vec<String> {
    let Row { requests, input, cached, output, reasoning, .. } = row;
    let numbers = [requests, input, cached, output, reasoning].into_iter();
    group.chain(numbers.map(ToString::to_string)).chain([row.cost.to_string()]).collect()
}

fn shown(name: &str) -> String {
    match name {
        "" => "-".to_owned(),
        // A control character could draw over other lines.
        name => name.chars().map(|it| if it.is_control() { ' ' } else { it }).collect(),
    }
}

fn widths(lines: &[Vec<String>]) -> Vec<usize> {
    let mut widths = Vec::new();
    for line in lines {
        widths.resize(widths.len().max(line.len()), 0);
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    widths
}

fn rule(widths: &[usize]) -> String {
    let width = widths.iter().map(|width| width + 2).sum::<usize>().saturating_sub(2);
    format!("{}\n", "-".repeat(width))
}

/// Names to the left, numbers to the right.
fn aligned(line: &[String], widths: &[usize], names: usize) -> String {
    let cells = line.iter().zip(widths).enumerate().map(|(at, (cell, width))| match at < names {
        true => format!("{cell:<width$}"),
        false => format!("{cell:>width$}"),
    });
    format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
}

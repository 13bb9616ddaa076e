//! The columns of exported usage. Their names and order are a contract: new ones go last.

use policies::{money::NanoUsd, time::Timestamp, usage::UsageRecord};
use std::{collections::BTreeMap, fmt};

/// One value of a record.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Absent,
    Flag(bool),
    Number(i64),
    /// Exact US dollars as decimal text.
    Dollars(NanoUsd),
    Text(String),
    List(Vec<String>),
    Map(BTreeMap<String, String>),
}

pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) of: fn(&UsageRecord) -> Cell,
}

fn text(value: impl fmt::Display) -> Cell {
    Cell::Text(value.to_string())
}

fn perhaps<T: fmt::Display>(value: Option<T>) -> Cell {
    value.map_or(Cell::Absent, text)
}

fn nano(value: NanoUsd) -> Cell {
    Cell::Number(value.0)
}

fn time(value: Timestamp) -> Cell {
    Cell::Text(value.rfc3339())
}

macro_rules! columns {
    ($($name:ident: |$record:ident| $cell:expr;)*) => {
        &[$(Column { name: stringify!($name), of: |$record| $cell },)*]
    };
}

pub(super) const COLUMNS: &[Column] = columns! {
    org: |it| text(it.stamp.org);
    request: |it| text(it.stamp.request);
    attempt: |it| Cell::Number(i64::from(it.stamp.attempt));
    part: |it| Cell::Number(i64::from(it.part));
    logical_request: |it| text(it.stamp.logical_request);
    leg: |it| text(it.stamp.leg);
    admitted_at: |it| time(it.stamp.admitted_at);
    ended_at: |it| time(it.ending.ended_at);
    unit_path: |it| {
        Cell::List(it.stamp.unit_path.iter().map(ToString::to_string).collect())
    };
    project: |it| text(it.stamp.project);
    cost_centre: |it| perhaps(it.stamp.cost_centre.as_ref());
    tags: |it| Cell::Map(it.stamp.tags.clone());
    principal: |it| text(it.stamp.principal);
    acted_for: |it| perhaps(it.stamp.acted_for);
    key: |it| text(it.stamp.key);
    end_user_hash: |it| perhaps(it.stamp.end_user_hash.as_ref());
    session_hash: |it| perhaps(it.stamp.session_hash.as_ref());
    task_hash: |it| perhaps(it.stamp.task_hash.as_ref());
    request_class: |it| perhaps(it.stamp.request_class.as_ref());
    client_request_id: |it| perhaps(it.stamp.client_request_id.as_ref());
    surface: |it| text(it.stamp.surface);
    stream: |it| Cell::Flag(it.stamp.stream);
    model: |it| text(&it.stamp.model);
    tier: |it| perhaps(it.stamp.tier.as_ref());
    deployment: |it| text(it.stamp.deployment);
    upstream_model: |it| text(&it.stamp.upstream_model);
    outcome: |it| text(it.ending.outcome);
    source: |it| text(it.ending.source);
    finish_reason: |it| perhaps(it.ending.finish_reason.as_ref());
    flaw: |it| perhaps(it.ending.flaw.as_ref());
    input_tokens: |it| Cell::Number(it.ending.tokens.input);
    cache_read_tokens: |it| Cell::Number(it.ending.tokens.cache_read);
    cache_write_tokens: |it| Cell::Number(it.ending.tokens.cache_write);
    output_tokens: |it| Cell::Number(it.ending.tokens.output);
    reasoning_tokens: |it| Cell::Number(it.ending.tokens.reasoning);
    audio_input_tokens: |it| Cell::Number(it.ending.tokens.audio_in);
    audio_output_tokens: |it| Cell::Number(it.ending.tokens.audio_out);
    image_tokens: |it| Cell::Number(it.ending.tokens.image);
    cost_usd: |it| it.ending.cost.map_or(Cell::Absent, Cell::Dollars);
    cost_nano_usd: |it| it.ending.cost.map_or(Cell::Absent, nano);
    cost_lines_nano_usd: |it| {
        let lines = it.ending.lines.iter();
        Cell::Map(lines.map(|(kind, cost)| (kind.clone(), cost.0.to_string())).collect())
    };
    counted_usd: |it| Cell::Dollars(it.ending.counted);
    counted_nano_usd: |it| nano(it.ending.counted);
    overrun_usd: |it| Cell::Dollars(it.ending.overrun);
    overrun_nano_usd: |it| nano(it.ending.overrun);
    hold_usd: |it| Cell::Dollars(it.stamp.hold);
    hold_nano_usd: |it| nano(it.stamp.hold);
    price: |it| perhaps(it.stamp.price);
    budgets: |it| {
        Cell::List(it.stamp.chain.iter().map(|pot| pot.budget.to_string()).collect())
    };
    budget_periods: |it| {
        Cell::List(it.stamp.chain.iter().map(|pot| pot.span.starts.rfc3339()).collect())
    };
    queue_millis: |it| Cell::Number(it.stamp.queue_millis);
    first_byte_millis: |it| it.ending.first_byte_millis.map_or(Cell::Absent, Cell::Number);
    total_millis: |it| Cell::Number(it.ending.total_millis);
    revision: |it| text(it.stamp.revision);
    boot: |it| text(it.stamp.boot);
};

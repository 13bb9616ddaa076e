//! The course of a run: what is measured, in which order, how often.

use crate::{
    figure::percentile,
    latency,
    saturation::{self, Round},
    stand::{Programs, Running, Stand, Started, Target},
    stream, tree,
};
use std::{path::Path, time::Duration};

/// How long a run takes.
pub(crate) struct Length {
    pub(crate) rounds: usize,
    pub(crate) starts: usize,
    pub(crate) warm_up: Duration,
    pub(crate) saturation: Duration,
    pub(crate) timetable: Duration,
    /// Paced streams of each connection, one after another.
    pub(crate) streams: u64,
    /// Streams whose first byte is waited for.
    pub(crate) first_bytes: usize,
    /// Whether the committed results are rewritten.
    pub(crate) recorded: bool,
}

impl Length {
    pub(crate) const FULL: Self = Self {
        rounds: 5,
        starts: 5,
        warm_up: Duration::from_secs(2),
        saturation: Duration::from_secs(4),
        timetable: Duration::from_secs(5),
        streams: 3,
        first_bytes: 200,
        recorded: true,
    };

    pub(crate) const SHORT: Self = Self {
        rounds: 3,
        starts: 3,
        warm_up: Duration::from_millis(500),
        saturation: Duration::from_millis(1_000),
        timetable: Duration::from_millis(1_000),
        streams: 1,
        first_bytes: 30,
        recorded: false,
    };
}

/// What a run brought, round by round.
pub(crate) struct Measured {
    pub(crate) started: Started,
    pub(crate) saturated: Vec<Saturated>,
    pub(crate) timed: Vec<Timed>,
    pub(crate) first_bytes: Vec<Ways<f64>>,
    pub(crate) streamed: Vec<Streamed>,
    pub(crate) idle: Memory,
    pub(crate) after: Memory,
    pub(crate) rows: Rows,
}

/// The same measured without anything in between, through nginx, and through Penstock.
#[derive(Clone, Copy)]
pub(crate) struct Ways<T> {
    pub(crate) direct: T,
    pub(crate) nginx: T,
    pub(crate) penstock: T,
}

pub(crate) struct Saturated {
    pub(crate) nginx: Round,
    pub(crate) penstock: Round,
    /// Penstock with a key that no limit, budget or rule binds.
    pub(crate) plain: Round,
}

/// Latencies at the timetable's rate, in milliseconds.
pub(crate) struct Timed {
    pub p50: Ways<f64>,
    pub p99: Ways<f64>,
    /// Microseconds on the processor for one request at this rate.
    pub(crate) nginx_cpu: f64,
    pub(crate) penstock_cpu: f64,
}

pub(crate) struct Streamed {
    pub(crate) nginx: stream::Round,
    pub(crate) penstock: stream::Round,
}

/// Resident memory, in bytes.
pub(crate) struct Memory {
    pub(crate) nginx: u64,
    pub(crate) penstock: u64,
}

/// Usage rows in the store after the drain, and the answers that Penstock gave.
pub(crate) struct Rows {
    pub(crate) answered: u64,
    pub(crate) exported: u64,
}

pub(crate) fn run(programs: &Programs, folder: &Path, length: &Length) -> anyhow::Result<Measured> {
    let stand = Stand::start(programs, folder, length.starts)?;
    let idle = memory(&stand)?;
    let mut answered = u64::try_from(stand.started.penstock.len())?;

    for (target, tested) in [
        (&stand.proxied, &stand.nginx),
        (&stand.governed, &stand.penstock),
        (&stand.plain, &stand.penstock),
    ] {
        let round = saturate(&stand, target, tested, length.warm_up)?;
        answered += if tested.id() == stand.penstock.id() { round.answered } else { 0 };
    }
    let (mut saturated, mut timed) = (Vec::new(), Vec::new());
    let (mut first_bytes, mut streamed) = (Vec::new(), Vec::new());
    for round in 1..=length.rounds {
        eprintln!("round {round} of {}", length.rounds);
        let span = length.saturation;
        let turn = Saturated {
            nginx: saturate(&stand, &stand.proxied, &stand.nginx, span)?,
            penstock: saturate(&stand, &stand.governed, &stand.penstock, span)?,
            plain: saturate(&stand, &stand.plain, &stand.penstock, span)?,
        };
        answered += turn.penstock.answered + turn.plain.answered;
        saturated.push(turn);

        let (turn, asked) = timetable(&stand, length.timetable)?;
        answered += asked;
        timed.push(turn);

        first_bytes.push(first(&stand, length.first_bytes)?);
        answered += u64::try_from(length.first_bytes)?;

        let turn = Streamed {
            nginx: stream::round(&stand.proxied, stand.nginx.id(), length.streams)?,
            penstock: stream::round(&stand.governed, stand.penstock.id(), length.streams)?,
        };
        answered += turn.penstock.streams;
        streamed.push(turn);
    }
    let after = memory(&stand)?;
    let started = Started { penstock: stand.started.penstock.clone(), ..stand.started };
    let exported = stand.drained_rows()?;
    let rows = Rows { answered, exported };
    Ok(Measured { started, saturated, timed, first_bytes, streamed, idle, after, rows })
}

/// Loads Penstock alone for `span`, for somebody who looks at it with a profiler.
pub(crate) fn load(programs: &Programs, folder: &Path, span: Duration) -> anyhow::Result<()> {
    let stand = Stand::start(programs, folder, 1)?;
    eprintln!("loading process {} for {} s", stand.penstock.id(), span.as_secs());
    let round = saturate(&stand, &stand.governed, &stand.penstock, span)?;
    println!("{round:#?}");
    Ok(())
}

fn saturate(
    stand: &Stand<'_>,
    target: &Target,
    tested: &Running,
    span: Duration,
) -> anyhow::Result<Round> {
    saturation::round(target, tested.id(), stand.simulated.id(), span)
}

/// The latencies of one round, and how many requests Penstock got.
fn timetable(stand: &Stand<'_>, span: Duration) -> anyhow::Result<(Timed, u64)> {
    let mut direct = latency::timetable(&stand.direct, span)?;
    let (mut nginx, nginx_cpu) = timed(&stand.proxied, &stand.nginx, span)?;
    let (mut penstock, penstock_cpu) = timed(&stand.governed, &stand.penstock, span)?;
    let mut at = |share: f64| Ways {
        direct: percentile(&mut direct, share),
        nginx: percentile(&mut nginx, share),
        penstock: percentile(&mut penstock, share),
    };
    let (p50, p99) = (at(0.5), at(0.99));
    Ok((Timed { p50, p99, nginx_cpu, penstock_cpu }, u64::try_from(penstock.len())?))
}

fn timed(target: &Target, tested: &Running, span: Duration) -> anyhow::Result<(Vec<f64>, f64)> {
    let before = tree::cpu(tested.id())?;
    let latencies = latency::timetable(target, span)?;
    tree::settle(tested.id())?;
    let used = tree::cpu(tested.id())?.saturating_sub(before).as_secs_f64();
    let requests = u32::try_from(latencies.len())?.max(1);
    Ok((latencies, used * 1e6 / f64::from(requests)))
}

fn first(stand: &Stand<'_>, streams: usize) -> anyhow::Result<Ways<f64>> {
    let median = |target: &Target| -> anyhow::Result<f64> {
        Ok(percentile(&mut latency::first_bytes(target, streams)?, 0.5))
    };
    Ok(Ways {
        direct: median(&stand.direct)?,
        nginx: median(&stand.proxied)?,
        penstock: median(&stand.governed)?,
    })
}

fn memory(stand: &Stand<'_>) -> anyhow::Result<Memory> {
    Ok(Memory { nginx: stand.nginx.memory()?, penstock: stand.penstock.memory()? })
}

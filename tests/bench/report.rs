//! What a run brought, as a table for people and as JSON for machines.

use crate::{
    course::{Measured, Ways},
    figure::Figure,
    saturation::{CONNECTIONS, Round},
    stand::Programs,
    stream::{STREAMS, TOKENS},
    wire::BODY_BYTES,
};
use anyhow::Context as _;
use serde::Serialize;
use serde_json::json;
use std::{fmt::Write as _, fs, path::Path, process::Command};

/// What is committed, and what is not; seen from the root of the house.
const RESULTS: &str = "tests/bench/RESULTS.md";
const KEPT: &str = "tests/bench/results";

const ON: &str = "Penstock had everything on: key by SHA-256, data rules of org and project, all \
detectors over the whole request, limits of requests, tokens and concurrency on org, project and \
key, budgets on org, unit, project and user (hold and settlement on all four), prices, the \
journal on disk (`process-crash`) with intent and settlement of each request, usage and decision \
rows into SQLite. The guard against one key's flood was raised out of the way. nginx: one worker, \
key by equality, no log. CPU is user and system time of the process tree and includes what was \
put off: rows still on their way into the store when the load ended.";

/// Where and with what a run was made.
pub(crate) struct Circumstances {
    date: String,
    commit: String,
    penstock: String,
    nginx: String,
    kernel: String,
    processor: String,
}

impl Circumstances {
    pub(crate) fn of(programs: &Programs, commit: String, date: String) -> anyhow::Result<Self> {
        let told = |program: &Path, flag: &str| -> anyhow::Result<String> {
            let output = Command::new(program).arg(flag).output()?;
            let text = [output.stdout, output.stderr].concat();
            Ok(String::from_utf8_lossy(&text).trim().replace("nginx version: ", ""))
        };
        let processors = fs::read_to_string("/proc/cpuinfo")?;
        let model = processors.lines().find_map(|line| line.strip_prefix("model name"));
        let processor = model.unwrap_or_default().trim_start_matches([' ', '\t', ':']).to_owned();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned();
        Ok(Self {
            date,
            commit,
            penstock: told(&programs.penstock, "--version").context("penstock --version")?,
            nginx: told(&programs.nginx, "-v").context("nginx -v")?,
            kernel,
            processor,
        })
    }

    pub(crate) fn text(&self) -> String {
        let Self { date, commit, penstock, nginx, kernel, processor } = self;
        format!(
            "{date}, commit {commit}, {penstock} (release), {nginx}, Linux {kernel}, {processor}; \
             tested programs on core 0, load and simulated provider on core 1."
        )
    }
}

/// One line of the table.
#[derive(Serialize)]
struct Row {
    what: String,
    unit: &'static str,
    nginx: Option<Figure>,
    penstock: Option<Figure>,
    /// Penstock's figure divided by nginx's of the same round, or less it.
    compared: Option<Figure>,
    by: &'static str,
    aim: &'static str,
    #[serde(skip)]
    decimals: usize,
}

/// The table, with what has to be said of it.
pub(crate) fn table(measured: &Measured) -> String {
    let mut text = String::from(
        "| what | unit | nginx | penstock | penstock / nginx | aim |\n|---|---|---|---|---|---|\n",
    );
    for Row { what, unit, nginx, penstock, compared, by, aim, decimals } in rows(measured) {
        let cell = |figure: Option<Figure>, decimals: usize| {
            figure.map_or("-".to_owned(), |figure| figure.text(decimals))
        };
        let compared = match by {
            "ratio" => format!("{} x", cell(compared, 2)),
            _ => "-".to_owned(),
        };
        let (nginx, penstock) = (cell(nginx, decimals), cell(penstock, decimals));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {what} | {unit} | {nginx} | {penstock} | {compared} | {aim} |");
    }
    let rows = &measured.rows;
    let _ = writeln!(
        text,
        "| usage rows after the drain / answers | rows | - | {} / {} | - | 100 % |",
        rows.exported, rows.answered
    );
    text.push_str("\nMedians, with the least and the most of all rounds in brackets.\n");
    for remark in remarks(measured) {
        let _ = writeln!(text, "- {remark}");
    }
    text
}

/// Writes the JSON, and the committed page where `recorded`.
pub(crate) fn write(
    circumstances: &Circumstances,
    measured: &Measured,
    table: &str,
    recorded: bool,
) -> anyhow::Result<()> {
    let text = circumstances.text();
    let document = json!({
        "date": circumstances.date, "commit": circumstances.commit, "circumstances": text,
        "on": ON, "figures": rows(measured), "remarks": remarks(measured),
        "usage_rows": { "answered": measured.rows.answered, "exported": measured.rows.exported },
    });
    fs::create_dir_all(KEPT)?;
    let name = circumstances.date.replace(':', "-");
    fs::write(format!("{KEPT}/{name}.json"), format!("{document:#}\n"))?;
    if recorded {
        let page = format!(
            "# Results of the bench\n\nWritten by `tests/bench/run`; figures of different \
             machines or runs do not compare, the ratio to nginx in one run does.\n\n\
             {text}\n\n{table}\n{ON}\n"
        );
        fs::write(RESULTS, page)?;
    }
    Ok(())
}

fn rows(measured: &Measured) -> Vec<Row> {
    let mut rows = saturated(measured);
    rows.extend(timed(measured));
    rows.extend(streamed(measured));
    rows.extend(of_process(measured));
    rows
}

fn saturated(measured: &Measured) -> Vec<Row> {
    let rounds = &measured.saturated;
    let side = |of: fn(&Round) -> f64| {
        let nginx = rounds.iter().map(move |round| of(&round.nginx));
        let penstock = rounds.iter().map(move |round| of(&round.penstock));
        let plain = rounds.iter().map(move |round| of(&round.plain));
        (nginx.collect::<Vec<_>>(), penstock.collect::<Vec<_>>(), plain.collect::<Vec<_>>())
    };
    let (nginx, penstock, plain) = side(|round| round.cpu_micros);
    let (nginx_rate, penstock_rate, _) = side(|round| round.per_second);
    let governance = penstock.iter().zip(&plain).map(|(all, plain)| (all - plain) / all * 100.0);
    let governance = governance.collect();
    vec![
        ratio("CPU per request, saturated", "us", nginx.clone(), penstock, "<= 3 x", 1),
        ratio("the same, key without limits, budgets and rules", "us", nginx, plain, "", 1),
        Row {
            nginx: None,
            compared: None,
            by: "",
            ..ratio(
                "share of limits, budgets and rules in the CPU per request",
                "%",
                vec![],
                governance,
                "",
                0,
            )
        },
        ratio("requests on one core", "1/s", nginx_rate, penstock_rate, ">= 15,000", 0),
    ]
}

fn timed(measured: &Measured) -> Vec<Row> {
    let added = |of: fn(&crate::course::Timed) -> Ways<f64>| {
        let nginx = measured.timed.iter().map(move |it| of(it).nginx - of(it).direct);
        let penstock = measured.timed.iter().map(move |it| of(it).penstock - of(it).direct);
        (Figure::of(nginx), Figure::of(penstock))
    };
    let row = |what: &str, aim, (nginx, penstock)| absolute(what, "ms", nginx, penstock, aim);
    let nginx = measured.timed.iter().map(|it| it.nginx_cpu).collect();
    let penstock = measured.timed.iter().map(|it| it.penstock_cpu).collect();
    vec![
        row("added to the latency at 500/s, p50", "<= 0.5 ms", added(|it| it.p50)),
        row("added to the latency at 500/s, p99", "<= 1.2 ms", added(|it| it.p99)),
        ratio("CPU per request at 500/s", "us", nginx, penstock, "", 0),
    ]
}

fn streamed(measured: &Measured) -> Vec<Row> {
    let firsts = &measured.first_bytes;
    let nginx_first = Figure::of(firsts.iter().map(|it| it.nginx - it.direct));
    let penstock_first = Figure::of(firsts.iter().map(|it| it.penstock - it.direct));
    let nginx = measured.streamed.iter().map(|it| it.nginx.cpu_micros).collect();
    let penstock = measured.streamed.iter().map(|it| it.penstock.cpu_micros).collect();
    vec![
        ratio(
            &format!("CPU per event, {STREAMS} streams of {TOKENS} tokens at 10 ms"),
            "us",
            nginx,
            penstock,
            "<= 1.8 x",
            1,
        ),
        absolute(
            "added to a stream's first byte, one connection, p50",
            "ms",
            nginx_first,
            penstock_first,
            "<= 1 ms",
        ),
    ]
}

fn of_process(measured: &Measured) -> Vec<Row> {
    #[expect(clippy::cast_precision_loss, reason = "some gigabytes at most")]
    let mib = |bytes: u64| Figure::of([bytes as f64 / f64::from(1 << 20)]);
    let (idle, after, started) = (&measured.idle, &measured.after, &measured.started);
    let once = |row: Row| Row { decimals: 0, ..row };
    vec![
        once(absolute("memory, idle", "MiB", mib(idle.nginx), mib(idle.penstock), "<= 40 MiB")),
        once(absolute("memory, after", "MiB", mib(after.nginx), mib(after.penstock), "<= 80 MiB")),
        once(absolute(
            "start to first answer, store migrated and filled",
            "ms",
            Figure::of([started.nginx]),
            Figure::of(started.penstock.iter().copied()),
            "<= 300 ms",
        )),
    ]
}

fn ratio(
    what: &str,
    unit: &'static str,
    nginx: Vec<f64>,
    penstock: Vec<f64>,
    aim: &'static str,
    decimals: usize,
) -> Row {
    let compared =
        Figure::of(nginx.iter().zip(&penstock).map(|(nginx, penstock)| penstock / nginx));
    let (nginx, penstock) = (Some(Figure::of(nginx)), Some(Figure::of(penstock)));
    let (what, compared, by) = (what.to_owned(), Some(compared), "ratio");
    Row { what, unit, nginx, penstock, compared, by, aim, decimals }
}

fn absolute(
    what: &str,
    unit: &'static str,
    nginx: Figure,
    penstock: Figure,
    aim: &'static str,
) -> Row {
    let (nginx, penstock, what) = (Some(nginx), Some(penstock), what.to_owned());
    Row { what, unit, nginx, penstock, compared: None, by: "", aim, decimals: 2 }
}

/// What a reader has to know before believing the figures.
fn remarks(measured: &Measured) -> Vec<String> {
    let mut remarks = vec![format!(
        "{CONNECTIONS} kept connections, request bodies of {BODY_BYTES} bytes, answers of 1,056; \
         latency by timetable, from the planned moment; direct p50 {} ms, p99 {} ms, first byte {} \
         ms.",
        Figure::of(measured.timed.iter().map(|it| it.p50.direct)).text(2),
        Figure::of(measured.timed.iter().map(|it| it.p99.direct)).text(2),
        Figure::of(measured.first_bytes.iter().map(|it| it.direct)).text(2),
    )];
    let rounds = &measured.saturated;
    let nginx: Vec<Round> = rounds.iter().map(|it| it.nginx).collect();
    let penstock: Vec<Round> = rounds.iter().map(|it| it.penstock).collect();
    for (name, side) in [("nginx", nginx), ("penstock", penstock)] {
        let percent =
            |share: fn(&Round) -> f64| Figure::of(side.iter().map(|it| share(it) * 100.0)).median;
        let (tested, load) = (percent(|it| it.tested_share), percent(|it| it.load_share));
        let limit = if tested < 95.0 && 90.0 < load {
            "; the load side was the limit, so its rate is a lower bound, and its CPU per request \
             that of a core not quite full"
        } else {
            ""
        };
        remarks.push(format!(
            "{name}, saturated: its core {tested:.0} %, the load's {load:.0} % busy with it{limit}."
        ));
    }
    let foreign = rounds.iter().flat_map(|it| [it.nginx, it.penstock, it.plain]);
    let foreign = foreign.map(|it| it.foreign_share * 100.0).fold(0.0, f64::max);
    let judged = if foreign < 5.0 { "quiet" } else { "disturbed: repeat it on a quiet machine" };
    remarks.push(format!("Other programs had up to {foreign:.0} % of the two cores: {judged}."));
    remarks.push(
        "There is no mode without governance to compare with. The key without limits, budgets and \
         rules still has its request journaled, searched, priced and recorded."
            .to_owned(),
    );
    remarks
}

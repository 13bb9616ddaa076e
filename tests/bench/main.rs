//! Measures Penstock beside nginx in one run, on one machine, under one load.

mod course;
mod figure;
mod latency;
mod report;
mod saturation;
mod stand;
mod stream;
mod tree;
mod wire;

use anyhow::{Context as _, bail};
use course::Length;
use report::Circumstances;
use std::{path::PathBuf, process::ExitCode, time::Duration};

/// What `tests/bench/run` tells.
struct Args {
    penstock: PathBuf,
    nginx: PathBuf,
    commit: String,
    date: String,
    length: Length,
    /// Nothing is measured, Penstock is only loaded.
    load: Option<Duration>,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = read_args()?;
    let folder = tempfile::tempdir().context("a folder for the run")?;
    let programs = stand::Programs { penstock: args.penstock, nginx: args.nginx };
    if let Some(span) = args.load {
        course::load(&programs, folder.path(), span)?;
        return Ok(ExitCode::SUCCESS);
    }
    let circumstances = Circumstances::of(&programs, args.commit, args.date)?;
    let measured = course::run(&programs, folder.path(), &args.length)?;
    let table = report::table(&measured);
    println!("\n{}\n{table}", circumstances.text());
    report::write(&circumstances, &measured, &table, args.length.recorded)?;
    if measured.rows.exported == measured.rows.answered {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("usage rows are missing or doubled");
    Ok(ExitCode::FAILURE)
}

fn read_args() -> anyhow::Result<Args> {
    let (mut penstock, mut nginx, mut length) = (None, None, Length::FULL);
    let (mut commit, mut date, mut load) = (None, None, None);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--penstock" => penstock = words.next(),
            "--nginx" => nginx = words.next(),
            "--commit" => commit = words.next(),
            "--date" => date = words.next(),
            "--load" => load = words.next(),
            "--short" => length = Length::SHORT,
            other => bail!("`{other}` is not known: start it with tests/bench/run"),
        }
    }
    let started = "start it with tests/bench/run";
    Ok(Args {
        penstock: std::path::absolute(penstock.context(started)?)?,
        nginx: nginx.context(started)?.into(),
        commit: commit.unwrap_or_default(),
        date: date.unwrap_or_default(),
        length,
        load: load.map(|seconds| seconds.parse().map(Duration::from_secs)).transpose()?,
    })
}

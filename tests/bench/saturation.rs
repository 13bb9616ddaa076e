//! As many requests as the connections bear: each asks again as soon as it has its answer.

use crate::{
    stand::{LOAD_CORE, TESTED_CORE, Target},
    tree,
    wire::{self, Answer, Ask},
};
use std::time::Duration;
use store::clock;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

/// Connections that ask at once.
pub(crate) const CONNECTIONS: usize = 64;

/// What one round brought.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    pub(crate) answered: u64,
    /// Microseconds on the processor for one request, with everything that was put off.
    pub(crate) cpu_micros: f64,
    pub(crate) per_second: f64,
    /// How much of its core the tested program had, and the load of its own, from 0 to 1.
    pub(crate) tested_share: f64,
    pub(crate) load_share: f64,
    /// How much of both cores went to programs that have nothing to do with the bench.
    pub(crate) foreign_share: f64,
}

/// Loads `target` for `span`; `tested` is the process whose time is taken.
pub(crate) fn round(
    target: &Target,
    tested: u32,
    simulated: u32,
    span: Duration,
) -> anyhow::Result<Round> {
    let own = std::process::id();
    let count = || -> anyhow::Result<[Duration; 3]> {
        // What is tested is a child of this process, so that only its own time is taken.
        let (tested, load) = (tree::cpu(tested)?, tree::cpu(simulated)? + tree::cpu_alone(own)?);
        let cores = tree::core_busy(TESTED_CORE)? + tree::core_busy(LOAD_CORE)?;
        Ok([tested, load, cores])
    };
    let [tested_before, load_before, cores_before] = count()?;
    let begun = clock::monotonic();
    let answered = load(target, span)?;
    let wall = begun.elapsed().as_secs_f64();
    let [tested_then, load_then, cores_then] = count()?;
    tree::settle(tested)?;
    let used = tree::cpu(tested)?.saturating_sub(tested_before);
    let share = |now: Duration, before: Duration| now.saturating_sub(before).as_secs_f64() / wall;
    let tested_share = share(tested_then, tested_before);
    let load_share = share(load_then, load_before);
    let busy = share(cores_then, cores_before);
    #[expect(clippy::cast_precision_loss, reason = "some hundred thousand")]
    let requests = answered.max(1) as f64;
    Ok(Round {
        answered,
        cpu_micros: used.as_secs_f64() * 1e6 / requests,
        per_second: requests / wall,
        tested_share,
        load_share,
        foreign_share: (busy - tested_share - load_share).max(0.0) / 2.0,
    })
}

fn load(target: &Target, span: Duration) -> anyhow::Result<u64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connections = JoinSet::new();
        for _ in 0..CONNECTIONS {
            connections.spawn(ask_again(target.clone(), span));
        }
        let mut answered = 0;
        while let Some(done) = connections.join_next().await {
            answered += done??;
        }
        Ok(answered)
    })
}

async fn ask_again(target: Target, span: Duration) -> anyhow::Result<u64> {
    let request = wire::request(&target, Ask::Whole);
    let mut stream = TcpStream::connect(target.address).await?;
    stream.set_nodelay(true)?;
    let (over, mut answer, mut answered) = (clock::monotonic() + span, Answer::new(), 0);
    while clock::monotonic() < over {
        stream.write_all(&request).await?;
        loop {
            let count = stream.read(answer.space()).await?;
            if answer.took(count)? {
                break;
            }
        }
        answered += 1;
    }
    Ok(answered)
}

//! Many streams at once, an event every ten milliseconds in each, as a person would read them.

use crate::{
    stand::Target,
    tree,
    wire::{self, Ask, Events, Heard},
};
use anyhow::ensure;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::sleep,
};

/// Streams under way at once.
pub(crate) const STREAMS: usize = 50;
/// Tokens of each, an event each.
pub(crate) const TOKENS: u64 = 100;
/// Between two first requests, so that the streams do not beat as one.
const STAGGER: Duration = Duration::from_millis(13);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    pub(crate) streams: u64,
    /// Microseconds on the processor for each event, with everything that was put off.
    pub(crate) cpu_micros: f64,
}

/// [`STREAMS`] connections, each with `each` streams one after another.
pub(crate) fn round(target: &Target, tested: u32, each: u64) -> anyhow::Result<Round> {
    let before = tree::cpu(tested)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let events = runtime.block_on(async {
        let mut connections = JoinSet::new();
        for place in 0..u32::try_from(STREAMS)? {
            connections.spawn(listen(target.clone(), STAGGER * place, each));
        }
        let mut events = 0;
        while let Some(done) = connections.join_next().await {
            events += done??;
        }
        anyhow::Ok(events)
    })?;
    tree::settle(tested)?;
    let used = tree::cpu(tested)?.saturating_sub(before).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "some ten thousand")]
    let cpu_micros = used * 1e6 / events.max(1) as f64;
    Ok(Round { streams: u64::try_from(STREAMS)? * each, cpu_micros })
}

async fn listen(target: Target, after: Duration, each: u64) -> anyhow::Result<u64> {
    sleep(after).await;
    let request = wire::request(&target, Ask::Paced);
    let mut stream = TcpStream::connect(target.address).await?;
    stream.set_nodelay(true)?;
    let (mut space, mut heard) = (vec![0; 16 << 10], 0);
    for _ in 0..each {
        stream.write_all(&request).await?;
        let mut events = Events::default();
        loop {
            let count = stream.read(&mut space).await?;
            if events.take(space.get(..count).unwrap_or_default())? == Heard::End {
                break;
            }
        }
        ensure!(TOKENS < events.count, "a stream of {} events", events.count);
        heard += events.count;
    }
    Ok(heard)
}

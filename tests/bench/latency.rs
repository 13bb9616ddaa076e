//! Requests by timetable: what is late counts from the moment it was planned for.

use crate::{
    stand::Target,
    wire::{self, Answer, Ask, Events, Heard},
};
use anyhow::anyhow;
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};
use store::clock;

/// Requests per second.
pub(crate) const RATE: u32 = 500;
/// Connections that take turns; a request whose connection still waits goes late.
const CONNECTIONS: u32 = 16;
/// An answer that takes longer ends the bench.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Latencies of `span` at [`RATE`], in milliseconds.
pub(crate) fn timetable(target: &Target, span: Duration) -> anyhow::Result<Vec<f64>> {
    let all: u32 = RATE * u32::try_from(span.as_millis())? / 1_000;
    let start = clock::monotonic() + Duration::from_millis(50);
    thread::scope(|scope| {
        // All are started before any is waited for.
        let connections: Vec<_> = (0..CONNECTIONS)
            .map(|first| scope.spawn(move || turns(target, start, first, all)))
            .collect();
        let mut latencies = Vec::new();
        for connection in connections {
            latencies.extend(connection.join().map_err(|_| anyhow!("a connection panicked"))??);
        }
        Ok(latencies)
    })
}

/// The requests of one connection: every sixteenth.
fn turns(target: &Target, start: Instant, first: u32, all: u32) -> anyhow::Result<Vec<f64>> {
    let request = wire::request(target, Ask::Whole);
    let (mut stream, mut answer, mut latencies) = (open(target)?, Answer::new(), Vec::new());
    let step = usize::try_from(CONNECTIONS)?;
    for turn in (first..all).step_by(step) {
        let planned = start + Duration::from_secs(1) * turn / RATE;
        thread::sleep(planned.saturating_duration_since(clock::monotonic()));
        stream.write_all(&request)?;
        read(&mut stream, &mut answer)?;
        latencies.push(millis(planned.elapsed()));
    }
    Ok(latencies)
}

/// From a request for a stream to the first byte of its body, one after another on one
/// connection, in milliseconds.
pub(crate) fn first_bytes(target: &Target, streams: usize) -> anyhow::Result<Vec<f64>> {
    let request = wire::request(target, Ask::Stream);
    let (mut stream, mut space) = (open(target)?, vec![0; 64 << 10]);
    let mut latencies = Vec::new();
    for _ in 0..streams {
        let (mut events, mut first, sent) = (Events::default(), None, clock::monotonic());
        stream.write_all(&request)?;
        loop {
            let count = stream.read(&mut space)?;
            let heard = events.take(space.get(..count).unwrap_or_default())?;
            if heard != Heard::Head {
                first.get_or_insert_with(|| millis(sent.elapsed()));
            }
            if heard == Heard::End {
                break;
            }
        }
        latencies.extend(first);
    }
    Ok(latencies)
}

/// One request on a connection that was just opened.
pub(crate) fn one(target: &Target, mut stream: TcpStream, ask: Ask) -> anyhow::Result<()> {
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.write_all(&wire::request(target, ask))?;
    read(&mut stream, &mut Answer::new())
}

fn open(target: &Target) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(target.address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    Ok(stream)
}

fn read(stream: &mut TcpStream, answer: &mut Answer) -> anyhow::Result<()> {
    loop {
        let count = stream.read(answer.space())?;
        if answer.took(count)? {
            return Ok(());
        }
    }
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

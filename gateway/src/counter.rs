//! Counts tokens that no provider reported, on a thread of its own: the tokenizer's tables take
//! a tenth of a second to load, and a long text its time.

use crate::{
    bill::Draft,
    journal::{Closing, Entry, Journal, Unwritten, Written},
    pipeline::classify::Ask,
};
use dialects::{estimate, stream::Choice};
use policies::usage::Tokens;
use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};
use tokio::sync::oneshot;

/// An attempt to be counted and closed.
pub struct Count {
    pub ask: Arc<Ask>,
    pub choices: Vec<Choice>,
    pub draft: Draft,
    pub closing: Closing,
    pub done: oneshot::Sender<Result<Written, Unwritten>>,
}

#[derive(Clone)]
pub struct Counter {
    counts: SyncSender<Count>,
}

impl Counter {
    /// `places`: of the journal; each can have one count under way.
    pub fn start(journal: Arc<Journal>, places: usize) -> io::Result<Self> {
        let (counts, incoming) = sync_channel(places);
        let run = move || run(&incoming, &journal);
        std::thread::Builder::new().name("counter".to_owned()).spawn(run)?;
        Ok(Self { counts })
    }

    /// Never waits: each place of the journal has room here.
    pub fn count(&self, count: Count) {
        if self.counts.try_send(count).is_err() {
            tracing::error!("the counter has no room for an attempt");
        }
    }
}

fn run(incoming: &Receiver<Count>, journal: &Journal) {
    while let Ok(count) = incoming.recv() {
        let Count { ask, choices, draft, mut closing, done } = count;
        let input = ask.input_estimate();
        let output = estimate::output_estimate(&choices);
        closing.ending = Some(draft.counted(Tokens { input, output, ..Tokens::default() }));
        journal.forward(Entry { closing: Some(closing), ..Entry::default() }, done);
    }
}

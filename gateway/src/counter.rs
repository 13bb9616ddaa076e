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
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
};
use tokio::sync::oneshot;

/// An attempt to be counted and closed.
pub struct Count {
    pub ask: Arc<Ask>,
    pub choices: Vec<Choice>,
    pub draft: Draft,
    /// The provider may have produced more than we saw.
    pub unknown: bool,
    pub closing: Closing,
    pub done: oneshot::Sender<Result<Written, Unwritten>>,
}

#[derive(Clone)]
pub struct Counter {
    counts: SyncSender<Box<Count>>,
    journal: Arc<Journal>,
}

impl Counter {
    /// `places`: of the journal; each can have one count under way.
    pub fn start(journal: Arc<Journal>, places: usize) -> io::Result<Self> {
        let (counts, incoming) = sync_channel::<Box<Count>>(places);
        let own = Arc::clone(&journal);
        let run = move || {
            while let Ok(count) = incoming.recv() {
                settle(*count, &own);
            }
        };
        std::thread::Builder::new().name("counter".to_owned()).spawn(run)?;
        Ok(Self { counts, journal })
    }

    /// Never waits: each place of the journal has room here. What cannot be counted after all
    /// counts in full.
    pub fn count(&self, count: Count) {
        let lost = match self.counts.try_send(Box::new(count)) {
            Ok(()) => return,
            Err(TrySendError::Full(lost) | TrySendError::Disconnected(lost)) => lost,
        };
        tracing::error!("an attempt cannot be counted; it counts in full");
        let Count { draft, mut closing, done, .. } = *lost;
        closing.ending = Some(draft.unknown(Tokens::default()));
        self.journal.forward(Entry { closing: Some(closing), ..Entry::default() }, done);
    }
}

fn settle(count: Count, journal: &Journal) {
    let Count { ask, choices, draft, unknown, mut closing, done } = count;
    let input = ask.input_estimate();
    let output = estimate::output_estimate(&choices);
    let seen = Tokens { input, output, ..Tokens::default() };
    closing.ending = Some(if unknown { draft.unknown(seen) } else { draft.counted(seen) });
    journal.forward(Entry { closing: Some(closing), ..Entry::default() }, done);
}

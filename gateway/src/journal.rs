//! What must survive the process: intents before the send, endings before the last byte.
//!
//! Files that only grow, with one writer thread. Whatever comes while a commit runs goes into the
//! next one, as one row: many requests share one commit, and a lone one waits for no timer. A
//! request keeps a [`Place`] from admission until its ending is committed, so the number of places
//! bounds the requests in flight, and an ending always finds room: back-pressure falls on
//! admission, never on billing.

mod code;
mod entry;
mod file;
mod frame;
mod kept;
mod name;
mod pace;
mod recovery;
mod segment;
mod teller;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use self::kept::Kept;
pub use self::{
    file::{File, OpenFault},
    recovery::{Legacy, Recovered},
    writer::{Journal, Written},
};

use crate::purse::{Hold, Seat};
use policies::{
    ids::RequestId,
    money::NanoUsd,
    usage::{Decision, Ending, Stamp},
};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// A kept place: from admission to the committed ending.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

/// The journal could not write: nothing of the entry was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal cannot write")]
pub struct Unwritten;

/// How far an unfinished attempt has come, for the bill of a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub request: RequestId,
    pub attempt: u32,
    /// What was seen so far costs this.
    pub cost: NanoUsd,
    pub output_tokens: i64,
}

/// What is about to be sent.
#[derive(Debug)]
pub struct Intent {
    pub stamp: Arc<Stamp>,
}

/// How an attempt ended, with what it keeps until this is committed.
#[derive(Debug)]
pub struct Closing {
    pub stamp: Arc<Stamp>,
    /// None: surely not begun; it leaves no usage record.
    pub ending: Option<Ending>,
    pub hold: Hold,
    pub seats: Vec<Seat>,
    pub place: Option<Place>,
}

/// What one message brings; all of it is committed together.
#[derive(Debug, Default)]
pub struct Entry {
    pub closing: Option<Closing>,
    pub decision: Option<Arc<Decision>>,
    pub intent: Option<Intent>,
    /// Given back when the rest is committed: it bounds the entries that wait.
    pub place: Option<Place>,
}

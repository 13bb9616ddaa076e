//! Tells those who wait that their entries are committed, and settles what has ended.
//!
//! This is done by a task among those who wait, one for each commit, and not by the writer: the
//! writer would meet them at every lock, and be sent to sleep there.

use super::{Place, Written, writer::Parcel};
use crate::purse::{Hold, Seat};
use policies::money::NanoUsd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::{runtime::Handle, sync::Notify};

/// An attempt that has ended, with what it keeps until its record is on its way.
pub(super) struct Ended {
    pub(super) hold: Hold,
    pub(super) counted: NanoUsd,
    pub(super) seats: Vec<Seat>,
    pub(super) tokens: i64,
    pub(super) place: Option<Place>,
}

/// The writer's side. Without a runtime, the writer tells by itself.
pub(super) struct Teller(Option<Arc<Desk>>);

#[derive(Default)]
struct Desk {
    committed: Mutex<Committed>,
    more: Notify,
}

#[derive(Default)]
struct Committed {
    told: Vec<(Written, Parcel)>,
    over: bool,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Committed> {
        self.committed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(&self) {
        let mut told = Vec::new();
        loop {
            self.more.notified().await;
            let over = {
                let mut committed = self.lock();
                std::mem::swap(&mut told, &mut committed.told);
                committed.over
            };
            told.drain(..).for_each(|(written, waiting)| tell(written, waiting));
            if over {
                return;
            }
        }
    }
}

impl Teller {
    /// The task ends with the writer.
    pub(super) fn start() -> Self {
        Self(Handle::try_current().ok().map(|runtime| {
            let desk = Arc::<Desk>::default();
            let own = Arc::clone(&desk);
            runtime.spawn(async move { own.run().await });
            desk
        }))
    }

    pub(super) fn tell(&self, written: Written, all: impl Iterator<Item = Parcel>) {
        let Some(desk) = &self.0 else {
            all.for_each(|waiting| tell(written, waiting));
            return;
        };
        desk.lock().told.extend(all.map(|waiting| (written, waiting)));
        desk.more.notify_one();
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        if let Some(desk) = &self.0 {
            desk.lock().over = true;
            desk.more.notify_one();
        }
    }
}

fn tell(written: Written, mut waiting: Parcel) {
    if let Some(Ended { hold, counted, seats, tokens, place }) = waiting.ended.take() {
        hold.settle(counted);
        seats.into_iter().for_each(|seat| seat.leave(tokens));
        drop(place);
    }
    // The place of a refusal, which bounds those that wait.
    drop(waiting.entry.place.take());
    if let Some(done) = waiting.done.take() {
        // A caller that has gone does not wait for it.
        let _ = done.send(Ok(written));
    }
}

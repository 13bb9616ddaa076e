//! The journal's one writer: a thread that commits whatever has come, again and again.

use super::{
    Closing, Entry, File, Intent, OpenFault, Place, Progress, Unwritten, entry,
    pace::{COMPANY, Pace},
    teller::{Ended, Teller},
};
use crate::shipper::{Batch, Body, Outbox, Row};
use policies::{
    ids::{BootId, RequestId},
    money::NanoUsd,
    usage::{Stamp, UsageRecord},
};
use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};
use store::clock;
use tokio::sync::{Semaphore, oneshot};

/// Messages that one commit carries, at most.
const COMMIT_MESSAGES_MAX: usize = 1024;
/// Bytes of lines after which a commit takes no more messages.
const COMMIT_BYTES_SOFT_MAX: usize = 4 << 20;
/// Without messages, how often progress marks are written and old rows taken away.
const IDLE: Duration = Duration::from_secs(1);
/// After a failed commit, how long until the next try.
const RETRY: Duration = Duration::from_millis(200);
const PROGRESS_MARKS_MAX: usize = 4096;
/// Committed rows that may wait for the store before nothing new is admitted.
const OUTBOX_ROWS_MAX: usize = 200_000;

/// The row in which something was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Written(pub(crate) i64);

/// Handed on whole, from the one who waits to the writer and back.
pub(super) type Parcel = Box<Waiting>;

enum Message {
    Write(Parcel),
    Begin(BootId, oneshot::Sender<Result<(), Unwritten>>),
    Closed(Vec<BootId>),
    Stop,
}

/// An entry, and who is told when it is committed. It goes back to where it came from, emptied:
/// memory is given back most cheaply by the thread that took it.
pub(super) struct Waiting {
    pub(super) entry: Entry,
    pub(super) done: Option<oneshot::Sender<Result<Written, Unwritten>>>,
    /// What is settled once the entry is committed.
    pub(super) ended: Option<Ended>,
}

/// Handle of the journal; cheap to share.
pub struct Journal {
    messages: SyncSender<Message>,
    progress: SyncSender<Progress>,
    places: Arc<Semaphore>,
    places_max: u32,
    /// Refusals whose decision is not committed yet.
    refusals: Arc<Semaphore>,
    outbox: Arc<Outbox>,
    failing: Arc<AtomicBool>,
    writer: Mutex<Option<JoinHandle<bool>>>,
}

impl Journal {
    /// Starts a boot in `file` and the thread that writes for it. Committed rows go to `outbox`.
    pub fn start(
        file: File,
        boot: BootId,
        places: usize,
        outbox: Arc<Outbox>,
    ) -> Result<Self, OpenFault> {
        file.begin(boot, clock::now())?;
        let committed = Arc::clone(&outbox);
        // An intent and an ending of each place can wait, the decision of each refusal, and a stop.
        let (messages, incoming) = sync_channel(places.saturating_mul(3).saturating_add(1));
        let (progress, marks) = sync_channel(PROGRESS_MARKS_MAX);
        let failing = Arc::new(AtomicBool::new(false));
        let writer = Writer {
            file,
            boot,
            incoming,
            marks,
            outbox,
            failing: Arc::clone(&failing),
            lines: Vec::new(),
            batch: Batch::default(),
            teller: Teller::start(),
            pace: Pace::new(),
            open: HashMap::new(),
            done: 0,
        };
        let writer = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run())
            .map_err(|cause| OpenFault::Io { path: "the journal's thread".into(), cause })?;
        Ok(Self {
            messages,
            progress,
            places: Arc::new(Semaphore::new(places)),
            refusals: Arc::new(Semaphore::new(places)),
            outbox: committed,
            places_max: u32::try_from(places).unwrap_or(u32::MAX),
            failing,
            writer: Mutex::new(Some(writer)),
        })
    }

    /// Keeps a place for one request, or says that none is free, that nothing can be written, or
    /// that the store is too far behind.
    pub fn place(&self) -> Option<Place> {
        if OUTBOX_ROWS_MAX < self.outbox.waiting() {
            return None;
        }
        self.keep(&self.places)
    }

    /// Keeps a place for the decision of one refusal.
    pub fn refusal_place(&self) -> Option<Place> {
        self.keep(&self.refusals)
    }

    fn keep(&self, places: &Arc<Semaphore>) -> Option<Place> {
        if !self.healthy() {
            return None;
        }
        let permit = Arc::clone(places).try_acquire_owned().ok()?;
        Some(Place { _permit: permit })
    }

    /// Waits until no place is kept: every request has ended, and its ending is committed.
    pub async fn all_places(&self) {
        // It is never closed, so this cannot fail.
        let _ = self.places.acquire_many(self.places_max).await;
    }

    /// Everything that was committed is in the store, and no attempt is open.
    pub fn is_shipped(&self) -> bool {
        self.outbox.is_empty()
    }

    pub fn healthy(&self) -> bool {
        !self.failing.load(Ordering::Acquire)
    }

    /// Notes that attempts of another boot follow, so that a crash ends it too.
    pub async fn begin(&self, boot: BootId) -> Result<(), Unwritten> {
        let (done, begun) = oneshot::channel();
        self.messages.try_send(Message::Begin(boot, done)).map_err(|_| Unwritten)?;
        begun.await.map_err(|_| Unwritten)?
    }

    /// All that these older boots left is in the store.
    pub fn closed(&self, boots: Vec<BootId>) {
        // One that is not noted is ended once more at the next start.
        let _ = self.messages.try_send(Message::Closed(boots));
    }

    /// Commits `entry`, and says when it is done.
    pub async fn write(&self, entry: Entry) -> Result<Written, Unwritten> {
        self.send(entry).await.map_err(|_| Unwritten)?
    }

    /// Commits `entry`; the receiver learns when it is done. Never waits: whoever keeps a place
    /// finds room.
    pub fn send(&self, entry: Entry) -> oneshot::Receiver<Result<Written, Unwritten>> {
        let (done, receiver) = oneshot::channel();
        self.forward(entry, done);
        receiver
    }

    /// As [`Journal::send`], for an entry that somebody waits for already.
    pub fn forward(&self, entry: Entry, done: oneshot::Sender<Result<Written, Unwritten>>) {
        let message = Message::Write(Box::new(Waiting { entry, done: Some(done), ended: None }));
        let lost = match self.messages.try_send(message) {
            Ok(()) => return,
            Err(TrySendError::Full(lost)) => lost,
            Err(TrySendError::Disconnected(lost)) => {
                self.failing.store(true, Ordering::Release);
                lost
            }
        };
        tracing::error!("the journal takes no entry: what it would have told counts in full");
        if let Message::Write(lost) = lost
            && let Some(closing) = lost.entry.closing
        {
            // Nobody will know the end of it until the next start; until then it stays spent.
            closing.hold.keep();
        }
    }

    /// Notes how far an attempt is; lost without harm when too many come at once.
    pub fn note(&self, progress: Progress) {
        // A mark that is lost is replaced by the next one, a second later.
        let _ = self.progress.try_send(progress);
    }

    /// Writes what has come, and ends the thread. True: nothing is open and all is shipped.
    pub fn stop(&self) -> bool {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if self.messages.send(Message::Stop).is_err() {
            return false;
        }
        writer.and_then(|writer| writer.join().ok()).unwrap_or(false)
    }
}

struct Writer {
    file: File,
    boot: BootId,
    incoming: Receiver<Message>,
    marks: Receiver<Progress>,
    outbox: Arc<Outbox>,
    failing: Arc<AtomicBool>,
    lines: Vec<u8>,
    /// What the commit under way brings to the outbox.
    batch: Batch,
    teller: Teller,
    pace: Pace,
    /// Where the intents lie that have no ending yet.
    open: HashMap<(RequestId, u32), Written>,
    done: i64,
}

impl Writer {
    fn run(mut self) -> bool {
        let mut waiting: Vec<Parcel> = Vec::new();
        let mut cleaned = clock::monotonic();
        loop {
            let stop = self.gather(&mut waiting);
            if let Err(fault) = self.commit(&mut waiting) {
                tracing::error!(%fault, "the journal cannot write");
                self.failing.store(true, Ordering::Release);
                refuse_intents(&mut waiting);
            } else {
                self.failing.store(false, Ordering::Release);
            }
            if IDLE <= cleaned.elapsed() || stop {
                cleaned = clock::monotonic();
                self.clean();
            }
            if stop {
                return waiting.is_empty() && self.end();
            }
        }
    }

    /// Waits for a message and takes all that have come. True: it is time to stop.
    fn gather(&mut self, waiting: &mut Vec<Parcel>) -> bool {
        let patience = if waiting.is_empty() { IDLE } else { RETRY };
        if self.pace.is_busy() {
            // Away from the channel, so that those who come meanwhile have nobody to wake.
            std::thread::sleep(COMPANY);
        }
        let mut next = match self.incoming.try_recv() {
            Ok(message) => Ok(message),
            Err(_empty_or_closed) => self.incoming.recv_timeout(patience),
        };
        loop {
            match next {
                Ok(Message::Write(next)) => waiting.push(next),
                Ok(Message::Begin(boot, done)) => {
                    let begun = self.file.begin(boot, clock::now());
                    let begun = begun.inspect_err(|fault| tracing::error!(%fault, "no new boot"));
                    // Whoever has gone asks again.
                    let _ = done.send(begun.map_err(|_| Unwritten));
                }
                Ok(Message::Closed(boots)) => {
                    if let Err(fault) = self.file.mark_closed(&boots) {
                        tracing::warn!(%fault, "older boots are ended again at the next start");
                    }
                }
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => return false,
            }
            if COMMIT_MESSAGES_MAX <= waiting.len() {
                return false;
            }
            match self.incoming.try_recv() {
                Ok(message) => next = Ok(message),
                Err(_) => return false,
            }
        }
    }

    fn commit(&mut self, waiting: &mut Vec<Parcel>) -> io::Result<()> {
        self.pace.commit(waiting.len());
        while !waiting.is_empty() {
            let mut taken = 0;
            self.lines.clear();
            for next in waiting.iter() {
                entry::write(&next.entry, &mut self.lines);
                taken += 1;
                if COMMIT_BYTES_SOFT_MAX < self.lines.len() {
                    break;
                }
            }
            self.add_progress();
            let written = Written(self.file.append(self.boot, clock::now(), &self.lines)?);
            for next in waiting.iter_mut().take(taken) {
                self.committed(next, written);
            }
            self.outbox.add(written, &mut self.batch);
            self.teller.tell(written, waiting.drain(..taken));
        }
        self.lines.clear();
        self.add_progress();
        if !self.lines.is_empty() {
            self.file.append(self.boot, clock::now(), &self.lines)?;
        }
        Ok(())
    }

    fn add_progress(&mut self) {
        while let Ok(progress) = self.marks.try_recv() {
            entry::write_progress(&progress, &mut self.lines);
        }
    }

    /// Notes what follows from a committed entry: rows go to the store, surplus goes back.
    fn committed(&mut self, next: &mut Waiting, written: Written) {
        let entry = &mut next.entry;
        let closing = entry.closing.take();
        let opened = closing.as_ref().and_then(|closing| self.open.remove(&key(&closing.stamp)));
        if let Some(Intent { stamp }) = entry.intent.take() {
            self.batch.kept += 1;
            self.open.insert(key(&stamp), written);
        }
        if let Some(decision) = entry.decision.take() {
            self.batch.kept += 1;
            let body = Body::Decision(decision);
            self.batch.rows.push(Row::new(body, [Some(written), None]));
        }
        next.ended = closing.map(|closing| self.closed(closing, opened, written));
    }

    fn closed(&mut self, closing: Closing, opened: Option<Written>, written: Written) -> Ended {
        let Closing { stamp, ending, hold, seats, place } = closing;
        let tokens = ending.as_ref().map_or(0, |ending| ending.tokens.total());
        let counted = ending.as_ref().map_or(NanoUsd::ZERO, |ending| ending.counted);
        match ending {
            Some(ending) => {
                self.batch.kept += 1;
                let stamp = Arc::unwrap_or_clone(stamp);
                let body = Body::Record(Arc::new(UsageRecord { stamp, part: 0, ending }));
                self.batch.rows.push(Row::new(body, [opened, Some(written)]));
            }
            None => self.batch.released.extend(opened),
        }
        Ended { hold, counted, seats, tokens, place }
    }

    fn clean(&mut self) {
        let Some(done) = self.outbox.done() else { return };
        if done <= self.done {
            return;
        }
        match self.file.mark_done(done, clock::now()) {
            Ok(()) => self.done = done,
            Err(fault) => tracing::warn!(%fault, "old rows of the journal stay for now"),
        }
    }

    fn end(&self) -> bool {
        if !self.outbox.is_empty() {
            return false;
        }
        let clean = self.file.mark_clean();
        clean.inspect_err(|fault| tracing::error!(%fault, "no clean mark")).is_ok()
    }
}

fn key(stamp: &Stamp) -> (RequestId, u32) {
    (stamp.request, stamp.attempt)
}

/// Endings stay until they can be written; what has not begun is told that it must not begin.
fn refuse_intents(waiting: &mut Vec<Parcel>) {
    waiting.retain_mut(|next| {
        let begins = next.entry.intent.take().is_some() || next.entry.closing.is_none();
        if let Some(done) = next.done.take_if(|_| begins) {
            // A caller that has gone does not wait for it.
            let _ = done.send(Err(Unwritten));
        }
        next.entry.closing.is_some()
    });
}

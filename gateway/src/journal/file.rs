//! The journal's files: rows of lines, and which boots wrote them.
//!
//! One small file says which journal this is and in which form it is written; beside it lie the
//! segments, `NAME.1`, `NAME.2` and so on, to the last of which rows are appended. Each segment
//! begins with the state of things, so that older ones can be taken away when all of their rows
//! are shipped, and only the last one is read at a start.

use super::{
    code::{self, Code, Unread},
    frame::{self, Found},
    name::{kernel_boot, lock, read_name, write_name},
    segment::Segments,
};
use crate::config::Durability;
use policies::{
    ids::{BootId, JournalId},
    time::Timestamp,
};
use std::{
    cell::RefCell,
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};
use store::{JournalClaim, clock, entropy};

/// The form in which rows are written. It changes with any change of a line or a frame.
pub(super) const VERSION: u32 = 2;

const ROW: u8 = 1;
const STATE: u8 = 2;
/// What the content of a frame begins with.
const KINDS: [u8; 2] = [ROW, STATE];

#[derive(Debug, thiserror::Error)]
pub enum OpenFault {
    #[error("journal `{}`: {cause}", .path.display())]
    Io { path: PathBuf, cause: io::Error },
    #[error("journal `{}`: another process has it", .0.display())]
    Locked(PathBuf),
    #[error(
        "journal `{}`: it is not a journal, or one of another version: start the version that \
         wrote it and let it drain, or move the file away",
        .0.display()
    )]
    Foreign(PathBuf),
    #[error("journal `{}`: it is damaged: move it away; budgets count what it may hold", .0.display())]
    Damaged(PathBuf),
    #[error("journal: {0}")]
    Entropy(#[from] entropy::Dry),
}

/// An open journal, locked for this process alone.
pub struct File {
    path: PathBuf,
    journal: JournalId,
    durability: Durability,
    inner: RefCell<Inner>,
    /// Held open: the lock goes when the process goes.
    _lock: fs::File,
}

struct Inner {
    segments: Segments,
    state: State,
    /// The boots that this process began.
    own: Vec<BootId>,
    /// The frame that is being written.
    frame: Vec<u8>,
}

/// What holds at one place of the journal, for what follows.
#[derive(Clone, Debug, Default)]
struct State {
    /// The number of the next row: never one that was used before, because `done` speaks of them.
    next: i64,
    /// How often the journal was opened.
    generation: u64,
    /// Boots that are not closed.
    boots: Vec<Boot>,
}

#[derive(Clone, Debug)]
struct Boot {
    boot: BootId,
    /// The kernel's own boot id: another one means that the machine went down in between.
    kernel: String,
    power_loss: bool,
    started: Timestamp,
    /// Rows below this are shipped and hold no open intent.
    done: i64,
}

/// An older boot whose rows are not all known to be shipped.
#[derive(Clone, Debug)]
pub(super) struct OldBoot {
    pub(super) boot: BootId,
    /// The machine may have lost the last rows of it.
    pub(super) torn: bool,
    pub(super) done: i64,
}

/// What a boot wrote and is not known to be shipped.
#[derive(Debug, Default)]
pub(super) struct Left {
    pub(super) rows: Vec<(i64, Vec<u8>)>,
    /// Rows are missing, or cannot be read.
    pub(super) damaged: bool,
}

impl File {
    /// Opens the journal at `path`, or begins one there.
    ///
    /// # Errors
    /// [`OpenFault::Locked`] while another process has it, [`OpenFault::Foreign`] for a file that
    /// this version did not write.
    pub fn open(path: &Path, durability: Durability) -> Result<Self, OpenFault> {
        let io = |cause| OpenFault::Io { path: path.to_owned(), cause };
        if let Some(folder) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io)?;
        }
        let lock = lock(path)?;
        let mut segments = Segments::find(path).map_err(io)?;
        let journal = match fs::read(path) {
            Ok(bytes) if !bytes.is_empty() || segments.last().is_some() => {
                read_name(&bytes).ok_or_else(|| OpenFault::Foreign(path.to_owned()))?
            }
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(io(fault)),
            // Segments whose name is lost are not written over.
            Err(_) if segments.last().is_some() => {
                return Err(OpenFault::Foreign(path.to_owned()));
            }
            Ok(_) | Err(_) => {
                let journal = JournalId::from_bytes(entropy::id()?);
                write_name(path, journal).map_err(io)?;
                journal
            }
        };
        let mut state = last_state(&mut segments, journal, path)?;
        state.generation += 1;
        let inner = RefCell::new(Inner { segments, state, own: Vec::new(), frame: Vec::new() });
        let file = Self { path: path.to_owned(), journal, durability, inner, _lock: lock };
        file.inner.borrow_mut().start_segment(&file).map_err(io)?;
        Ok(file)
    }

    /// Says whether another process has the journal at `path`, and changes nothing.
    pub fn check_free(path: &Path) -> Result<(), OpenFault> {
        lock(path).map(drop)
    }

    pub fn id(&self) -> JournalId {
        self.journal
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the store is told before anything in the journal is believed.
    pub fn claim(&self) -> io::Result<JournalClaim> {
        let (about, path) = (fs::metadata(&self.path)?, fs::canonicalize(&self.path)?);
        let (kernel, device, inode) = (kernel_boot(), about.dev(), about.ino());
        let place = format!("{kernel} {device} {inode} {}", path.display());
        Ok(JournalClaim { generation: self.inner.borrow().state.generation, place })
    }

    /// Begins a boot. Rows are written under the first one that this process began; a crash ends
    /// the others as well, after it.
    pub(super) fn begin(&self, boot: BootId, now: Timestamp) -> Result<(), OpenFault> {
        let power_loss = match self.durability {
            Durability::ProcessCrash => false,
            Durability::PowerLoss => true,
        };
        self.change(|state| {
            let (kernel, done) = (kernel_boot(), state.next);
            state.boots.push(Boot { boot, kernel, power_loss, started: now, done });
        })
        .map_err(|cause| OpenFault::Io { path: self.path.clone(), cause })?;
        self.inner.borrow_mut().own.push(boot);
        Ok(())
    }

    /// Appends a row, and returns its number.
    pub(super) fn append(&self, boot: BootId, now: Timestamp, lines: &[u8]) -> io::Result<i64> {
        let mut inner = self.inner.borrow_mut();
        if inner.segments.is_full() {
            inner.start_segment(self)?;
        }
        let seq = inner.state.next;
        let Inner { segments, frame, .. } = &mut *inner;
        frame::begin(frame);
        frame.push(ROW);
        boot.put(frame);
        (seq, now).put(frame);
        frame.extend_from_slice(lines);
        segments.append(frame, self.durability)?;
        inner.state.next = seq + 1;
        Ok(seq)
    }

    /// Everything below `done` of this process is shipped; old segments of that kind go.
    pub(super) fn mark_done(&self, done: i64, now: Timestamp) -> io::Result<()> {
        let own = self.inner.borrow().own.clone();
        self.change(|state| {
            let boots = state.boots.iter_mut().filter(|it| own.contains(&it.boot));
            boots.for_each(|it| it.done = done);
        })?;
        let mut inner = self.inner.borrow_mut();
        let needed = inner.state.boots.iter().map(|boot| boot.done).min();
        let needed = needed.unwrap_or(inner.state.next);
        inner.segments.clean(needed, now)
    }

    /// Nothing of this process is open or unshipped, and all of it is on the disk.
    pub(super) fn mark_clean(&self) -> io::Result<()> {
        let own = self.inner.borrow().own.clone();
        self.change(|state| state.boots.retain(|it| !own.contains(&it.boot)))?;
        self.inner.borrow().segments.sync()
    }

    /// All that these boots left is in the store.
    pub fn mark_closed(&self, boots: &[BootId]) -> io::Result<()> {
        self.change(|state| state.boots.retain(|it| !boots.contains(&it.boot)))
    }

    /// Boots that are not closed, the oldest first.
    pub(super) fn old_boots(&self) -> Vec<OldBoot> {
        let kernel = kernel_boot();
        let inner = self.inner.borrow();
        let old = inner.state.boots.iter().map(|it| {
            let went_down = it.kernel != kernel || kernel.is_empty();
            // The store may have lost the last rows as well: all that is kept is told again.
            let done = if went_down { inner.segments.first().min(it.done) } else { it.done };
            OldBoot { boot: it.boot, torn: !it.power_loss && went_down, done }
        });
        old.collect()
    }

    /// The rows of `boot` that are not known to be shipped.
    pub(super) fn rows(&self, boot: &OldBoot) -> Result<Left, OpenFault> {
        let inner = self.inner.borrow();
        let (mut left, mut next) = (Left::default(), None);
        // Segments go when all of their rows are shipped, and not before.
        left.damaged |= boot.done < inner.segments.first();
        for place in inner.segments.since(boot.done) {
            let io = |cause| OpenFault::Io { path: place.path(&self.path), cause };
            let bytes = fs::read(place.path(&self.path)).map_err(io)?;
            // A gap shows whatever is lost between two segments, or behind the last row of one.
            left.damaged |= next.is_some_and(|next| next != place.first);
            let end = walk(&bytes, |content| match content {
                Content::Row { of, seq, lines } => {
                    left.damaged |= next.is_some_and(|next| next != seq);
                    next = Some(seq + 1);
                    if of == boot.boot && boot.done <= seq {
                        left.rows.push((seq, lines.to_vec()));
                    }
                }
                Content::State(_, state) => next = next.or(Some(state.next)),
            });
            left.damaged |= end == Found::Damaged;
        }
        left.damaged |= next.is_some_and(|next| next != inner.state.next);
        Ok(left)
    }

    fn change(&self, change: impl FnOnce(&mut State)) -> io::Result<()> {
        let mut inner = self.inner.borrow_mut();
        let mut state = inner.state.clone();
        change(&mut state);
        let Inner { segments, frame, .. } = &mut *inner;
        write_state(self.journal, &state, frame);
        segments.append(frame, self.durability)?;
        inner.state = state;
        Ok(())
    }
}

impl Inner {
    fn start_segment(&mut self, file: &File) -> io::Result<()> {
        write_state(file.journal, &self.state, &mut self.frame);
        let now = clock::now();
        self.segments.start(self.state.next, &mut self.frame, file.durability, now)
    }
}

/// What a frame holds.
enum Content<'a> {
    Row { of: BootId, seq: i64, lines: &'a [u8] },
    State(JournalId, State),
}

/// Reads frame after frame, and says how it ended.
fn walk<'a>(mut bytes: &'a [u8], mut take: impl FnMut(Content<'a>)) -> Found<'a> {
    loop {
        match frame::read(bytes) {
            Found::Frame { content, rest } => match read_content(content) {
                Some(content) => {
                    take(content);
                    bytes = rest;
                }
                None => return Found::Damaged,
            },
            Found::End { torn: true } if frame::lies_behind(bytes, &KINDS) => {
                return Found::Damaged;
            }
            end @ (Found::End { .. } | Found::Damaged) => return end,
        }
    }
}

fn read_content(content: &[u8]) -> Option<Content<'_>> {
    let (&kind, mut from) = content.split_first()?;
    match kind {
        ROW => {
            let of = Code::take(&mut from).ok()?;
            let (seq, _at): (_, Timestamp) = Code::take(&mut from).ok()?;
            Some(Content::Row { of, seq, lines: from })
        }
        STATE => {
            let (journal, state) = Code::take(&mut from).ok()?;
            from.is_empty().then_some(Content::State(journal, state))
        }
        _ => None,
    }
}

fn write_state(journal: JournalId, state: &State, frame: &mut Vec<u8>) {
    frame::begin(frame);
    frame.push(STATE);
    journal.put(frame);
    state.put(frame);
}

code::fields! {
    State { next generation boots }
    Boot { boot kernel power_loss started done }
}

/// The state at the end of the last segment. A segment whose first frame was cut off was never
/// written to: it goes, and the one before it is the last.
fn last_state(
    segments: &mut Segments,
    journal: JournalId,
    path: &Path,
) -> Result<State, OpenFault> {
    let io = |cause| OpenFault::Io { path: path.to_owned(), cause };
    while let Some(place) = segments.last() {
        let bytes = fs::read(place.path(path)).map_err(io)?;
        let mut state: Option<State> = None;
        let mut foreign = false;
        let end = walk(&bytes, |content| match content {
            Content::Row { seq, .. } => {
                if let Some(state) = &mut state {
                    state.next = seq + 1;
                }
            }
            Content::State(of, now) => {
                foreign |= of != journal;
                state = Some(now);
            }
        });
        match state {
            _ if foreign => return Err(OpenFault::Foreign(path.to_owned())),
            Some(state) => return Ok(state),
            None if end == Found::Damaged => return Err(OpenFault::Damaged(path.to_owned())),
            None => segments.drop_last().map_err(io)?,
        }
    }
    Ok(State { next: 1, ..State::default() })
}

//! The segments of a journal: a row of files, the last of which grows.

use super::{
    frame::{self, FRAME_BYTES_MAX},
    name::private,
};
use crate::config::Durability;
use policies::time::Timestamp;
use std::{
    fs, io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

/// Bytes of a segment after which another one is begun: the last one is read at each start.
const SEGMENT_BYTES_SOFT_MAX: u64 = 16 << 20;
/// Segments whose rows are all shipped are kept this long, to look back at.
const KEPT_MILLIS: i64 = 24 * 3_600_000;
/// Bytes and files of them that are kept, at most.
const KEPT_BYTES_MAX: u64 = 512 << 20;
const KEPT_FILES_MAX: usize = 1024;

/// Where a segment lies, and what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    number: u64,
    /// The number of its first row.
    pub(super) first: i64,
    bytes: u64,
    /// When it was written to last, or begun.
    at: Timestamp,
}

/// INVARIANT: `places` are in the order in which they were begun, and so are their first rows.
pub(super) struct Segments {
    /// The journal's own path, to which the segments' names are added.
    path: PathBuf,
    places: Vec<Place>,
    last: Option<Last>,
}

/// The segment that grows.
struct Last {
    file: fs::File,
    /// INVARIANT: what lies behind this was never told to be written.
    end: u64,
    /// Whether a failed write may have left something there.
    soiled: bool,
}

// === impl Place ===

impl Place {
    /// Of the segment, where `journal` is the path of its journal.
    pub(super) fn path(&self, journal: &Path) -> PathBuf {
        let mut path = journal.as_os_str().to_owned();
        path.push(format!(".{}-{}", self.number, self.first));
        path.into()
    }
}

// === impl Segments ===

impl Segments {
    /// Those that lie beside `path`.
    pub(super) fn find(path: &Path) -> io::Result<Self> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            Some(_) | None => Path::new("."),
        };
        let own = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let mut places = Vec::new();
        for file in fs::read_dir(folder)? {
            let file = file?;
            let name = file.file_name();
            let name = name.to_str().and_then(|name| name.strip_prefix(own)?.strip_prefix('.'));
            let Some((number, first)) = name.and_then(|name| name.split_once('-')) else {
                continue;
            };
            let (Ok(number), Ok(first)) = (number.parse(), first.parse()) else { continue };
            let about = file.metadata()?;
            let age = about.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            let at = Timestamp(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
            places.push(Place { number, first, bytes: about.len(), at });
        }
        places.sort_by_key(|place| place.number);
        Ok(Self { path: path.to_owned(), places, last: None })
    }

    pub(super) fn last(&self) -> Option<Place> {
        self.places.last().copied()
    }

    /// The number of the first row that is kept.
    pub(super) fn first(&self) -> i64 {
        self.places.first().map_or(1, |place| place.first)
    }

    /// Takes the last one away: nothing was ever written to it.
    pub(super) fn drop_last(&mut self) -> io::Result<()> {
        self.places.pop().map_or(Ok(()), |place| fs::remove_file(place.path(&self.path)))
    }

    /// Those that may hold rows from `seq` on.
    pub(super) fn since(&self, seq: i64) -> &[Place] {
        let begin = self.places.partition_point(|place| place.first <= seq).saturating_sub(1);
        self.places.get(begin..).unwrap_or_default()
    }

    /// Whether another one should be begun.
    pub(super) fn is_full(&self) -> bool {
        self.last.as_ref().is_none_or(|last| SEGMENT_BYTES_SOFT_MAX <= last.end)
    }

    /// Begins another one with `frame`; its first row will have the number `first`.
    pub(super) fn start(
        &mut self,
        first: i64,
        frame: &mut [u8],
        durability: Durability,
        now: Timestamp,
    ) -> io::Result<()> {
        let number = self.places.last().map_or(1, |place| place.number + 1);
        let place = Place { number, first, bytes: 0, at: now };
        let path = place.path(&self.path);
        let file = private(&path)?;
        // A start that failed may have left it.
        file.set_len(0)?;
        let mut last = Last { file, end: 0, soiled: false };
        last.append(frame, durability)?;
        if durability == Durability::PowerLoss {
            sync_folder(&path)?;
        }
        self.seal();
        self.last = Some(last);
        self.places.push(place);
        Ok(())
    }

    /// Appends `frame`: whole, or not at all.
    pub(super) fn append(&mut self, frame: &mut [u8], durability: Durability) -> io::Result<()> {
        let last = self.last.as_mut().ok_or(io::ErrorKind::NotFound)?;
        last.append(frame, durability)
    }

    /// Takes away those that hold no row from `needed` on, when they are old or too many.
    pub(super) fn clean(&mut self, needed: i64, now: Timestamp) -> io::Result<()> {
        self.seal();
        let mut bytes: u64 = self.places.iter().map(|place| place.bytes).sum();
        while let [oldest, next, ..] = self.places.as_slice() {
            let old = next.at.0 < now.0.saturating_sub(KEPT_MILLIS);
            let many = KEPT_BYTES_MAX < bytes || KEPT_FILES_MAX < self.places.len();
            if needed < next.first || !(old || many) {
                break;
            }
            bytes -= oldest.bytes;
            fs::remove_file(oldest.path(&self.path))?;
            self.places.remove(0);
        }
        Ok(())
    }

    /// All that was appended is on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.last.as_ref().map_or(Ok(()), |last| last.file.sync_all())?;
        sync_folder(&self.path)
    }

    /// Notes how long the last one has become.
    fn seal(&mut self) {
        if let (Some(place), Some(last)) = (self.places.last_mut(), &self.last) {
            place.bytes = last.end;
        }
    }
}

// === impl Last ===

impl Last {
    fn append(&mut self, frame: &mut [u8], durability: Durability) -> io::Result<()> {
        if !frame::end(frame) {
            let text = format!("more than {FRAME_BYTES_MAX} bytes in one row");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        if self.soiled {
            self.file.set_len(self.end)?;
        }
        self.soiled = true;
        self.file.write_all_at(frame, self.end)?;
        if durability == Durability::PowerLoss {
            self.file.sync_data()?;
        }
        self.soiled = false;
        self.end += u64::try_from(frame.len()).unwrap_or(u64::MAX);
        Ok(())
    }
}

/// Makes the names in the folder of `path` survive a power cut.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => fs::File::open(folder)?.sync_all(),
        Some(_) | None => fs::File::open(".")?.sync_all(),
    }
}

//! Limits over several replicas: what a replica tells and asks the shared windows.
//!
//! A limit is cut into cells, one for each request or token. A replica leases cells for the slot in
//! progress and uses them without asking; what it has not used is given back by stating its columns
//! anew. Messages state whole columns, not differences, so that loss, repetition and reordering are
//! harmless, and a store that has forgotten everything learns it again.
//!
//! SQLite has no such windows: it is one process, which keeps its limits in memory.

use crate::Fault;
use async_trait::async_trait;
use policies::{
    ids::{BootId, LimitId, OrgId},
    rate::claims::{Claims, Meter, Part, Scene},
    time::Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};

/// Columns in one message; needs in one message.
pub const COLUMNS_MAX: usize = 512;
pub const NEEDS_MAX: usize = 128;
/// The seats of a replica that its org did not hear for so long may be taken by others. No money
/// is in them.
pub const SEATS_SILENCE_MILLIS: i64 = 60_000;

/// One shared window of an org.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WindowName {
    pub limit: LimitId,
    /// Whose own part of the limit is meant, by a hash of how the caller names them; none: all
    /// share it.
    pub end_user: Option<[u8; 8]>,
    pub meter: Meter,
}

impl WindowName {
    /// The name as a key: the limit in hexadecimal digits, `-` or the end user's, the meter.
    pub fn key(&self) -> String {
        let who = self.end_user.map_or_else(|| "-".to_owned(), hex::encode);
        format!("{}:{who}:{}", hex::encode(self.limit.as_bytes()), self.meter.code())
    }
}

/// All that a replica has taken of one window and that still counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub window: WindowName,
    /// Slot and cells, those that are leased and not used among them.
    pub taken: Vec<(i64, i64)>,
}

/// What a replica tells and asks in one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Grows with each message of a replica to an org. A message that does not come after the last
    /// one that was heard changes nothing.
    pub seq: u64,
    /// The last one that was answered; 0: none, or all that was told before is told again.
    pub answered: u64,
    pub columns: Vec<Column>,
    /// Each is taken whole or not at all, in their order.
    pub needs: Vec<Vec<(WindowName, Part)>>,
    /// Replicas that are alive, the teller included.
    pub replicas: i64,
    /// Those of them of which nothing is heard now.
    pub silent: Vec<BootId>,
}

/// What became of one need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    Granted,
    /// This window lacks cells; it would fit after so many milliseconds, if nothing else is taken.
    Lacks {
        window: WindowName,
        wait_millis: i64,
    },
}

/// One window after the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub window: WindowName,
    /// What this message was granted of it, in `slot`.
    pub granted: i64,
    pub slot: i64,
    /// What all replicas have taken, the asking one's leased cells included.
    pub used: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It came too late: nothing was changed.
    Late,
    /// The windows have forgotten what this replica told: nothing was changed. It tells all of its
    /// columns anew, with `answered: 0`.
    Forgotten,
    /// An answer for each need, and the standing of each window that the needs name, by name.
    Heard { fits: Vec<Fit>, windows: Vec<Standing>, now: Timestamp },
}

/// A replica as the store last heard it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attended {
    pub boot: BootId,
    pub unheard_millis: i64,
}

/// Which replicas are alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attendance {
    /// False: the store has not heard the asking replica before, or has forgotten it.
    pub known: bool,
    /// All that were heard in the last [`SEATS_SILENCE_MILLIS`], the asking one included.
    pub all: Vec<Attended>,
    pub now: Timestamp,
}

impl Attendance {
    pub(crate) fn of(asking: BootId, known: bool, others: Vec<Attended>, now: i64) -> Self {
        let mut all = others;
        all.push(Attended { boot: asking, unheard_millis: 0 });
        all.sort_by_key(|it| it.boot);
        Self { known, all, now: Timestamp(now) }
    }
}

/// The windows that the replicas share.
#[async_trait]
pub trait Cells: Send + Sync {
    /// This replica is alive. Holds no tenant's data.
    async fn attend(&self, boot: &BootId) -> Result<Attendance, Fault>;
    /// One message of `boot` to the windows of `org`.
    async fn exchange(&self, org: &OrgId, boot: &BootId, message: Message) -> Result<Reply, Fault>;
}

/// The windows that a message names, locked: what the engines have in common.
pub(crate) struct Board<'m> {
    pub(crate) boot: &'m BootId,
    pub(crate) message: &'m Message,
    pub(crate) now: Timestamp,
    pub(crate) windows: BTreeMap<WindowName, Claims>,
}

impl Message {
    pub(crate) fn names(&self) -> BTreeSet<WindowName> {
        let told = self.columns.iter().map(|column| column.window);
        told.chain(self.needs.iter().flatten().map(|(window, _)| *window)).collect()
    }

    /// Refuses what no replica of ours sends.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        if COLUMNS_MAX < self.columns.len() || NEEDS_MAX < self.needs.len() {
            return Err(Fault::Broken("a message about limits is too long".to_owned()));
        }
        Ok(())
    }
}

impl Board<'_> {
    /// Takes the message in and answers it. `is_heard`: whose seats still count.
    pub(crate) fn answer(&mut self, is_heard: impl Fn(&BootId) -> bool) -> Reply {
        let mut heads = BTreeMap::new();
        for column in &self.message.columns {
            let claims = self.windows.entry(column.window).or_default();
            claims.tell(*self.boot, &column.taken);
        }
        for (window, claims) in &mut self.windows {
            if window.meter == Meter::Seats {
                claims.retain(&is_heard);
            }
            heads.insert(*window, claims.advance(window.meter, self.now.0));
        }
        let mut granted = BTreeMap::new();
        let needs = &self.message.needs;
        let fits = needs.iter().map(|need| self.fit(need, &heads, &mut granted)).collect();
        let scene = self.scene();
        let limits: BTreeMap<WindowName, i64> =
            needs.iter().flatten().map(|(window, part)| (*window, part.limit)).collect();
        let standing = |(window, limit): (WindowName, i64)| Standing {
            window,
            granted: granted.get(&window).copied().unwrap_or_default(),
            slot: heads.get(&window).copied().unwrap_or_default(),
            used: self.windows.get(&window).map_or(0, |claims| claims.used(limit, scene)),
        };
        let windows = limits.into_iter().map(standing).collect();
        Reply::Heard { fits, windows, now: self.now }
    }

    fn scene(&self) -> Scene<'_> {
        let Message { replicas, silent, .. } = self.message;
        Scene { now: self.now.0, replicas: *replicas, silent }
    }

    fn fit(
        &mut self,
        need: &[(WindowName, Part)],
        heads: &BTreeMap<WindowName, i64>,
        granted: &mut BTreeMap<WindowName, i64>,
    ) -> Fit {
        let head = |window: &WindowName| heads.get(window).copied().unwrap_or_default();
        let mut gifts = Vec::with_capacity(need.len());
        for (window, part) in need {
            let claims = self.windows.entry(*window).or_default();
            let scene = Scene {
                now: self.now.0,
                replicas: self.message.replicas,
                silent: &self.message.silent,
            };
            match claims.check((window.meter, head(window)), *part, scene) {
                Ok(cells) => gifts.push((*window, cells)),
                Err(wait_millis) => return Fit::Lacks { window: *window, wait_millis },
            }
        }
        for (window, cells) in gifts {
            let claims = self.windows.entry(window).or_default();
            claims.give(*self.boot, head(&window), cells);
            let sum = granted.entry(window).or_default();
            *sum = cells.saturating_add(*sum);
        }
        Fit::Granted
    }
}

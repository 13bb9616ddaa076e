//! Which rows of the journal must stay.

use super::Written;
use std::collections::BTreeMap;

/// Rows that still hold an open intent, or something that is not shipped.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    rows: BTreeMap<i64, u32>,
    last: i64,
}

impl Kept {
    /// `written` must stay until it is released so many times.
    pub(crate) fn keep(&mut self, written: Written, times: u32) {
        if 0 < times {
            *self.rows.entry(written.0).or_default() += times;
        }
        self.last = self.last.max(written.0);
    }

    pub(crate) fn release(&mut self, written: Written) {
        if let Some(count) = self.rows.get_mut(&written.0) {
            *count -= 1;
            if *count == 0 {
                self.rows.remove(&written.0);
            }
        }
    }

    /// Rows below this are done with.
    pub(crate) fn done(&self) -> i64 {
        self.rows.keys().next().copied().unwrap_or(self.last + 1)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

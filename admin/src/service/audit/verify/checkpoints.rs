//! Checkpoints from outside, by the size that they state.

use super::{Flaw, next_line};
use crate::service::audit::checkpoint::Checkpoint;
use policies::ids::OrgId;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, BufRead},
};
use store::audit::Head;

/// The checkpoints of one org, none of which contradicts another.
#[derive(Debug, Default)]
pub(super) struct Kept {
    by_size: BTreeMap<u64, Stated>,
    count: usize,
    unread: usize,
    keys: BTreeSet<String>,
}

#[derive(Debug)]
struct Stated {
    head: Head,
    at: String,
}

impl Kept {
    /// Reads those of `org`; without one, of all, of which none may then tell of any row.
    pub(super) fn read(
        input: &mut dyn BufRead,
        org: Option<OrgId>,
        trusted: &[String],
    ) -> io::Result<Result<Self, Flaw>> {
        let mut kept = Self::default();
        let mut line = 0;
        while let Some(text) = next_line(input)? {
            line += 1;
            let flaw = |why| Flaw::Checkpoint { line, why };
            let read = text.ok().and_then(|text| serde_json::from_str::<Checkpoint>(&text).ok());
            let Some(checkpoint) = read else {
                // A gateway that is killed as it writes leaves half a line.
                kept.unread += 1;
                continue;
            };
            if org.is_some_and(|org| org != checkpoint.org) {
                continue;
            }
            if let Err(why) = kept.add(checkpoint, trusted) {
                return Ok(Err(flaw(why)));
            }
        }
        Ok(Ok(kept))
    }

    fn add(&mut self, checkpoint: Checkpoint, trusted: &[String]) -> Result<(), &'static str> {
        if !checkpoint.is_signed() {
            return Err("its signature does not hold");
        }
        let known = |key: &String| key.eq_ignore_ascii_case(&checkpoint.public_key);
        if !trusted.is_empty() && !trusted.iter().any(known) {
            return Err("it is signed by another key than the one that is trusted");
        }
        let head = checkpoint.stated().ok_or("its hash is no hash")?;
        let Checkpoint { at, public_key, .. } = checkpoint;
        self.count += 1;
        self.keys.insert(public_key);
        let stated = self.by_size.entry(head.size).or_insert(Stated { head, at });
        if stated.head == head {
            Ok(())
        } else {
            Err("it contradicts an earlier one of the same size: the chain was written anew")
        }
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Lines that are no checkpoint.
    pub(super) fn unread(&self) -> usize {
        self.unread
    }

    pub(super) fn keys(&self) -> &BTreeSet<String> {
        &self.keys
    }

    /// The greatest size, and its moment. Chains only grow, so that it is the newest.
    pub(super) fn newest(&self) -> Option<(u64, &str)> {
        let (size, stated) = self.by_size.last_key_value()?;
        Some((*size, stated.at.as_str()))
    }

    pub(super) fn states(&self, size: u64) -> bool {
        self.by_size.contains_key(&size)
    }

    /// The moment of a checkpoint of this size that states another hash.
    pub(super) fn contradicts(&self, head: Head) -> Option<String> {
        let stated = self.by_size.get(&head.size)?;
        (stated.head != head).then(|| stated.at.clone())
    }
}

//! What the end users of an org have taken, each by themselves: bounded, however many come.

use super::book::Windows;
use policies::ids::LimitId;
use std::{collections::HashMap, mem};

/// End users and limits of one generation, at most. Two are kept: who was not seen during a whole
/// one is forgotten, with what they had taken. That is about 34 MB for an org at the worst.
const GENERATION_MAX: usize = 8_192;

/// An end user of one org, by a hash of how the caller names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EndUser(pub [u8; 8]);

#[derive(Default)]
pub(super) struct EndUsers {
    young: HashMap<(LimitId, EndUser), Windows>,
    old: HashMap<(LimitId, EndUser), Windows>,
}

impl EndUsers {
    /// What one of them has taken of one limit.
    pub(super) fn windows(&mut self, limit: LimitId, who: EndUser) -> &mut Windows {
        let name = (limit, who);
        let known = self.old.remove(&name);
        if GENERATION_MAX <= self.young.len() && !self.young.contains_key(&name) {
            self.old = mem::take(&mut self.young);
        }
        let windows = self.young.entry(name).or_default();
        if let Some(known) = known {
            *windows = known;
        }
        windows
    }

    /// The same, of somebody who is not forgotten yet.
    pub(super) fn known(&mut self, limit: LimitId, who: EndUser) -> Option<&mut Windows> {
        let name = (limit, who);
        self.young.get_mut(&name).or_else(|| self.old.get_mut(&name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(number: usize) -> EndUser {
        EndUser(u64::try_from(number).unwrap().to_be_bytes())
    }

    #[test]
    fn who_comes_again_is_remembered_and_the_rest_is_bounded() {
        let (mut users, limit) = (EndUsers::default(), LimitId::from_bytes([1; 16]));
        users.windows(limit, who(0)).sit();

        for number in 1..4 * GENERATION_MAX {
            users.windows(limit, who(number)).sit();
            users.windows(limit, who(0));
        }

        assert!(users.young.len() + users.old.len() <= 2 * GENERATION_MAX);
        assert_eq!(users.known(limit, who(0)).map(|it| it.concurrent()), Some(1));
        assert!(users.known(limit, who(1)).is_none());
    }
}

//! What the end users of an org have taken, each by themselves: bounded, however many come.

use policies::ids::LimitId;
use std::{collections::HashMap, mem};

/// End users and limits of one generation, at most. Two are kept: who was not seen during a whole
/// one is forgotten, with what they had taken. That is about 40 MB for an org at the worst.
const GENERATION_MAX: usize = 8_192;

/// An end user of one org, by a hash of how the caller names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EndUser(pub [u8; 8]);

/// `T`: what is kept of each.
pub(super) struct EndUsers<T> {
    young: HashMap<(LimitId, EndUser), T>,
    old: HashMap<(LimitId, EndUser), T>,
}

impl<T> Default for EndUsers<T> {
    fn default() -> Self {
        Self { young: HashMap::new(), old: HashMap::new() }
    }
}

impl<T: Default> EndUsers<T> {
    /// What one of them has taken of one limit.
    pub(super) fn of(&mut self, limit: LimitId, who: EndUser) -> &mut T {
        let name = (limit, who);
        let known = self.old.remove(&name);
        if GENERATION_MAX <= self.young.len() && !self.young.contains_key(&name) {
            self.old = mem::take(&mut self.young);
        }
        let taken = self.young.entry(name).or_default();
        if let Some(known) = known {
            *taken = known;
        }
        taken
    }

    /// The same, of somebody who is not forgotten yet.
    pub(super) fn known(&mut self, limit: LimitId, who: EndUser) -> Option<&mut T> {
        let name = (limit, who);
        self.young.get_mut(&name).or_else(|| self.old.get_mut(&name))
    }

    pub(super) fn all(&mut self) -> impl Iterator<Item = (LimitId, EndUser, &mut T)> {
        let all = self.old.iter_mut().chain(&mut self.young);
        all.map(|((limit, who), taken)| (*limit, *who, taken))
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
        let (mut users, limit) = (EndUsers::<u32>::default(), LimitId::from_bytes([1; 16]));
        *users.of(limit, who(0)) += 1;

        for number in 1..4 * GENERATION_MAX {
            *users.of(limit, who(number)) += 1;
            users.of(limit, who(0));
        }

        assert!(users.all().count() <= 2 * GENERATION_MAX);
        assert_eq!(users.known(limit, who(0)), Some(&mut 1));
        assert!(users.known(limit, who(1)).is_none());
    }
}

//! Credentials that were none, by address: whoever shows them without end is not looked up.

use super::throttle::network;
use policies::time::Timestamp;
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

/// Failures of one address in a minute, at most.
pub const FAILURES_PER_MINUTE_MAX: i64 = 120;
/// The time that makes up for one failure.
const EACH_MILLIS: i64 = 60_000 / FAILURES_PER_MINUTE_MAX;
/// Addresses that are remembered, at most.
const ADDRESSES_MAX: usize = 10_000;

/// When each address will have made up for its failures. An address may be a whole office's:
/// nothing that was good counts against it.
#[derive(Default)]
pub struct Failures(Mutex<HashMap<IpAddr, Timestamp>>);

impl Failures {
    /// False: nothing from this address is looked up for the moment.
    pub fn admits(&self, address: IpAddr, now: Timestamp) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let most = now.plus_millis((FAILURES_PER_MINUTE_MAX - 1) * EACH_MILLIS);
        all.get(&network(address)).is_none_or(|until| *until <= most)
    }

    /// Notes a credential that was none.
    pub fn note(&self, address: IpAddr, now: Timestamp) {
        let address = network(address);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ADDRESSES_MAX <= all.len() && !all.contains_key(&address) {
            all.retain(|_, until| now < *until);
            if ADDRESSES_MAX <= all.len() {
                let least = all.iter().min_by_key(|(_, until)| **until).map(|(it, _)| *it);
                least.map(|least| all.remove(&least));
            }
        }
        let until = all.entry(address).or_insert(now);
        *until = (*until).max(now).plus_millis(EACH_MILLIS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_only_fails_is_not_heard_and_soon_again() {
        let (failures, here) = (Failures::default(), IpAddr::from([192, 0, 2, 1]));
        let now = Timestamp(0);
        for _ in 0..FAILURES_PER_MINUTE_MAX {
            assert!(failures.admits(here, now));
            failures.note(here, now);
        }

        assert!(!failures.admits(here, now));
        assert!(failures.admits(IpAddr::from([192, 0, 2, 2]), now));
        assert!(failures.admits(here, now.plus_millis(EACH_MILLIS)));
    }

    #[test]
    fn a_crowd_of_addresses_is_bounded() {
        let failures = Failures::default();
        for number in 0..ADDRESSES_MAX + 10 {
            let from = IpAddr::from(u32::try_from(number).unwrap().to_be_bytes());
            failures.note(from, Timestamp(0));
        }

        assert!(failures.0.lock().unwrap().len() <= ADDRESSES_MAX);
    }
}

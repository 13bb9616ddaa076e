//! How often somebody may fail to sign in: first freely, then after ever longer waits.

use policies::time::Timestamp;
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
};

/// Accounts and addresses that are remembered, at most. The one that was quiet for longest goes.
const KEPT_MAX: usize = 10_000;
/// Who was quiet for this long is forgotten.
const FORGET_MILLIS: i64 = 60 * 60 * 1000;
/// The first wait; each further failure doubles it.
const WAIT_MILLIS: i64 = 1_000;

/// Who is slowed down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// An account, by the hash of what it was called: also one that does not exist.
    Account([u8; 32]),
    Address(IpAddr),
}

impl Key {
    /// Failures without a wait. An address may be a whole office's.
    const fn free(self) -> u32 {
        match self {
            Self::Account(_) => 5,
            Self::Address(_) => 20,
        }
    }

    /// The longest wait. An account's is short: whoever fails on purpose must not lock it.
    const fn wait_millis_max(self) -> i64 {
        match self {
            Self::Account(_) => 60 * 1000,
            Self::Address(_) => 15 * 60 * 1000,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Tries {
    failures: u32,
    last: Timestamp,
}

/// Failures of one process. Each gateway counts for itself.
#[derive(Default)]
pub struct Throttle {
    kept: Mutex<HashMap<Key, Tries>>,
}

/// One try, which counts as a failure until it is known to be none.
pub struct Try<'a> {
    throttle: &'a Throttle,
    keys: Vec<Key>,
}

impl Throttle {
    /// A try at `account` (as it was called, hashed) from `address`; the seconds to wait if it is
    /// too early.
    ///
    /// # Errors
    /// Whole seconds, at least 1.
    pub fn begin(
        &self,
        account: [u8; 32],
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Try<'_>, u64> {
        self.attempt(vec![Key::Account(account), Key::Address(network(address))], now)
    }

    /// The same where no account is named.
    ///
    /// # Errors
    /// As [`Throttle::begin`].
    pub fn begin_from(&self, address: IpAddr, now: Timestamp) -> Result<Try<'_>, u64> {
        self.attempt(vec![Key::Address(network(address))], now)
    }

    fn attempt(&self, keys: Vec<Key>, now: Timestamp) -> Result<Try<'_>, u64> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = keys.iter().filter_map(|key| kept.get(key).map(|tries| tries.wait(*key, now)));
        let wait = wait.max().unwrap_or(0);
        if 0 < wait {
            return Err(u64::try_from(wait.saturating_add(999) / 1_000).unwrap_or(1).max(1));
        }
        for key in &keys {
            make_room(&mut kept, key, now);
            let tries = kept.entry(*key).or_insert(Tries { failures: 0, last: now });
            tries.failures = tries.failures.saturating_add(1);
            tries.last = now;
        }
        Ok(Try { throttle: self, keys })
    }
}

impl Tries {
    /// Millis until the next try.
    fn wait(&self, key: Key, now: Timestamp) -> i64 {
        if self.last.plus_millis(FORGET_MILLIS) <= now || self.failures < key.free() {
            return 0;
        }
        let doubled = self.failures.saturating_sub(key.free()).min(30);
        let wait = WAIT_MILLIS.saturating_mul(1_i64 << doubled).min(key.wait_millis_max());
        self.last.plus_millis(wait).0.saturating_sub(now.0)
    }
}

impl Try<'_> {
    /// It was no failure. The account begins anew; the address is only spared this one, so that
    /// whoever has an account of their own cannot try others' for ever.
    pub fn succeeded(self) {
        let mut kept = self.throttle.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for key in self.keys {
            match key {
                Key::Account(_) => {
                    kept.remove(&key);
                }
                Key::Address(_) => {
                    if let Some(tries) = kept.get_mut(&key) {
                        tries.failures = tries.failures.saturating_sub(1);
                    }
                }
            }
        }
    }
}

fn make_room(kept: &mut HashMap<Key, Tries>, key: &Key, now: Timestamp) {
    if kept.get(key).is_some_and(|tries| tries.last.plus_millis(FORGET_MILLIS) <= now) {
        kept.remove(key);
    }
    if kept.len() < KEPT_MAX || kept.contains_key(key) {
        return;
    }
    kept.retain(|_, tries| now < tries.last.plus_millis(FORGET_MILLIS));
    if KEPT_MAX <= kept.len() {
        let oldest = kept.iter().min_by_key(|(_, tries)| tries.last).map(|(key, _)| *key);
        oldest.map(|oldest| kept.remove(&oldest));
    }
}

/// Whoever has one IPv6 address has the 2^64 of its network.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let bits = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn address(last: u8) -> IpAddr {
        IpAddr::from([198, 51, 100, last])
    }

    #[test]
    fn waits_grow_and_end() {
        let throttle = Throttle::default();
        let mut now = Timestamp(0);
        for _ in 0..5 {
            assert!(throttle.begin([1; 32], HERE, now).is_ok());
        }

        let mut waits = Vec::new();
        for _ in 0..8 {
            let wait = throttle.begin([1; 32], HERE, now).err().unwrap();
            now = now.plus_millis(i64::try_from(wait).unwrap() * 1_000);
            assert!(throttle.begin([1; 32], HERE, now).is_ok(), "after its wait");
            waits.push(wait);
        }

        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert!(throttle.begin([1; 32], HERE, now.plus_millis(FORGET_MILLIS)).is_ok());
    }

    #[test]
    fn an_account_that_got_in_begins_anew_and_its_address_does_not() {
        let throttle = Throttle::default();
        let now = Timestamp(0);
        for round in 0..20 {
            throttle.begin([round; 32], HERE, now).ok().unwrap();
            // Its own account, in between.
            if let Ok(own) = throttle.begin([99; 32], HERE, now) {
                own.succeeded();
            }
        }

        assert!(throttle.begin([77; 32], HERE, now).is_err(), "the address failed 20 times");
        assert!(throttle.begin([77; 32], address(1), now).is_ok());
    }

    #[test]
    fn a_crowd_of_addresses_does_not_free_the_account() {
        let throttle = Throttle::default();
        let mut now = Timestamp(0);
        for round in 0..5 {
            throttle.begin([1; 32], address(round), now).ok().unwrap();
        }
        for number in 0..KEPT_MAX + 10 {
            now = now.plus_millis(1);
            let number = u32::try_from(number).unwrap();
            let from = IpAddr::from(number.to_be_bytes());
            let _ = throttle.begin([1; 32], from, now);
        }

        assert!(throttle.kept.lock().unwrap().len() <= KEPT_MAX);
        assert!(throttle.begin([1; 32], address(9), now).is_err());
    }

    #[test]
    fn a_whole_ipv6_network_is_one_address() {
        let one: IpAddr = "2001:db8:1:2::1".parse().unwrap();
        let other: IpAddr = "2001:db8:1:2:ffff::9".parse().unwrap();
        let far: IpAddr = "2001:db8:1:3::1".parse().unwrap();

        assert_eq!(network(one), network(other));
        assert_ne!(network(one), network(far));
        assert_eq!(network("::ffff:192.0.2.1".parse().unwrap()), HERE);
    }
}

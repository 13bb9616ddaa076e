//! Floods: of failed authentications from one address, and of one key's requests.
//!
//! An office is one address, so an address is held to account for failures only: a valid key is
//! let in from anywhere.

use crate::config::Edge;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use policies::ids::KeyId;
use std::{net::IpAddr, num::NonZeroU32};

/// Addresses and keys that are remembered at once; more are forgotten, oldest rate first.
const REMEMBERED_MAX: usize = 100_000;

pub struct Doorman {
    failures_max: u32,
    keys_max: u32,
    failures: DefaultKeyedRateLimiter<IpAddr>,
    keys: DefaultKeyedRateLimiter<KeyId>,
}

impl Doorman {
    pub fn new(edge: &Edge) -> Self {
        let least = |most: u32| NonZeroU32::new(most).unwrap_or(NonZeroU32::MIN);
        let failures = Quota::per_minute(least(edge.failed_authentications_per_minute));
        let keys = Quota::per_second(least(edge.key_requests_per_second_max));
        Self {
            failures_max: edge.failed_authentications_per_minute,
            keys_max: edge.key_requests_per_second_max,
            failures: RateLimiter::keyed(failures),
            keys: RateLimiter::keyed(keys),
        }
    }

    /// Failed authentications of one address in a minute.
    pub fn failures_max(&self) -> i64 {
        self.failures_max.into()
    }

    /// Requests of one key in a second.
    pub fn key_max(&self) -> i64 {
        self.keys_max.into()
    }

    /// Notes a failed authentication. False: that address fails too often.
    pub fn failed(&self, address: IpAddr) -> bool {
        // An IPv6 customer has a /64 at least (RFC 6177): it counts as one.
        let address = match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::from([a, b, c, d, 0, 0, 0, 0])
            }
        };
        self.failures.check_key(&address).is_ok()
    }

    /// False: the key floods.
    pub fn admits(&self, key: &KeyId) -> bool {
        self.keys.check_key(key).is_ok()
    }

    /// Forgets who has been quiet. To be called every few seconds: it bounds the memory.
    pub fn forget_quiet(&self) {
        self.failures.retain_recent();
        self.keys.retain_recent();
        if REMEMBERED_MAX < self.failures.len() {
            tracing::warn!(addresses = self.failures.len(), "many addresses fail to authenticate");
        }
        self.failures.shrink_to_fit();
    }
}

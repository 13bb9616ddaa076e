//! The count of open connections, in all and for each address.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// An IPv6 client usually owns a whole /64, so that is what is counted.
const IPV6_OWNED_BITS: u128 = !(u64::MAX as u128);

/// Who is connected.
#[derive(Clone, Debug)]
pub(super) struct Crowd {
    counts: Arc<Mutex<Counts>>,
    all_max: usize,
    each_max: usize,
}

/// One connection's place in the crowd; given back when it drops.
#[derive(Debug)]
pub(super) struct Place {
    counts: Arc<Mutex<Counts>>,
    owner: IpAddr,
}

/// Which limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    All,
    Address,
}

/// INVARIANT: `all` is the sum of `each`, and no count in `each` is zero.
#[derive(Debug, Default)]
struct Counts {
    all: usize,
    each: HashMap<IpAddr, usize>,
}

// === impl Crowd ===

impl Crowd {
    pub(super) fn new(all_max: usize, each_max: usize) -> Self {
        Self { counts: Arc::default(), all_max, each_max }
    }

    /// Takes a place for a connection from `address`, or says which limit forbids it.
    pub(super) fn enter(&self, address: IpAddr) -> Result<Place, Full> {
        let owner = owner(address);
        let mut counts = lock(&self.counts);
        if self.all_max <= counts.all {
            return Err(Full::All);
        }
        let here = counts.each.get(&owner).copied().unwrap_or(0);
        if self.each_max <= here {
            return Err(Full::Address);
        }
        counts.each.insert(owner, here + 1);
        counts.all += 1;
        Ok(Place { counts: Arc::clone(&self.counts), owner })
    }

    /// Connections open now.
    pub(super) fn len(&self) -> usize {
        lock(&self.counts).all
    }
}

// === impl Place ===

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = lock(&self.counts);
        counts.all = counts.all.saturating_sub(1);
        let left = counts.each.get(&self.owner).copied().unwrap_or(0).saturating_sub(1);
        if left == 0 {
            counts.each.remove(&self.owner);
        } else {
            counts.each.insert(self.owner, left);
        }
    }
}

/// Counting can't panic halfway, so a poisoned lock still holds sound counts.
fn lock(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

fn owner(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & IPV6_OWNED_BITS)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_own_limit_and_gives_its_places_back() {
        let crowd = Crowd::new(10, 2);
        let first = crowd.enter("192.0.2.1".parse().unwrap()).unwrap();
        let _second = crowd.enter("::ffff:192.0.2.1".parse().unwrap()).unwrap();

        assert_eq!(crowd.enter("192.0.2.1".parse().unwrap()).unwrap_err(), Full::Address);
        assert!(crowd.enter("192.0.2.2".parse().unwrap()).is_ok());
        drop(first);
        assert!(crowd.enter("192.0.2.1".parse().unwrap()).is_ok());
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_count_as_one() {
        let crowd = Crowd::new(10, 1);
        let _place = crowd.enter("2001:db8::1".parse().unwrap()).unwrap();

        assert_eq!(crowd.enter("2001:db8::ffff:2".parse().unwrap()).unwrap_err(), Full::Address);
        assert!(crowd.enter("2001:db8:0:1::1".parse().unwrap()).is_ok());
    }

    #[test]
    fn a_full_house_lets_nobody_in_until_somebody_leaves() {
        let crowd = Crowd::new(1, 1);
        let place = crowd.enter("192.0.2.1".parse().unwrap()).unwrap();

        assert_eq!(crowd.enter("192.0.2.2".parse().unwrap()).unwrap_err(), Full::All);
        drop(place);
        assert_eq!(crowd.len(), 0);
        assert!(crowd.enter("192.0.2.2".parse().unwrap()).is_ok());
    }
}

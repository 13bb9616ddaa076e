//! Sign-ins that were begun at an identity provider and not ended: few from one address.

use super::throttle::network;
use policies::time::Timestamp;
use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

/// Sign-ins under way from one address, at most; a further one takes the place of the oldest.
pub const BEGUN_MAX: usize = 50;
/// Addresses that are remembered, at most. The one that was quiet for longest goes.
const ADDRESSES_MAX: usize = 10_000;

/// The states, hashed, of the sign-ins that this process began.
#[derive(Default)]
pub struct Begun(Mutex<HashMap<IpAddr, VecDeque<Open>>>);

struct Open {
    state: [u8; 32],
    expires: Timestamp,
}

impl Begun {
    /// Notes a sign-in that was begun; gives the one back whose place it takes.
    pub fn add(
        &self,
        address: IpAddr,
        state: [u8; 32],
        (now, expires): (Timestamp, Timestamp),
    ) -> Option<[u8; 32]> {
        let address = network(address);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ADDRESSES_MAX <= all.len() && !all.contains_key(&address) {
            make_room(&mut all, now);
        }
        let open = all.entry(address).or_default();
        open.retain(|it| now < it.expires);
        open.push_back(Open { state, expires });
        if open.len() <= BEGUN_MAX { None } else { open.pop_front().map(|oldest| oldest.state) }
    }

    /// It was ended, well or not.
    pub fn ended(&self, address: IpAddr, state: &[u8; 32]) {
        let address = network(address);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = all.get_mut(&address) {
            open.retain(|it| it.state != *state);
            if open.is_empty() {
                all.remove(&address);
            }
        }
    }
}

fn make_room(all: &mut HashMap<IpAddr, VecDeque<Open>>, now: Timestamp) {
    let last = |open: &VecDeque<Open>| open.back().map(|it| it.expires);
    all.retain(|_, open| Some(now) < last(open));
    if ADDRESSES_MAX <= all.len() {
        let quiet = all.iter().min_by_key(|(_, open)| last(open)).map(|(address, _)| *address);
        quiet.map(|quiet| all.remove(&quiet));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(number: usize) -> [u8; 32] {
        let mut state = [0; 32];
        state[..8].copy_from_slice(&number.to_be_bytes());
        state
    }

    #[test]
    fn an_address_has_few_sign_ins_under_way_and_the_oldest_goes_first() {
        let (begun, here) = (Begun::default(), IpAddr::from([192, 0, 2, 1]));
        let times = (Timestamp(0), Timestamp(600));
        for number in 0..BEGUN_MAX {
            assert_eq!(begun.add(here, state(number), times), None);
        }

        assert_eq!(begun.add(here, state(100), times), Some(state(0)));
        begun.ended(here, &state(7));
        assert_eq!(begun.add(here, state(101), times), None);
        assert_eq!(begun.add(IpAddr::from([192, 0, 2, 2]), state(102), times), None);
        assert_eq!(begun.add(here, state(103), (Timestamp(600), Timestamp(900))), None);
    }

    #[test]
    fn a_crowd_of_addresses_is_bounded() {
        let begun = Begun::default();
        for number in 0..ADDRESSES_MAX + 10 {
            let from = IpAddr::from(u32::try_from(number).unwrap().to_be_bytes());
            let now = Timestamp(i64::try_from(number).unwrap());
            begun.add(from, state(number), (now, now.plus_millis(1_000_000)));
        }

        assert!(begun.0.lock().unwrap().len() <= ADDRESSES_MAX);
    }
}

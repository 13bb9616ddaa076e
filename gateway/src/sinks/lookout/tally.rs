//! Equal refusals, added up until their row is due.

use super::{Known, Note, What};
use policies::{
    ids::{KeyId, OrgId, ProjectId, RequestId},
    time::Timestamp,
    usage::Principal,
};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
};
use store::{
    INSTALLATION,
    audit::{Act, Actor, ActorKind, Outcome, Target},
};

/// Kinds of refusals that are told apart at once, at most; more are counted as missed.
const TALLIES_MAX: usize = 1_024;
/// Requests and addresses that are named in a row; the others are counted only.
const NAMED_MAX: usize = 20;
/// Characters of a reason.
const REASON_CHARS_MAX: usize = 500;
/// From the first refusal of a kind to its row.
const FIRST_MILLIS: i64 = 1_000;
/// Between rows of one address that goes on failing, and of one known caller.
const STRANGER_MILLIS: i64 = 60_000;
const KNOWN_MILLIS: i64 = 1_000;

/// What makes refusals equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// An IPv6 customer has a /64 at least (RFC 6177): it counts as one.
    Stranger(IpAddr),
    Known {
        org: OrgId,
        key: KeyId,
        code: &'static str,
        reason: String,
    },
    Missed,
}

struct Tally {
    due: Timestamp,
    count: u64,
    first: Timestamp,
    last: Timestamp,
    requests: Vec<RequestId>,
    addresses: BTreeSet<IpAddr>,
    known: Option<Known>,
}

#[derive(Default)]
pub(super) struct Tallies {
    by_key: HashMap<Key, Tally>,
}

impl Tallies {
    pub(super) fn add(&mut self, note: Note) {
        let Note { at, address, request, what } = note;
        let (key, known) = match what {
            What::Stranger => (Key::Stranger(neighbourhood(address)), None),
            What::Known { known, code, reason } => {
                let reason = reason.chars().take(REASON_CHARS_MAX).collect();
                (Key::Known { org: known.org, key: known.key, code, reason }, Some(known))
            }
        };
        if TALLIES_MAX <= self.by_key.len() && !self.by_key.contains_key(&key) {
            return self.missed(1);
        }
        let tally = self.by_key.entry(key).or_insert_with(|| Tally::new(at));
        tally.count(at, 1);
        tally.known = known;
        tally.addresses.extend(Some(address).filter(|_| tally.addresses.len() < NAMED_MAX));
        tally.requests.extend(request.filter(|_| tally.requests.len() < NAMED_MAX));
    }

    /// `count` refusals found no place.
    pub(super) fn missed(&mut self, count: u64) {
        if 0 < count {
            let now = store::clock::now();
            self.by_key.entry(Key::Missed).or_insert_with(|| Tally::new(now)).count(now, count);
        }
    }

    /// What is due, by the chain that it belongs to. It stays until it is said to be written.
    pub(super) fn due(&mut self, now: Timestamp) -> BTreeMap<OrgId, Vec<(Key, Act)>> {
        // Whoever has been quiet since the last row is forgotten.
        self.by_key.retain(|_, tally| 0 < tally.count || now < tally.due);
        let mut rows: BTreeMap<OrgId, Vec<(Key, Act)>> = BTreeMap::new();
        for (key, tally) in self.by_key.iter().filter(|(_, it)| it.due <= now && 0 < it.count) {
            rows.entry(key.org()).or_default().push((key.clone(), key.act(tally)));
        }
        rows
    }

    pub(super) fn written(&mut self, keys: &[Key], now: Timestamp) {
        for key in keys {
            let again = match key {
                Key::Stranger(_) => STRANGER_MILLIS,
                Key::Known { .. } | Key::Missed => KNOWN_MILLIS,
            };
            self.by_key.insert(key.clone(), Tally::new(now.plus_millis(again - FIRST_MILLIS)));
        }
    }
}

impl Tally {
    fn new(at: Timestamp) -> Self {
        Self {
            due: at.plus_millis(FIRST_MILLIS),
            count: 0,
            first: at,
            last: at,
            requests: Vec::new(),
            addresses: BTreeSet::new(),
            known: None,
        }
    }

    fn count(&mut self, at: Timestamp, more: u64) {
        if self.count == 0 {
            self.first = at;
        }
        self.last = at;
        self.count = self.count.saturating_add(more);
    }
}

impl Key {
    fn org(&self) -> OrgId {
        match self {
            Self::Known { org, .. } => *org,
            Self::Stranger(_) | Self::Missed => INSTALLATION,
        }
    }

    fn act(&self, tally: &Tally) -> Act {
        let nobody = Actor { kind: ActorKind::Anonymous, id: String::new(), name: String::new() };
        let (action, actor, address, target, reason) = match self {
            Self::Stranger(address) => {
                let reason = "no valid credential".to_owned();
                let action = "authentication.failed".to_owned();
                (action, nobody, Some(*address), None, reason)
            }
            Self::Missed => {
                let actor =
                    Actor { kind: ActorKind::System, name: "penstock".to_owned(), ..nobody };
                let reason = "there were more refusals than could be told apart".to_owned();
                ("events.missed".to_owned(), actor, None, None, reason)
            }
            Self::Known { key, code, reason, .. } => {
                let known = tally.known.as_ref();
                let principal = known.and_then(|known| known.principal.as_ref());
                let actor = principal.map_or(nobody, |(id, name)| actor(*id, name));
                let project = known.and_then(|known| known.project.as_ref());
                let target = project.map_or_else(|| of_key(*key), |(id, name)| of(*id, name));
                let address = tally.addresses.first().copied();
                (format!("request.{code}"), actor, address, Some(target), reason.clone())
            }
        };
        let mut after = json!({
            "count": tally.count,
            "first": tally.first.rfc3339(),
            "last": tally.last.rfc3339(),
            "requests": tally.requests,
            "addresses": tally.addresses,
        });
        if let (Self::Known { key, .. }, Some(fields)) = (self, after.as_object_mut()) {
            fields.insert("key".to_owned(), json!(key));
        }
        Act {
            at: tally.last,
            actor,
            address: address.map(|address| address.to_string()),
            action,
            outcome: Outcome::Refused,
            target,
            before: None,
            after: Some(after),
            reason: Some(reason),
            request: tally.requests.first().map(ToString::to_string),
            via: "gateway".to_owned(),
            revision: None,
        }
    }
}

fn of_key(key: KeyId) -> Target {
    Target { kind: "key".to_owned(), id: key.to_string(), name: String::new(), project: None }
}

fn of(project: ProjectId, name: &str) -> Target {
    let id = project.to_string();
    let project = Some(id.clone());
    Target { kind: "project".to_owned(), id, name: name.to_owned(), project }
}

fn actor(principal: Principal, name: &str) -> Actor {
    let kind = match principal {
        Principal::User(_) => ActorKind::User,
        Principal::ServiceAccount(_) => ActorKind::ServiceAccount,
    };
    Actor { kind, id: principal.to_string(), name: name.to_owned() }
}

fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

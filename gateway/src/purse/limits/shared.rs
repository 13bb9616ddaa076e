//! The limits of one org that other processes count as well.

use super::{
    super::{
        TakenLimit, Want,
        end_users::{EndUser, EndUsers},
    },
    Check, Counted, Gauges,
    commons::{Commons, Moment},
    meters::Meters,
};
use policies::{ids::LimitId, rate::claims::Part};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};
use store::cells::WindowName;

/// Whose meters: of a limit, and an end user's own part of it.
pub(super) type Whose = (LimitId, Option<EndUser>);

/// Cells that a request lacks, all or nothing.
pub(super) type Need = Vec<(WindowName, Part)>;

pub(in crate::purse) struct Shared {
    pub(super) commons: Arc<Commons>,
    limits: HashMap<LimitId, Meters>,
    end_users: EndUsers<Meters>,
    /// Meters of which the shared windows do not know everything.
    pub(super) dirty: HashSet<Whose>,
    /// What requests wait for, in the order of their tickets.
    pub(super) waiting: Vec<Need>,
    /// The last ticket that was given out, and the last one that was put into a message.
    pub(super) ticket: u64,
    pub(super) served: u64,
    pub(super) seq: u64,
    pub(super) answered: u64,
    /// The shared windows forgot this org: others have to tell them as well before they are right.
    pub(super) settles: i64,
    /// When the last message was answered.
    pub(super) heard_at: i64,
}

impl Shared {
    pub(super) fn new(commons: Arc<Commons>) -> Self {
        Self {
            commons,
            limits: HashMap::new(),
            end_users: EndUsers::default(),
            dirty: HashSet::new(),
            waiting: Vec::new(),
            ticket: 0,
            served: 0,
            seq: 0,
            answered: 0,
            settles: 0,
            heard_at: 0,
        }
    }

    pub(super) fn moment(&self) -> Moment {
        let moment = self.commons.moment();
        Moment { apart: moment.apart || moment.ticks < self.settles, ..moment }
    }

    pub(super) fn check(&mut self, want: &Want<'_>) -> Check {
        let (moment, mut covered) = (self.moment(), true);
        for counted in &want.limits {
            match self.meters(whose(counted)).check(counted.rule, want, moment) {
                Ok(fits) => covered &= fits,
                Err(refusal) => return Check::Refused(refusal),
            }
        }
        if covered { Check::Fits } else { Check::Lacks }
    }

    fn meters(&mut self, (limit, end_user): Whose) -> &mut Meters {
        match end_user {
            None => self.limits.entry(limit).or_default(),
            Some(who) => self.end_users.of(limit, who),
        }
    }

    pub(super) fn known(&mut self, (limit, end_user): Whose) -> Option<&mut Meters> {
        match end_user {
            None => self.limits.get_mut(&limit),
            Some(who) => self.end_users.known(limit, who),
        }
    }

    pub(super) fn take(&mut self, want: &Want<'_>) -> (Vec<TakenLimit>, Gauges) {
        let (moment, mut gauges) = (self.moment(), Gauges::default());
        let mut taken = Vec::with_capacity(want.limits.len());
        for counted in &want.limits {
            let meters = self.meters(whose(counted));
            let [minute, day] = meters.take(counted.rule, want, moment);
            meters.gauge(counted.rule, &mut gauges, moment);
            if meters.is_dirty() {
                self.dirty.insert(whose(counted));
            }
            let (rule, end_user) = (Arc::clone(counted.rule), counted.end_user);
            taken.push(TakenLimit { rule, end_user, minute, day });
        }
        (taken, gauges)
    }

    pub(super) fn leave(&mut self, taken: &[TakenLimit], change: i64) {
        let moment = self.moment();
        for limit in taken {
            let whose = (limit.rule.id, limit.end_user);
            let Some(meters) = self.known(whose) else { continue };
            meters.leave(limit, change, moment);
            if meters.is_dirty() {
                self.dirty.insert(whose);
            }
        }
    }

    /// Puts what the request lacks among what is asked for next; its ticket. None: it lacks
    /// nothing, or the shared windows are not to be asked now.
    pub(super) fn wait_for(&mut self, want: &Want<'_>) -> Option<u64> {
        let (moment, mut need) = (self.moment(), Need::new());
        for counted in &want.limits {
            let (limit, end_user) = whose(counted);
            let lacking = self.meters((limit, end_user)).lacking(counted.rule, want, moment);
            let end_user = end_user.map(|who| who.0);
            let named = |(meter, part)| (WindowName { limit, end_user, meter }, part);
            need.extend(lacking.into_iter().map(named));
        }
        if need.is_empty() {
            return None;
        }
        self.waiting.push(need);
        self.ticket += 1;
        Some(self.ticket)
    }

    /// Every meter there is.
    pub(super) fn all(&mut self) -> impl Iterator<Item = (Whose, &mut Meters)> {
        let of_all = self.limits.iter_mut().map(|(limit, meters)| ((*limit, None), meters));
        let of_each = self.end_users.all().map(|(limit, who, it)| ((limit, Some(who)), it));
        of_all.chain(of_each)
    }
}

fn whose(counted: &Counted<'_>) -> Whose {
    (counted.rule.id, counted.end_user)
}

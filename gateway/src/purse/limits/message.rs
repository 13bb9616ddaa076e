//! What one org tells the shared windows, and what it learns from their answer.

use super::{
    super::end_users::EndUser,
    shared::{Need, Shared, Whose},
};
use std::{collections::HashSet, mem};
use store::cells::{COLUMNS_MAX, Column, Fit, Message, NEEDS_MAX, Reply, Standing, WindowName};

/// How long this replica keeps to its share after the shared windows forgot an org: the others
/// have told them what they took by then.
pub(super) const SETTLE_MILLIS: i64 = 2_000;
/// Who has seats in an org is heard there at least so often, long before they are given away.
const SEATS_HEARD_MILLIS: i64 = 15_000;
/// Columns of one limit, at most.
const METERS: usize = 5;

/// A message with what has to be known when it is answered.
pub(super) struct Sent {
    pub(super) message: Message,
    needs: Vec<Need>,
    told: Vec<Whose>,
}

impl Shared {
    /// Gives back what nobody uses. True: there is something to tell.
    pub(super) fn tidy(&mut self) -> bool {
        let moment = self.moment();
        let (mut seats, mut dirty) = (false, Vec::new());
        for (whose, meters) in self.all() {
            seats |= meters.has_seats();
            if meters.tidy(moment) {
                dirty.push(whose);
            }
        }
        self.dirty.extend(dirty);
        let quiet = self.heard_at.saturating_add(SEATS_HEARD_MILLIS) < moment.ticks;
        !self.dirty.is_empty() || (seats && quiet)
    }

    /// The next message, with all that fits into it.
    pub(super) fn compose(&mut self) -> Sent {
        let moment = self.moment();
        self.seq += 1;
        let seq = self.seq;
        let most = self.waiting.len().min(NEEDS_MAX);
        let mut needs: Vec<Need> = self.waiting.drain(..most).collect();
        leased_ahead_once(&mut needs);
        self.served += u64::try_from(needs.len()).unwrap_or(0);
        // What an answer that is lost has granted is taken back with the next column.
        let named = needs.iter().flatten().map(|(window, _)| whose(window));
        self.dirty.extend(named);
        let told: Vec<Whose> = self.dirty.iter().copied().take(COLUMNS_MAX / METERS).collect();
        let mut columns = Vec::new();
        for (limit, end_user) in &told {
            let Some(meters) = self.known((*limit, *end_user)) else { continue };
            for (meter, taken) in meters.columns(seq, moment) {
                let end_user = end_user.map(|who| who.0);
                let window = WindowName { limit: *limit, end_user, meter };
                columns.push(Column { window, taken });
            }
        }
        let silent = self.commons.silent();
        let (answered, replicas) = (self.answered, moment.replicas);
        let message = Message { seq, answered, columns, needs: needs.clone(), replicas, silent };
        Sent { message, needs, told }
    }

    pub(super) fn learn(&mut self, sent: &Sent, reply: Reply) {
        let seq = sent.message.seq;
        match reply {
            // A later one was answered: it told everything that this one did.
            Reply::Late => {}
            Reply::Forgotten => self.forgotten(),
            Reply::Heard { fits, windows, .. } => {
                self.answered = self.answered.max(seq);
                self.heard_at = self.commons.moment().ticks;
                for whose in &sent.told {
                    if self.known(*whose).is_none_or(|meters| meters.heard(seq)) {
                        self.dirty.remove(whose);
                    }
                }
                windows.into_iter().for_each(|standing| self.stand(standing));
                for (fit, need) in fits.into_iter().zip(&sent.needs) {
                    if let Fit::Lacks { window, wait_millis } = fit {
                        self.lack(window, need, wait_millis);
                    }
                }
            }
        }
    }

    /// All of it has to be told again, and others have to do the same.
    pub(super) fn forgotten(&mut self) {
        self.answered = 0;
        self.settles = self.commons.moment().ticks.saturating_add(SETTLE_MILLIS);
        let mut dirty = mem::take(&mut self.dirty);
        for (whose, meters) in self.all() {
            meters.forgotten();
            if meters.is_dirty() {
                dirty.insert(whose);
            }
        }
        self.dirty = dirty;
    }

    fn stand(&mut self, standing: Standing) {
        let (moment, whose) = (self.moment(), whose(&standing.window));
        let Some(meters) = self.known(whose) else { return };
        meters.learn(standing, moment);
        if meters.is_dirty() {
            self.dirty.insert(whose);
        }
    }

    fn lack(&mut self, window: WindowName, need: &Need, wait_millis: i64) {
        let moment = self.moment();
        let least = need.iter().find(|(name, _)| *name == window).map_or(0, |(_, it)| it.least);
        if let Some(meters) = self.known(whose(&window)) {
            meters.lack(window.meter, least, wait_millis, moment);
        }
    }
}

fn whose(window: &WindowName) -> Whose {
    (window.limit, window.end_user.map(EndUser))
}

/// Of many that wait for one window, one leases ahead for all.
fn leased_ahead_once(needs: &mut [Need]) {
    let mut windows = HashSet::new();
    for (window, part) in needs.iter_mut().flatten() {
        if !windows.insert(*window) {
            part.most = part.least;
        }
    }
}

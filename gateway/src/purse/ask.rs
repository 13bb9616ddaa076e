//! Taking what a request needs, and asking the ledger when a lease does not cover it.

use super::{
    Hold, OrgBook, Purse, Seat,
    book::{Take, Want},
    limits::Gauges,
    talk::NoReply,
};
use policies::{
    budget::Pot,
    ids::{BootId, OrgId},
    money::NanoUsd,
    refusal::Refusal,
    time::Timestamp,
};
use std::{sync::Arc, time::Duration};
use store::{Answer, SyncAsk};
use tokio::sync::OwnedMutexGuard;

/// First and longest wait between two asks of one waiter.
const ASK_AGAIN: Duration = Duration::from_millis(20);
const ASK_AGAIN_MAX: Duration = Duration::from_millis(200);
/// Grants that one waiter may lose to others.
const GRANTS_MAX: u32 = 64;
/// How long the store may take to answer.
const STORE_PATIENCE: Duration = Duration::from_secs(2);
/// What a caller is told to wait when money is only set aside, or the store is away.
const RETRY_MILLIS: i64 = 1_000;

/// How long a request waits for money that is set aside for others.
#[derive(Clone, Copy, Debug)]
pub struct Patience(pub Duration);

/// What one ask brought.
enum Asked {
    Granted,
    Lack { place: usize, silent: bool },
    Refused(Refusal),
}

impl Purse {
    /// Takes limits and money, or says why not. Waits only where money may come back.
    pub async fn take(
        &self,
        org: &OrgId,
        want: &Want<'_>,
        patience: Patience,
    ) -> Result<(Seat, Hold, Gauges), Refusal> {
        let own = self.org(org);
        let (started, mut pause) = (tokio::time::Instant::now(), ASK_AGAIN);
        let (mut again, mut granted) = (false, 0);
        loop {
            if let Some(taken) = self.take_now(&own, want)? {
                return Ok(taken);
            }
            // Limits come first, and are asked for elsewhere.
            if granted < GRANTS_MAX && self.fetch(org, &own, want).await {
                granted += 1;
                continue;
            }
            match self.ask(org, &own, want, again).await {
                // Others may take what was granted; not for ever.
                Asked::Granted if granted < GRANTS_MAX => granted += 1,
                Asked::Granted => {
                    return Err(Refusal::Unavailable { retry_millis: RETRY_MILLIS });
                }
                Asked::Refused(refusal) => return Err(refusal),
                Asked::Lack { .. } if !again => again = true,
                Asked::Lack { place, silent } => {
                    let left = patience.0.saturating_sub(started.elapsed());
                    if left.is_zero() {
                        return Err(held(want, place, silent));
                    }
                    if let Some(taken) = self.watch(&own, want, pause.min(left)).await? {
                        return Ok(taken);
                    }
                    pause = (pause * 2).min(ASK_AGAIN_MAX);
                }
            }
        }
    }

    /// Tries again whenever something comes back to this boot, for as long as `pause`.
    async fn watch(
        &self,
        own: &Arc<OrgBook>,
        want: &Want<'_>,
        pause: Duration,
    ) -> Result<Option<(Seat, Hold, Gauges)>, Refusal> {
        let over = tokio::time::Instant::now() + pause;
        loop {
            // Registered before the try, so that nothing which comes back meanwhile is missed.
            let freed = own.freed.notified();
            if let Some(taken) = self.take_now(own, want)? {
                return Ok(Some(taken));
            }
            if tokio::time::timeout_at(over, freed).await.is_err() {
                return Ok(None);
            }
        }
    }

    fn take_now(
        &self,
        own: &Arc<OrgBook>,
        want: &Want<'_>,
    ) -> Result<Option<(Seat, Hold, Gauges)>, Refusal> {
        // Others may count what this boot has as lost by now.
        if !want.budgets.is_empty() && self.is_fenced() {
            return Err(Refusal::Unavailable { retry_millis: RETRY_MILLIS });
        }
        match own.lock().take(own, want, self.ticks()) {
            Take::Taken(seat, hold, gauges) => Ok(Some((seat, hold, gauges))),
            Take::Refused(refusal) => Err(refusal),
            Take::Short { exhausted: Some((place, left)) } => Err(exhausted(want, place, left)),
            Take::Short { exhausted: None } | Take::LackCells => Ok(None),
        }
    }

    /// One `sync`. With `again`, after everything spent was shipped and everything unused on the
    /// chain was given back, so that the answer is about the true state.
    async fn ask(&self, org: &OrgId, own: &Arc<OrgBook>, want: &Want<'_>, again: bool) -> Asked {
        let unavailable = Refusal::Unavailable { retry_millis: RETRY_MILLIS };
        let turn = Arc::clone(&own.turn).lock_owned();
        let Ok(turn) = tokio::time::timeout(STORE_PATIENCE, turn).await else {
            return Asked::Refused(unavailable);
        };
        let is_new = own.lock().is_new(want);
        if (again || is_new) && !self.shipper.flush(Some(org), STORE_PATIENCE).await {
            return Asked::Refused(unavailable);
        }
        let (boot, need, returned) = {
            let mut book = own.lock();
            // Another waiter's ask may have brought enough for this one too.
            if want.budgets.iter().all(|(_, pot)| book.covers(pot, want.amount)) {
                return Asked::Granted;
            }
            let on_chain = |pot: &Pot| want.budgets.iter().any(|(_, other)| other == pot);
            let returned = if again { book.give_back(on_chain) } else { Vec::new() };
            (book.boot(), book.need(want), returned)
        };
        let ask = SyncAsk { needs: vec![need], returned };
        let reply = match self.sync(org, own, turn, (boot, ask)).await {
            Ok(reply) => reply,
            Err(refusal) => return Asked::Refused(refusal),
        };
        let place = |budget| {
            want.budgets.iter().position(|(rule, _)| rule.id == budget).unwrap_or_default()
        };
        match reply.first() {
            Some(Answer::Granted) => Asked::Granted,
            Some(Answer::Lack { budget, silent }) => {
                Asked::Lack { place: place(*budget), silent: *silent }
            }
            Some(Answer::Exhausted { budget, left }) => {
                Asked::Refused(exhausted(want, place(*budget), *left))
            }
            Some(Answer::PeriodOver) | None => Asked::Refused(unavailable),
        }
    }

    /// Waits for the reply, but not for ever: the message stays on its way.
    #[expect(clippy::disallowed_methods, reason = "whoever asks may go before the reply comes")]
    async fn sync(
        &self,
        org: &OrgId,
        own: &Arc<OrgBook>,
        turn: OwnedMutexGuard<()>,
        said: (BootId, SyncAsk),
    ) -> Result<Vec<Answer>, Refusal> {
        let talk = Arc::clone(&self.talk).sync(*org, Arc::clone(own), turn, said);
        match tokio::time::timeout(STORE_PATIENCE, tokio::spawn(talk)).await {
            Ok(Ok(Ok(answers))) => Ok(answers),
            // Nobody answered, the task died, or it is late.
            Ok(Ok(Err(NoReply)) | Err(_)) | Err(_) => {
                Err(Refusal::Unavailable { retry_millis: RETRY_MILLIS })
            }
        }
    }

    /// The org's settings have changed: limits of budgets may have risen or fallen. Gives back
    /// what is unused, so that a lowered limit holds at once.
    pub async fn settings_changed(&self, org: &OrgId) {
        let own = self.org(org);
        let turn = Arc::clone(&own.turn).lock_owned().await;
        own.lock().forget_rooms();
        self.give_back(org, &own, turn, |_| true).await;
    }

    /// Gives back what is unused of periods that have ended.
    pub async fn close_periods(&self) {
        let now = self.now();
        for (org, own) in self.books() {
            // An org that talks to the ledger now has its turn next time.
            let Ok(turn) = Arc::clone(&own.turn).try_lock_owned() else { continue };
            self.give_back(&org, &own, turn, |pot| pot.span.ends <= now).await;
            own.lock().drop_ended(now);
        }
    }

    pub(super) async fn give_back(
        &self,
        org: &OrgId,
        own: &Arc<OrgBook>,
        turn: OwnedMutexGuard<()>,
        which: impl Fn(&Pot) -> bool,
    ) {
        let (boot, returned) = {
            let mut book = own.lock();
            (book.boot(), book.give_back(which))
        };
        if returned.is_empty() {
            return;
        }
        // Totals: what this message does not bring, the next one will.
        let ask = SyncAsk { needs: Vec::new(), returned };
        let _ = self.sync(org, own, turn, (boot, ask)).await;
    }
}

fn exhausted(want: &Want<'_>, place: usize, left: NanoUsd) -> Refusal {
    let Some((rule, pot)) = want.budgets.get(place) else {
        return Refusal::Unavailable { retry_millis: RETRY_MILLIS };
    };
    let resets = (pot.span.ends != Timestamp::NEVER).then_some(pot.span.ends);
    let left = rule.place.own.then_some(left.at_least_zero());
    Refusal::BudgetExhausted { place: rule.place.clone(), left, resets }
}

fn held(want: &Want<'_>, place: usize, silent: bool) -> Refusal {
    let Some((rule, _)) = want.budgets.get(place) else {
        return Refusal::Unavailable { retry_millis: RETRY_MILLIS };
    };
    let (place, retry_millis) = (rule.place.clone(), RETRY_MILLIS);
    if silent {
        Refusal::BudgetUnsettled { place, retry_millis }
    } else {
        Refusal::BudgetHeld { place, retry_millis }
    }
}

//! Telling of changed orgs, a bounded number at once and each by itself.

use policies::ids::OrgId;
use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{self, Instant},
};

/// Orgs that are being told of a change at once, at most.
const TOLD_AT_ONCE_MAX: usize = 64;
/// How long the last notices may take at the end. What is cut off then goes back when the boot is
/// closed.
const LAST_NOTICES: Duration = Duration::from_secs(5);

/// What is under way and what waits: at most one notice of each org in either.
pub(super) struct Notices<Tell> {
    tell: Tell,
    running: JoinSet<OrgId>,
    told: HashSet<OrgId>,
    waiting: VecDeque<OrgId>,
}

impl<Tell, Told> Notices<Tell>
where
    Tell: Fn(OrgId) -> Told,
    Told: Future<Output = ()> + Send + 'static,
{
    pub(super) fn new(tell: Tell) -> Self {
        Self { tell, running: JoinSet::new(), told: HashSet::new(), waiting: VecDeque::new() }
    }

    /// An org that is being told of an earlier change is told again after that.
    pub(super) fn tell(&mut self, org: OrgId) {
        if !self.waiting.contains(&org) {
            self.waiting.push_back(org);
        }
        self.start();
    }

    /// Lets notices go on for `time`. It may be dropped at any point.
    pub(super) async fn carry(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while time::timeout_at(until, self.ended()).await.is_ok() {}
    }

    /// Lets all of them come to their end, within limits.
    pub(super) async fn finish(mut self) {
        let all = async {
            while !self.running.is_empty() {
                self.ended().await;
            }
        };
        if time::timeout(LAST_NOTICES, all).await.is_err() {
            tracing::warn!(orgs = self.told.len(), "changed orgs have not been told at the end");
        }
    }

    /// Waits for the end of one; for ever where there is none.
    async fn ended(&mut self) {
        match self.running.join_next().await {
            Some(Ok(org)) => {
                self.told.remove(&org);
            }
            // It is not known whose it was: when all have ended, none is under way.
            Some(Err(died)) => {
                tracing::error!(%died, "a notice of changed settings was lost");
                if self.running.is_empty() {
                    self.told.clear();
                }
            }
            None => std::future::pending().await,
        }
        self.start();
    }

    fn start(&mut self) {
        for _ in 0..self.waiting.len() {
            if TOLD_AT_ONCE_MAX <= self.running.len() {
                return;
            }
            let Some(org) = self.waiting.pop_front() else { return };
            if self.told.contains(&org) {
                self.waiting.push_back(org);
                continue;
            }
            self.told.insert(org);
            let told = (self.tell)(org);
            self.running.spawn(async move {
                told.await;
                org
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    fn org(number: u8) -> OrgId {
        OrgId::from_bytes([number; 16])
    }

    #[tokio::test(start_paused = true)]
    async fn an_org_that_is_stuck_delays_no_other_and_no_look() {
        let (begun, mut told) = mpsc::channel(8);
        let mut notices = Notices::new(move |it| {
            let begun = begun.clone();
            async move {
                begun.send(it).await.unwrap();
                if it == org(1) {
                    std::future::pending::<()>().await;
                }
            }
        });

        notices.tell(org(1));
        notices.tell(org(1));
        notices.tell(org(2));
        notices.carry(Duration::from_millis(250)).await;
        notices.tell(org(2));
        notices.carry(Duration::from_millis(250)).await;

        let mut got = Vec::new();
        while let Ok(it) = told.try_recv() {
            got.push(it);
        }
        assert_eq!(got, [org(1), org(2), org(2)], "an org is told of one change at a time");
        notices.finish().await;
    }

    #[tokio::test]
    async fn a_change_during_a_notice_is_told_after_it() {
        let (begun, mut told) = mpsc::channel(8);
        let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
        let open = std::sync::Arc::clone(&gate);
        let mut notices = Notices::new(move |it| {
            let (begun, gate) = (begun.clone(), std::sync::Arc::clone(&gate));
            async move {
                begun.send(it).await.unwrap();
                gate.acquire().await.unwrap().forget();
            }
        });

        notices.tell(org(1));
        assert_eq!(told.recv().await, Some(org(1)));
        notices.tell(org(1));
        open.add_permits(2);
        notices.finish().await;

        assert_eq!(told.recv().await, Some(org(1)));
        assert_eq!(told.recv().await, None);
    }
}

//! Several processes on one set of shared windows.

use super::{super::*, *};
use crate::shipper::{Outbox, Quarantine, Shipper};
use async_trait::async_trait;
use policies::{
    ids::{BootId, LimitId, OrgId},
    money::NanoUsd,
    refusal::{Place, Refusal},
};
use std::path::Path;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use store::{
    Fault,
    cells::{Attendance, Cells, Message, Reply},
    model::Model,
};
use tokio_util::sync::CancellationToken;

const ORG: OrgId = OrgId::from_bytes([1; 16]);
const SOON: Duration = Duration::from_secs(10);

/// Windows that can be taken away.
#[derive(Default)]
struct Windows {
    model: std::sync::RwLock<Arc<Model>>,
    away: AtomicBool,
    /// Messages are heard, and never answered.
    mute: AtomicBool,
    messages: AtomicUsize,
}

impl Windows {
    fn model(&self) -> Arc<Model> {
        Arc::clone(&self.model.read().unwrap())
    }

    fn flush(&self) {
        *self.model.write().unwrap() = Arc::default();
    }

    fn reach(&self) -> Result<(), Fault> {
        if self.away.load(Ordering::Relaxed) { Err(Fault::Away("away".to_owned())) } else { Ok(()) }
    }
}

#[async_trait]
impl Cells for Windows {
    async fn attend(&self, boot: &BootId) -> Result<Attendance, Fault> {
        self.reach()?;
        self.model().attend(boot).await
    }

    async fn exchange(&self, org: &OrgId, boot: &BootId, message: Message) -> Result<Reply, Fault> {
        self.reach()?;
        self.messages.fetch_add(1, Ordering::Relaxed);
        let reply = self.model().exchange(org, boot, message).await;
        if self.mute.load(Ordering::Relaxed) { std::future::pending().await } else { reply }
    }
}

async fn purse(number: u8, windows: &Arc<Windows>) -> Arc<Purse> {
    let boot = BootId::from_bytes([number; 16]);
    let cells = Arc::clone(windows) as Arc<dyn Cells>;
    let commons = Commons::new(cells, boot, SOON, 4);
    // One that is away is met later.
    let _ = commons.begin(SOON).await;
    let quarantine = Arc::new(Quarantine::beside(Path::new("journal.db")));
    let shipper = Arc::new(Shipper::new(Arc::new(Outbox::default()), quarantine));
    let purse = Purse::new(boot, Arc::new(Model::default()), shipper);
    Arc::new(purse.sharing(Some(Arc::new(commons))))
}

async fn purses(windows: &Arc<Windows>) -> Vec<Arc<Purse>> {
    let mut purses = Vec::new();
    for number in 1..=3 {
        purses.push(purse(number, windows).await);
    }
    // So that each knows of the others.
    for purse in &purses {
        purse.commons.as_ref().unwrap().attend().await;
    }
    purses
}

fn rule() -> LimitRule {
    LimitRule {
        id: LimitId::from_bytes([7; 16]),
        place: Place { level: "the org", own: false },
        requests_per_minute: None,
        requests_per_day: None,
        tokens_per_minute: None,
        tokens_per_day: None,
        concurrent_requests: None,
    }
}

async fn take(purse: &Purse, rule: &Arc<LimitRule>) -> Result<(Seat, Gauges), Refusal> {
    let limits = vec![Counted { rule, end_user: None }];
    let want = Want { limits, budgets: Vec::new(), amount: NanoUsd::ZERO, tokens: 100 };
    let taken = purse.take(&ORG, &want, Patience(Duration::ZERO)).await?;
    Ok((taken.0, taken.2))
}

/// How many of `tries` requests of each purse are let through, in turns.
async fn admitted(purses: &[Arc<Purse>], rule: &Arc<LimitRule>, tries: usize) -> usize {
    let mut admitted = 0;
    for _ in 0..tries {
        for purse in purses {
            admitted += usize::from(take(purse, rule).await.is_ok());
        }
    }
    admitted
}

#[tokio::test]
async fn three_processes_let_through_exactly_the_limit_in_few_messages() {
    let windows = Arc::new(Windows::default());
    let purses = purses(&windows).await;
    let rule = Arc::new(LimitRule { requests_per_minute: Some(300), ..rule() });

    let admitted = admitted(&purses, &rule, 200).await;

    assert_eq!(admitted, 300);
    let messages = windows.messages.load(Ordering::Relaxed);
    assert!(messages < 150, "{messages} messages");
}

#[tokio::test]
async fn one_process_gets_all_that_the_others_do_not_want() {
    let windows = Arc::new(Windows::default());
    let purses = purses(&windows).await;
    let rule = Arc::new(LimitRule { requests_per_minute: Some(300), ..rule() });

    assert_eq!(admitted(&purses[..1], &rule, 400).await, 300);
}

#[tokio::test]
async fn what_was_granted_to_a_caller_who_has_gone_comes_back() {
    let windows = Arc::new(Windows::default());
    let purses = purses(&windows).await;
    let rule = Arc::new(LimitRule { requests_per_day: Some(1), ..rule() });

    windows.mute.store(true, Ordering::Relaxed);
    let gone = tokio::time::timeout(Duration::from_millis(20), take(&purses[0], &rule)).await;
    windows.mute.store(false, Ordering::Relaxed);
    assert!(gone.is_err());
    assert!(take(&purses[1], &rule).await.is_err(), "it is granted to the first");
    assert!(purses[0].tell_all().await);
    let other = tokio::time::timeout(SOON, async {
        while take(&purses[1], &rule).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });

    assert!(other.await.is_ok());
    assert!(take(&purses[0], &rule).await.is_err());
}

#[tokio::test]
async fn no_mishap_loosens_a_limit_that_all_want_alike() {
    for seed in 1..=20 {
        let windows = Arc::new(Windows::default());
        let purses = purses(&windows).await;
        let rule = Arc::new(LimitRule { requests_per_minute: Some(90), ..rule() });
        let (mut dice, mut let_through) = (seed, 0);
        for _ in 0..60 {
            dice = (dice * 1_103_515_245 + 12_345) % 2_147_483_648_u64;
            match dice >> 16 & 15 {
                0 => windows.flush(),
                1 | 2 => windows.away.store(true, Ordering::Relaxed),
                3..=8 => {
                    windows.away.store(false, Ordering::Relaxed);
                    for purse in &purses {
                        purse.tell_all().await;
                        purse.attend().await;
                    }
                }
                _ => {}
            }
            let_through += admitted(&purses, &rule, 1).await;
        }
        assert!(let_through <= 90, "seed {seed}: {let_through}");
    }
}

#[tokio::test]
async fn what_is_left_is_told_truly() {
    let windows = Arc::new(Windows::default());
    let purses = purses(&windows).await;
    let rule = Arc::new(LimitRule { requests_per_day: Some(4), ..rule() });

    let mut left = Vec::new();
    for purse in purses.iter().chain(&purses).take(4) {
        left.push(take(purse, &rule).await.unwrap().1.requests.unwrap().remaining);
    }

    assert_eq!(left, [3, 2, 1, 0]);
    let refused = take(&purses[2], &rule).await.unwrap_err();
    assert!(matches!(refused, Refusal::RateLimited { limit: 4, .. }), "{refused:?}");
}

#[tokio::test]
async fn tokens_that_were_not_used_can_be_used_by_others() {
    let windows = Arc::new(Windows::default());
    let purses = purses(&windows).await;
    let rule = Arc::new(LimitRule { tokens_per_day: Some(250), ..rule() });
    let (first, _) = take(&purses[0], &rule).await.unwrap();
    let (_second, _) = take(&purses[1], &rule).await.unwrap();
    assert!(take(&purses[2], &rule).await.is_err());

    first.leave(10);
    let third = tokio::time::timeout(SOON, async {
        while take(&purses[2], &rule).await.is_err() {
            assert!(purses[0].tell_all().await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });

    assert!(third.await.is_ok());
    let refused = take(&purses[0], &rule).await;
    assert!(matches!(refused, Err(Refusal::TokensLimited { .. })), "{refused:?}");
}

#[tokio::test]
async fn seats_go_round() {
    let windows = Arc::new(Windows::default());
    let purses = purses(&windows).await;
    let rule = Arc::new(LimitRule { concurrent_requests: Some(3), ..rule() });
    let mut seats = Vec::new();
    for purse in &purses {
        seats.push(take(purse, &rule).await.unwrap().0);
    }
    for purse in &purses {
        let refused = take(purse, &rule).await;
        assert!(matches!(refused, Err(Refusal::ConcurrencyLimited { .. })));
    }

    seats.remove(0).leave(0);
    let _again = take(&purses[0], &rule).await.unwrap();

    assert!(take(&purses[1], &rule).await.is_err());
}

#[tokio::test]
async fn apart_each_keeps_to_its_share_and_together_none_gets_more() {
    let windows = Arc::new(Windows::default());
    let purses = purses(&windows).await;
    let rule = Arc::new(LimitRule { requests_per_minute: Some(60), ..rule() });
    let before = admitted(&purses, &rule, 5).await;

    windows.away.store(true, Ordering::Relaxed);
    let apart = admitted(&purses, &rule, 40).await;
    windows.away.store(false, Ordering::Relaxed);
    for purse in &purses {
        purse.tell_all().await;
        purse.attend().await;
        assert_eq!(purse.is_apart(), Some(false));
    }
    let after = admitted(&purses, &rule, 40).await;

    assert_eq!(before, 15);
    assert!((30..=45).contains(&apart), "{apart}");
    assert!(before + apart + after <= 60, "{before} {apart} {after}");
}

#[tokio::test]
async fn who_never_met_the_others_takes_them_to_be_many() {
    let windows = Arc::new(Windows::default());
    windows.away.store(true, Ordering::Relaxed);
    let purse = purse(1, &windows).await;
    let rule = Arc::new(LimitRule { requests_per_minute: Some(60), ..rule() });

    assert_eq!(admitted(&[purse], &rule, 60).await, 15);
}

#[tokio::test]
async fn windows_that_forgot_everything_are_told_before_more_is_taken() {
    let windows = Arc::new(Windows::default());
    let purses = purses(&windows).await;
    let rule = Arc::new(LimitRule { requests_per_minute: Some(60), ..rule() });
    let before = admitted(&purses, &rule, 15).await;

    windows.flush();
    let after = admitted(&purses, &rule, 60).await;
    for purse in &purses {
        purse.tell_all().await;
        purse.attend().await;
    }
    let later = admitted(&purses, &rule, 60).await;

    assert_eq!(before, 45);
    assert!(before + after + later <= 60, "{before} {after} {later}");
    let told = purse(4, &windows).await;
    assert_eq!(admitted(&[told], &rule, 60).await, 60 - before - after - later);
}

#[tokio::test]
async fn what_nobody_uses_goes_back_by_itself() {
    let windows = Arc::new(Windows::default());
    let purses = purses(&windows).await;
    let stop = CancellationToken::new();
    let mut telling = tokio::task::JoinSet::new();
    for purse in &purses {
        let (purse, stop) = (Arc::clone(purse), stop.clone());
        telling.spawn(async move { purse.share_limits(stop).await });
    }
    let rule = Arc::new(LimitRule { concurrent_requests: Some(1), ..rule() });

    take(&purses[0], &rule).await.unwrap().0.leave(0);
    assert!(take(&purses[1], &rule).await.is_err(), "it is still leased");
    let back = tokio::time::timeout(SOON, async {
        while take(&purses[1], &rule).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });

    assert!(back.await.is_ok());
    stop.cancel();
    telling.join_all().await;
}

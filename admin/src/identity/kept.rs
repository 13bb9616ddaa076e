//! A document of somebody else's server: fetched by one at a time, seldom, and kept meanwhile.

use super::ProviderFault;
use std::{
    future::Future,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Mutex, time::Instant};

/// Between the end of one fetch and the start of the next, whatever is asked for.
pub const FLOOR: Duration = Duration::from_secs(10);
/// Requests that wait for one fetch, at most; more are answered at once.
const WAITING_MAX: usize = 256;

/// The last good document, and the one place where the next is fetched.
pub struct Kept<T> {
    good: RwLock<Option<Good<T>>>,
    /// The end of the last fetch, and how it failed if it did.
    turn: Mutex<Option<(Instant, Option<ProviderFault>)>>,
    waiting: AtomicUsize,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { good: RwLock::default(), turn: Mutex::default(), waiting: AtomicUsize::new(0) }
    }
}

/// A document and when it came.
pub struct Good<T> {
    value: Arc<T>,
    edition: u64,
    since: Instant,
}

impl<T> Clone for Good<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), edition: self.edition, since: self.since }
    }
}

impl<T> Good<T> {
    pub fn value(&self) -> Arc<T> {
        Arc::clone(&self.value)
    }

    /// Grows with each fetch that succeeded.
    pub fn edition(&self) -> u64 {
        self.edition
    }

    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }
}

impl<T> Kept<T> {
    pub fn good(&self) -> Option<Good<T>> {
        self.good.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A document that is newer than the edition that was `seen`. Of all who ask at once, one
    /// fetches and the others wait for it; within [`FLOOR`] after a fetch nobody fetches. What is
    /// known stays when a fetch fails.
    pub async fn renew<F>(
        &self,
        seen: Option<u64>,
        fetch: impl FnOnce() -> F,
    ) -> Result<Good<T>, ProviderFault>
    where
        F: Future<Output = Result<T, ProviderFault>> + Send,
    {
        let _place = Place::take(&self.waiting).ok_or(ProviderFault::TooSoon)?;
        let mut turn = self.turn.lock().await;
        let good = self.good();
        if let Some(good) = good.as_ref().filter(|good| seen < Some(good.edition)) {
            return Ok(good.clone());
        }
        if let Some((ended, failed)) = turn.as_ref()
            && ended.elapsed() < FLOOR
        {
            return Err(failed.clone().unwrap_or(ProviderFault::TooSoon));
        }
        // A fetch that is given up counts too: whoever asked may have left.
        *turn = Some((Instant::now(), Some(ProviderFault::TooSoon)));
        let fetched = fetch().await;
        *turn = Some((Instant::now(), fetched.as_ref().err().cloned()));
        let value = Arc::new(fetched?);
        let edition = good.map_or(0, |good| good.edition) + 1;
        let good = Good { value, edition, since: Instant::now() };
        *self.good.write().unwrap_or_else(PoisonError::into_inner) = Some(good.clone());
        Ok(good)
    }
}

/// One of the places of those who wait.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Option<Self> {
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        let place = Self(waiting);
        (before < WAITING_MAX).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

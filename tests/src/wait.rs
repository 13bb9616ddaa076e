//! Waiting for a state, never for a time: every wait has a limit and says what it waited for.

use std::{future::Future, time::Duration};

/// For what one process does alone: a start, an answer, a settlement.
pub const SOON: Duration = Duration::from_secs(20);
/// For a whole run of requests.
pub const LONG: Duration = Duration::from_secs(240);

/// Between two looks at a state that nobody announces.
const LOOK_AGAIN_MILLIS: u64 = 10;

/// The result of `future`, or the end of the test with the name of what did not come.
pub async fn within<T>(limit: Duration, what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(limit, future).await {
        Ok(value) => value,
        Err(_) => fail(&format!("{what} did not come within {limit:?}")),
    }
}

/// Looks until `look` finds something. What it found last is told when it finds nothing in time.
pub async fn until<T, F>(limit: Duration, what: &str, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, String>>,
{
    let deadline = tokio::time::Instant::now() + limit;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) if deadline < tokio::time::Instant::now() => {
                fail(&format!("{what} did not come within {limit:?}; last seen: {seen}"))
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(LOOK_AGAIN_MILLIS)).await,
        }
    }
}

#[expect(clippy::panic, reason = "a test that waited in vain has failed")]
pub fn fail(why: &str) -> ! {
    panic!("{why}")
}

//! An answer that is not streamed is read to its end even when its caller leaves: only its end
//! tells what it cost.

use super::settle::Reply;
use crate::{app::App, config};
use policies::refusal::Refusal;
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

type Rest = Pin<Box<dyn Future<Output = Result<Reply, Refusal>> + Send>>;

/// Drives `rest`; if it is dropped before its end, a task goes on with it for a bounded time.
pub(super) fn read_on(
    app: &Arc<App>,
    rest: impl Future<Output = Result<Reply, Refusal>> + Send + 'static,
) -> ReadOn {
    ReadOn { app: Arc::clone(app), rest: Some(Box::pin(rest)) }
}

pub(super) struct ReadOn {
    app: Arc<App>,
    rest: Option<Rest>,
}

impl Future for ReadOn {
    type Output = Result<Reply, Refusal>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(rest) = &mut self.rest else {
            return Poll::Ready(Err(Refusal::Unavailable { retry_millis: 1_000 }));
        };
        let polled = rest.as_mut().poll(context);
        if polled.is_ready() {
            self.rest = None;
        }
        polled
    }
}

impl Drop for ReadOn {
    fn drop(&mut self) {
        let Some(rest) = self.rest.take() else { return };
        let patience = config::millis(self.app.deadlines.read_on_millis);
        // When the time is over the bill is dropped, and closes itself as hung up.
        let bounded = async move { drop(tokio::time::timeout(patience, rest).await) };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            self.app.reading_on.spawn_on(bounded, &runtime);
        }
    }
}

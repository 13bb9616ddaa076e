//! A body that reads a chain as fast as it is taken.

use crate::service::audit::export::Rest;
use axum::body::Bytes;
use http_body::{Body, Frame};
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use store::{Fault, Store};

type Page = Pin<Box<dyn Future<Output = (Rest, Result<Option<String>, Fault>)> + Send>>;

/// Lines of NDJSON. A fault of the store breaks the answer off, so that nobody takes it for whole.
pub(super) struct Lines {
    store: Arc<dyn Store>,
    page: Option<Page>,
}

impl Lines {
    pub(super) fn new(store: Arc<dyn Store>, rest: Rest) -> Self {
        let page = Some(next(Arc::clone(&store), rest));
        Self { store, page }
    }
}

fn next(store: Arc<dyn Store>, mut rest: Rest) -> Page {
    Box::pin(async move {
        let text = rest.next(&*store).await;
        (rest, text)
    })
}

impl Body for Lines {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let lines = self.get_mut();
        let Some(page) = &mut lines.page else { return Poll::Ready(None) };
        let (rest, text) = ready!(page.as_mut().poll(context));
        lines.page = None;
        Poll::Ready(match text {
            Ok(Some(text)) => {
                lines.page = Some(next(Arc::clone(&lines.store), rest));
                Some(Ok(Frame::data(text.into())))
            }
            Ok(None) => None,
            Err(fault) => {
                tracing::error!(%fault, "an export of the audit log broke off");
                Some(Err(fault))
            }
        })
    }
}

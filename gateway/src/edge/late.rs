//! Streams whose first word keeps the caller waiting: the head goes out, comments follow, and
//! everything that can still happen happens inside the stream.

use super::{body::EdgeBody, infer as answer_now, problem};
use crate::{
    app::App,
    config,
    pipeline::{self, Arrival, Promise, settle::ReplyBody},
};
use bytes::Bytes;
use dialects::error::KEEP_ALIVE;
use http::{HeaderValue, Response, header};
use http_body::{Body, Frame};
use policies::refusal::Refusal;
use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep};

/// Between two comments that keep a waiting caller's connection alive.
const COMMENTS: Duration = Duration::from_secs(10);

type Answering = Pin<Box<dyn Future<Output = Result<pipeline::settle::Reply, Refusal>> + Send>>;

/// A stream that was promised before its answer began.
pub(super) struct Late {
    state: State,
    timer: Pin<Box<Sleep>>,
}

enum State {
    Waiting(Answering),
    Answering(ReplyBody),
    Over,
}

/// Answers through the pipeline. A stream that has shown nothing for a while gets its head and
/// comments; what is decided later, an error too, comes as a frame.
pub(super) async fn infer(app: Arc<App>, arrival: Arrival) -> Response<EdgeBody> {
    let patience = config::millis(app.edge.stream_head_millis);
    let promise = Arc::clone(&arrival.promise);
    let own = Arc::clone(&app);
    let mut answering: Answering = Box::pin(async move { pipeline::handle(&own, arrival).await });
    loop {
        match tokio::time::timeout(patience, answering.as_mut()).await {
            Ok(answered) => return answer_now(answered),
            Err(_elapsed) => {
                if let Some(promise) = promise.get() {
                    return promised(promise, answering);
                }
            }
        }
    }
}

fn promised(promise: &Promise, answering: Answering) -> Response<EdgeBody> {
    let timer = Box::pin(tokio::time::sleep(Duration::ZERO));
    let late = Late { state: State::Waiting(answering), timer };
    let mut answer = Response::new(EdgeBody::late(late));
    *answer.headers_mut() = promise.headers.clone();
    let stream = HeaderValue::from_static("text/event-stream; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, stream);
    answer
}

impl Late {
    pub(super) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        loop {
            match &mut self.state {
                State::Waiting(answering) => match answering.as_mut().poll(context) {
                    Poll::Ready(Ok(reply)) => self.state = State::Answering(reply.body),
                    Poll::Ready(Err(refusal)) => {
                        self.state = State::Over;
                        return show(problem::frame(&refusal).into());
                    }
                    Poll::Pending => {
                        ready!(self.timer.as_mut().poll(context));
                        self.timer.as_mut().reset(Instant::now() + COMMENTS);
                        return show(Bytes::from_static(KEEP_ALIVE));
                    }
                },
                State::Answering(ReplyBody::Stream(stream)) => {
                    return Pin::new(stream.as_mut()).poll_frame(context);
                }
                // The provider declined it: its error, as a frame.
                State::Answering(ReplyBody::Whole(bytes)) => {
                    let frame = problem::frame_of_body(bytes);
                    self.state = State::Over;
                    return show(frame.into());
                }
                State::Over => return Poll::Ready(None),
            }
        }
    }
}

fn show(bytes: Bytes) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
    Poll::Ready(Some(Ok(Frame::data(bytes))))
}

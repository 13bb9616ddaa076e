//! The bodies of answers.

use super::late::Late;
use crate::pipeline::settle::{Reply, ReplyBody, StreamBody};
use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body::{Body, Frame, SizeHint};
use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

pub struct EdgeBody(Form);

enum Form {
    Whole(Option<Bytes>),
    Stream(Box<StreamBody>),
    Late(Box<Late>),
}

impl EdgeBody {
    pub fn whole(bytes: Bytes) -> Self {
        Self(Form::Whole((!bytes.is_empty()).then_some(bytes)))
    }

    pub(super) fn late(late: Late) -> Self {
        Self(Form::Late(Box::new(late)))
    }
}

pub(super) fn reply(reply: Reply) -> Response<EdgeBody> {
    let Reply { status, headers, content_type, body } = reply;
    let (body, default) = match body {
        ReplyBody::Whole(bytes) => (EdgeBody::whole(bytes), "application/json"),
        ReplyBody::Stream(stream) => (EdgeBody(Form::Stream(stream)), "text/event-stream"),
    };
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    let content_type = content_type.unwrap_or(HeaderValue::from_static(default));
    answer.headers_mut().insert(header::CONTENT_TYPE, content_type);
    answer
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"));
    answer
}

impl Body for EdgeBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.0 {
            Form::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Form::Stream(stream) => Pin::new(stream.as_mut()).poll_frame(context),
            Form::Late(late) => late.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Form::Whole(bytes) => bytes.is_none(),
            Form::Stream(stream) => stream.is_end_stream(),
            Form::Late(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Form::Whole(bytes) => {
                let size = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(size).unwrap_or(u64::MAX))
            }
            Form::Stream(_) | Form::Late(_) => SizeHint::default(),
        }
    }
}

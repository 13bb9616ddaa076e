//! Stage 9: the bill, committed before the answer's last byte, however it ends.

mod body;

pub use self::body::StreamBody;

use super::screen::{Screened, Shown};
use crate::bill::End;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use policies::{money::NanoUsd, refusal::Refusal};

const COST: HeaderName = HeaderName::from_static("x-penstock-cost");

/// An answer on its way out, with its bill written or attached.
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub content_type: Option<HeaderValue>,
    pub body: ReplyBody,
}

pub enum ReplyBody {
    Whole(Bytes),
    Stream(Box<StreamBody>),
}

pub async fn settle(screened: Screened) -> Result<Reply, Refusal> {
    let Screened { bill, mut headers, content_type, shown } = screened;
    let (status, body) = match shown {
        Shown::Stream(pieces) => {
            (StatusCode::OK, ReplyBody::Stream(Box::new(StreamBody::new(bill, pieces))))
        }
        Shown::Whole { body, end } => {
            if let Some(cost) = cost(&bill, &end) {
                headers.insert(COST, cost);
            }
            let unwritten = Refusal::Unavailable { retry_millis: 1_000 };
            match bill.finish(end).await {
                Ok(Ok(_written)) => {}
                Ok(Err(_)) | Err(_) => return Err(unwritten),
            }
            (StatusCode::OK, ReplyBody::Whole(body))
        }
        Shown::Declined { status, body } => {
            // Nothing was bought: there is no bill to wait for.
            let _ = bill.finish(End::NotBegun).await;
            headers.insert(COST, HeaderValue::from_static("0"));
            (status, ReplyBody::Whole(body))
        }
    };
    Ok(Reply { status, headers, content_type, body })
}

/// The cost of an answer whose provider told its use; what we count is known later.
fn cost(bill: &crate::bill::Bill, end: &End) -> Option<HeaderValue> {
    let cost: NanoUsd = match end {
        End::Reported { report, .. } => bill.cost(&report.tokens)?,
        End::NotBegun => NanoUsd::ZERO,
        End::Counted { .. } | End::Unknown => return None,
    };
    HeaderValue::from_str(&cost.to_string()).ok()
}

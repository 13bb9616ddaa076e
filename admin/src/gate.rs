//! The way of an administrative request: found, known, allowed, then carried out once.

pub(crate) mod who;

use crate::{
    api::{
        objects::shape::misfits,
        openapi::{NOTHING, bodies},
    },
    context::{Context, target},
    failure::{Face, Failure},
    service::apply::fitted,
    services::{Known, Services},
    table::{self, Found, Place, Row},
};
use axum::{
    body::{Body, Bytes},
    http::{HeaderName, HeaderValue, Request, Response, header, request::Parts},
};
use http_body_util::{BodyExt, Limited};
use policies::{
    authority,
    ids::RequestId,
    permission::Permission,
    rights::Reach,
    route::{Audit, Method},
};
use serde_json::Value;
use std::{net::IpAddr, sync::Arc};
use store::entropy;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Answers one request of the admin listener.
pub async fn serve<B>(
    services: &Arc<Services>,
    address: IpAddr,
    request: Request<B>,
) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let id = match entropy::id() {
        Ok(bytes) => RequestId::from_bytes(bytes),
        Err(_) => return Failure::Unavailable.answer(Face::Problem),
    };
    let (parts, body) = request.into_parts();
    let mut answer = match table::find(parts.method.as_str(), parts.uri.path()) {
        Found::Row(row, values) => {
            let params = values.into_iter().map(decoded).collect();
            let face = row.handler.face;
            let arrival = Arrival { services, address, request: id, params, parts: &parts };
            match arrival.carry_out(row, body).await {
                Ok(answer) => answer,
                Err(failure) if has_body(row) => failure.pointed().answer(face),
                Err(failure) => failure.answer(face),
            }
        }
        Found::WrongMethod(face, allowed) => Failure::WrongMethod { allowed }.answer(face),
        Found::Nothing(face) => Failure::NotFound.answer(face),
    };
    let headers = answer.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        headers.insert(REQUEST_ID, value);
    }
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    answer
}

struct Arrival<'a> {
    services: &'a Arc<Services>,
    address: IpAddr,
    request: RequestId,
    params: Vec<String>,
    parts: &'a Parts,
}

impl Arrival<'_> {
    async fn carry_out<B>(self, row: &'static Row, body: B) -> Result<Response<Body>, Failure>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (mut who, mut known) = (None, None);
        if row.permission != Permission::Public {
            let (asker, of_org) = who::identify(self.services, self.parts, self.address).await?;
            if asker.org_is_open && !is_for_anybody(row.permission) {
                return Err(who::org_needed(self.services).await);
            }
            check(row, &self.params, &asker.rights, &of_org)?;
            (who, known) = (Some(asker), Some(of_org));
        }
        let query = query(row, self.parts)?;
        let body = read(body, row.body_bytes_max).await?;
        let kind = self.parts.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        if !kind.is_some_and(|kind| kind.starts_with(b"application/x-www-form-urlencoded")) {
            fits(row, &body)?;
        }
        let context = Context {
            services: Arc::clone(self.services),
            who,
            known,
            params: self.params,
            query,
            headers: self.parts.headers.clone(),
            body,
            address: self.address,
            request: self.request,
        };
        if row.audit == Audit::Sensitive {
            let mut act = context.act("data.read");
            act.target = Some(target("route", row.path.to_owned(), self.parts.uri.path()));
            // What cannot be written down is not shown.
            context.services.store.append(&context.org()?, vec![act]).await?;
        }
        crate::once::answer(context, row).await
    }
}

/// Whether the row is about the asker or the installation, so that no org needs to be named.
fn is_for_anybody(permission: Permission) -> bool {
    matches!(permission, Permission::Myself | Permission::Operate)
}

/// The query's pairs. A filter that is passed over shows more than was asked for: on our own face
/// an unknown name is a mistake. (OpenAI's SDKs and directories send what we do not have; and an
/// identity provider adds what it likes.)
fn query(row: &Row, parts: &Parts) -> Result<Vec<(String, String)>, Failure> {
    let text = parts.uri.query().unwrap_or_default().as_bytes();
    let pairs: Vec<_> = url::form_urlencoded::parse(text).into_owned().collect();
    let ours = row.handler.face == Face::Problem && row.permission != Permission::Public;
    let known = row.handler.query;
    let is_known = |name: &str| known.contains(&name.strip_suffix("[]").unwrap_or(name));
    match pairs.iter().find(|(name, _)| ours && !is_known(name)) {
        Some((name, _)) => Err(Failure::UnknownParameter { name: name.clone(), known }),
        None => Ok(pairs),
    }
}

/// Whether it is a row of our own face whose fields are those of a body.
fn has_body(row: &Row) -> bool {
    let ours = row.handler.face == Face::Problem && row.permission != Permission::Public;
    ours && row.method != Method::Get
}

/// Whether the body has the shape that the row takes. Those of documents are held against theirs
/// when they are read, because a patch has to be merged first.
fn fits(row: &Row, body: &[u8]) -> Result<(), Failure> {
    if !has_body(row) {
        return Ok(());
    }
    let empty = b"{}".as_slice();
    let text = if body.trim_ascii().is_empty() { empty } else { body };
    let body: Value = serde_json::from_slice(text).map_err(|fault| {
        let message = fault.to_string();
        let (message, _) = message.split_once(" at line ").unwrap_or((message.as_str(), ""));
        Failure::malformed(format!("the body is not JSON: {message}"))
    })?;
    let name = row.handler.takes.unwrap_or(NOTHING);
    // Some clients write `null` where there is nothing to say.
    if !bodies().contains_key(name) || (name == NOTHING && body.is_null()) {
        return Ok(());
    }
    fitted(bodies(), name, &body).map(|_| ()).map_err(misfits)
}

/// Whether the asker may call the row with these parameters.
pub fn check(
    row: &Row,
    params: &[String],
    rights: &policies::rights::Rights,
    known: &Known,
) -> Result<(), Failure> {
    let forbidden = Failure::Forbidden { permission: row.permission.word() };
    match row.handler.place {
        Place::Org => match rights.allow(row.permission, Reach::Org) {
            true => Ok(()),
            false => Err(forbidden),
        },
        Place::Somewhere => match rights.allow_somewhere(row.permission) {
            true => Ok(()),
            false => Err(forbidden),
        },
        Place::Object(kind, at) => {
            let id = params.get(at).and_then(|text| kind.parse_id(text).ok());
            let objects = &known.settings.objects;
            let object = objects
                .iter()
                .find(|it| Some(it.id) == id && it.document.kind() == kind)
                .ok_or(Failure::NotFound)?;
            let reach = authority::reach(&object.document, objects);
            if rights.allow(row.permission, reach) {
                return Ok(());
            }
            match rights.allow(authority::to_read(kind), reach) {
                true => Err(forbidden),
                false => Err(Failure::NotFound),
            }
        }
    }
}

async fn read<B>(body: B, bytes_max: usize) -> Result<Bytes, Failure>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if bytes_max == table::NO_BODY {
        return Ok(Bytes::new());
    }
    let whole = Limited::new(body, bytes_max).collect().await;
    whole.map(http_body_util::Collected::to_bytes).map_err(|fault| {
        match fault.is::<http_body_util::LengthLimitError>() {
            true => Failure::TooLarge { bytes_max },
            false => Failure::malformed("the body ended before its end"),
        }
    })
}

/// A segment of a path with its escapes resolved; one that cannot be stays as it is.
fn decoded(segment: &str) -> String {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        match (byte, digit(ahead.next()), digit(ahead.next())) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high << 4 | low).unwrap_or_default());
                rest = ahead;
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| segment.to_owned())
}

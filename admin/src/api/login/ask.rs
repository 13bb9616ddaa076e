//! Bodies that come from a page's form as well as from programs.

use crate::{context::Context, failure::Failure};
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Who is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// With a page, or the way to one.
    Browser,
    /// With JSON.
    Program,
}

/// The fields of a form or of a JSON object, both strictly. What is left empty in a form is not
/// there. No text of the body is in a failure: it may hold a password.
pub(crate) fn read<T: DeserializeOwned>(context: &Context) -> Result<(T, Asker), Failure> {
    let kind = context.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let (fields, asker) = match kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        true => {
            let pairs = url::form_urlencoded::parse(&context.body).into_owned();
            let filled = pairs.filter(|(_, value)| !value.is_empty());
            let fields = filled.map(|(name, value)| (name, Value::String(value)));
            (fields.collect::<Map<_, _>>(), Asker::Browser)
        }
        false => {
            let fields = serde_json::from_slice(&context.body);
            let fields = fields.map_err(|_| Failure::malformed("the body is no JSON object"))?;
            (fields, Asker::Program)
        }
    };
    let read = serde_json::from_value(Value::Object(fields));
    let read = read.map_err(|_| Failure::invalid("", "a field is missing, unknown or no text"))?;
    Ok((read, asker))
}

/// Whether a page is wanted, rather than JSON.
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accepts.is_some_and(|accepts| accepts.contains("text/html"))
}

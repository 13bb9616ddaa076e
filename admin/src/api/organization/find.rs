//! Objects of the org that is asked about, by what a path or a document calls them.

use crate::{
    api::objects::shape::age,
    context::Context,
    failure::Failure,
    service::edit::{Draft, edit},
    services::Known,
};
use policies::{
    document::{Kind, NAME_CHARS_MAX, Object},
    time::Timestamp,
};
use std::sync::Arc;
use store::clock;

/// Seconds from now at which a credential may end, at most: ten years.
const EXPIRY_SECS_MAX: i64 = 10 * 365 * 24 * 60 * 60;
/// Objects that would have the same name, at most.
const NAMESAKES_MAX: usize = 10_000;

/// The id at `at` among the path's parameters; one that is none leads nowhere.
pub(super) fn id(context: &Context, kind: Kind, at: usize) -> Result<[u8; 16], Failure> {
    kind.parse_id(context.param(at)).map_err(|_| Failure::NotFound)
}

/// The id of a kind in a field of a body.
pub(super) fn id_in(kind: Kind, field: &str, text: &str) -> Result<[u8; 16], Failure> {
    kind.parse_id(text).map_err(|fault| Failure::invalid(field, fault.to_string()))
}

pub(super) fn of_kind(objects: &[Object], kind: Kind) -> impl Iterator<Item = &Object> {
    objects.iter().filter(move |it| it.document.kind() == kind)
}

pub(super) fn by_id(objects: &[Object], kind: Kind, id: [u8; 16]) -> Result<&Object, Failure> {
    of_kind(objects, kind).find(|it| it.id == id).ok_or(Failure::NotFound)
}

pub(super) fn by_name<'a>(objects: &'a [Object], kind: Kind, name: &str) -> Option<&'a Object> {
    of_kind(objects, kind).find(|it| it.document.name() == name)
}

/// The id as clients know it.
pub(super) fn id_text(object: &Object) -> String {
    object.document.kind().id_text(object.id)
}

/// When it was made, in Unix seconds.
pub(super) fn made_at(object: &Object) -> i64 {
    age(object.id).seconds()
}

/// A moment of a document in Unix seconds.
pub(super) fn unix(text: Option<&str>) -> Option<i64> {
    Some(Timestamp::parse(text?)?.seconds())
}

/// The moment so many seconds from now.
pub(super) fn expiry(seconds: Option<i64>) -> Result<Option<Timestamp>, Failure> {
    let Some(seconds) = seconds else { return Ok(None) };
    if !(1..=EXPIRY_SECS_MAX).contains(&seconds) {
        let message = format!("must be 1 to {EXPIRY_SECS_MAX}");
        return Err(Failure::invalid("expires_in_seconds", message));
    }
    Ok(Some(clock::now().plus_millis(seconds.saturating_mul(1000))))
}

/// `wanted`, or with a number behind it if another has that name.
pub(super) fn free_name(draft: &Draft, kind: Kind, wanted: &str) -> Result<String, Failure> {
    let short: String = wanted.chars().take(NAME_CHARS_MAX.saturating_sub(6)).collect();
    let numbered = (2..=NAMESAKES_MAX).map(|number| format!("{short} {number}"));
    let mut names = [wanted.to_owned()].into_iter().chain(numbered);
    let free = names.find(|name| draft.by_name(kind, name).is_none());
    free.ok_or_else(|| Failure::Taken { what: format!("the name `{wanted}`") })
}

/// Changes the org in the asker's name; what the change gives back.
pub(super) async fn carry_out<T>(
    context: &Context,
    change: impl Fn(&mut Draft) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let editor = context.editor()?;
    Ok(edit(&context.services, &editor, change).await?.value)
}

/// The org as it is after a change of this request.
pub(super) async fn anew(context: &Context) -> Result<Arc<Known>, Failure> {
    context.services.org(&context.org()?).await?.ok_or(Failure::NotFound)
}

/// Fields that OpenAI has and Penstock has not: a request that sets one is not carried out in part.
pub(super) fn absent(fields: &[(&str, bool)]) -> Result<(), Failure> {
    match fields.iter().find(|(_, is_set)| *is_set) {
        Some((field, _)) => Err(Failure::invalid(field, "Penstock does not have this")),
        None => Ok(()),
    }
}

/// A key by its first and its last characters; those of an older one are not known.
pub(super) fn redacted(prefix: &str, tail: Option<&str>) -> String {
    format!("{prefix}***{}", tail.unwrap_or_default())
}

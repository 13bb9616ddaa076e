//! What keys can do beside being objects: a new secret, with a time of grace for the old one.

use super::{answer, id, object};
use crate::{
    context::Context,
    failure::Failure,
    service::{apply::secret_of, edit::edit},
    table::{Build, Place, Row, row},
};
use axum::{http::StatusCode, response::Response};
use policies::{
    document::{Document, Kind, Previous},
    key::{admin_key_text, key_text, tail},
    permission::Permission,
    route::Method,
};
use serde::Deserialize;
use store::clock;

/// Minutes for which the old secret stays good, at most: 30 days.
const GRACE_MINUTES_MAX: i64 = 30 * 24 * 60;

pub const ROWS: &[Row] = &[
    Build(row(Method::Post, "/admin/v1/keys/{id}/rotate", Permission::WriteKeys, |context| {
        Box::pin(rotate(context, Kind::Key))
    }))
    .at(Place::Object(Kind::Key, 0))
    .says("Give a key a new secret; the old one stays good for `grace_minutes`")
    .takes("Rotation")
    .gives(200, Some("KeyObject"))
    .0,
    Build(row(
        Method::Post,
        "/admin/v1/admin_keys/{id}/rotate",
        Permission::WriteAdminKeys,
        |context| Box::pin(rotate(context, Kind::AdminKey)),
    ))
    .at(Place::Object(Kind::AdminKey, 0))
    .says("Give an admin key a new secret; the old one ends at once")
    .takes("Rotation")
    .gives(200, Some("AdminKeyObject"))
    .0,
    Build(row(Method::Post, "/admin/v1/keys/{id}/end-grace", Permission::WriteKeys, |context| {
        Box::pin(end_grace(context))
    }))
    .at(Place::Object(Kind::Key, 0))
    .says("End the grace of a key's old secret now; without one, nothing changes")
    .gives(200, Some("KeyObject"))
    .0,
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotation {
    /// 0: the old secret ends at once.
    #[serde(default)]
    grace_minutes: i64,
}

async fn rotate(context: Context, kind: Kind) -> Result<Response, Failure> {
    let Rotation { grace_minutes } = context.read()?;
    let most = if kind == Kind::Key { GRACE_MINUTES_MAX } else { 0 };
    if !(0..=most).contains(&grace_minutes) {
        return Err(Failure::invalid("grace_minutes", format!("must be 0 to {most}")));
    }
    let id = id(&context, kind)?;
    let (secret, hash) = secret_of(if kind == Kind::Key { key_text } else { admin_key_text })?;
    let until = clock::now().plus_millis(grace_minutes.saturating_mul(60_000)).rfc3339();
    let mut editor = context.editor()?;
    editor.act.action = format!("{}.rotated", kind.word().replace(' ', "_"));
    let edited = edit(&context.services, &editor, |draft| {
        draft.update(kind, &id, |document| {
            if let Document::Key(key) = document {
                let old = key.sha256.take().filter(|_| 0 < grace_minutes);
                key.previous = old.map(|sha256| Previous { sha256, until: until.clone() });
            }
            set_secret(document, &secret, &hash);
            Ok(())
        })?;
        object(draft, kind, id)
    });
    Ok(answer(StatusCode::OK, &edited.await?.value, Some(secret)))
}

/// The old secret is refused from now on; the new one stays as it is.
async fn end_grace(context: Context) -> Result<Response, Failure> {
    let id = id(&context, Kind::Key)?;
    let mut editor = context.editor()?;
    editor.act.action = "key.grace_ended".to_owned();
    let edited = edit(&context.services, &editor, |draft| {
        draft.update(Kind::Key, &id, |document| {
            if let Document::Key(key) = document {
                key.previous = None;
            }
            Ok(())
        })?;
        object(draft, Kind::Key, id)
    });
    Ok(answer(StatusCode::OK, &edited.await?.value, None))
}

/// Writes what is kept of a new secret into a key of either kind: its hash, and how it ends.
pub(super) fn set_secret(document: &mut Document, secret: &str, hash: &str) {
    if let Document::Key(key) = document {
        (key.sha256, key.tail) = (Some(hash.to_owned()), tail(secret));
    } else if let Document::AdminKey(key) = document {
        (key.sha256, key.tail) = (Some(hash.to_owned()), tail(secret));
    }
}

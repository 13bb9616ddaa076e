//! `/admin/v1/...`: every kind of object as a resource, read and changed in one way.
//!
//! Bodies are the documents of `penstock apply`, without `apiVersion`, `kind` and `org`. PATCH is a
//! JSON Merge Patch (RFC 7396). `ETag` and `If-Match` are as in RFC 9110, section 13.

mod keys;
pub(crate) mod shape;

pub use self::keys::ROWS as KEY_ROWS;

use self::shape::{document, etag, view};
use crate::{
    context::{Context, empty, json},
    failure::Failure,
    service::{
        apply::secret_of,
        edit::{Draft, edit},
    },
    table::{Build, Place, Row, row},
};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use policies::{
    authority,
    document::{Kind, Object},
    key::{admin_key_text, key_text},
    route::Method,
};
use serde_json::{Value, json};

/// Objects of a page.
const PAGE_DEFAULT: u32 = 100;
const PAGE_MAX: u32 = 1_000;

macro_rules! resources {
    ($($kind:ident $path:literal,)*) => {
        pub const ROWS: &[Row] = &[
            $(
                Build(row(
                    Method::Get,
                    concat!("/admin/v1/", $path),
                    authority::to_read(Kind::$kind),
                    |context| Box::pin(async move { list(&context, Kind::$kind) }),
                ))
                .at(Place::Somewhere)
                .says(concat!("List ", $path))
                .gives(200, Some("Page"))
                .query(&["limit", "after", "name", "project"])
                .0,
                Build(row(
                    Method::Post,
                    concat!("/admin/v1/", $path),
                    authority::to_write(Kind::$kind),
                    |context| Box::pin(create(context, Kind::$kind)),
                ))
                .at(Place::Somewhere)
                .says(concat!("Make one of ", $path))
                .takes(stringify!($kind))
                .gives(201, Some(concat!(stringify!($kind), "Object")))
                .0,
                Build(row(
                    Method::Get,
                    concat!("/admin/v1/", $path, "/{id}"),
                    authority::to_read(Kind::$kind),
                    |context| Box::pin(async move { get(&context, Kind::$kind) }),
                ))
                .at(Place::Object(Kind::$kind, 0))
                .says(concat!("Read one of ", $path))
                .gives(200, Some(concat!(stringify!($kind), "Object")))
                .0,
                Build(row(
                    Method::Patch,
                    concat!("/admin/v1/", $path, "/{id}"),
                    authority::to_write(Kind::$kind),
                    |context| Box::pin(patch(context, Kind::$kind)),
                ))
                .at(Place::Object(Kind::$kind, 0))
                .says(concat!("Change one of ", $path, " (JSON Merge Patch)"))
                .takes(stringify!($kind))
                .gives(200, Some(concat!(stringify!($kind), "Object")))
                .0,
                Build(row(
                    Method::Delete,
                    concat!("/admin/v1/", $path, "/{id}"),
                    authority::to_write(Kind::$kind),
                    |context| Box::pin(remove(context, Kind::$kind)),
                ))
                .at(Place::Object(Kind::$kind, 0))
                .says(concat!("Remove one of ", $path))
                .gives(204, None)
                .0,
            )*
        ];

        /// The word of a kind in paths.
        pub const fn path(kind: Kind) -> Option<&'static str> {
            match kind {
                $(Kind::$kind => Some($path),)*
                Kind::Org | Kind::LimitRequest => None,
            }
        }
    };
}

resources! {
    Role "roles",
    IdentityProvider "identity_providers",
    Unit "units",
    Project "projects",
    User "users",
    Group "groups",
    Invite "invites",
    ServiceAccount "service_accounts",
    WorkloadIdentity "workload_identities",
    Key "keys",
    AdminKey "admin_keys",
    Provider "providers",
    Deployment "deployments",
    Tier "tiers",
    Model "models",
    Price "prices",
    Limit "limits",
    Budget "budgets",
    Policy "policies",
}

fn list(context: &Context, kind: Kind) -> Result<Response, Failure> {
    let (who, known) = (context.who()?, context.known()?);
    let limit = context.number("limit", PAGE_DEFAULT, PAGE_MAX)?;
    let after = context.query("after").map(|text| kind.parse_id(text));
    let after = after.transpose().map_err(|fault| Failure::invalid("after", fault.to_string()))?;
    let objects = &known.settings.objects;
    let named = |it: &&Object| context.query("name").is_none_or(|name| it.document.name() == name);
    let project = context.query("project");
    let of_project = |it: &&Object| {
        let reach = || authority::reach(&it.document, objects);
        project.is_none_or(|wanted| shape::is_project(reach(), wanted, objects))
    };
    let permission = authority::to_read(kind);
    let seen = |it: &&Object| who.rights.allow(permission, authority::reach(&it.document, objects));
    let mut found: Vec<&Object> = objects
        .iter()
        .filter(|it| it.document.kind() == kind)
        .filter(named)
        .filter(of_project)
        .filter(seen)
        .collect();
    // Ids are ordered by age, so that a page goes on where the last one ended whatever was renamed.
    found.sort_by_key(|it| it.id);
    let mut page: Vec<&Object> =
        found.into_iter().filter(|it| after.is_none_or(|after| after < it.id)).collect();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = limit < page.len();
    page.truncate(limit);
    let last = page.last().map(|it| kind.id_text(it.id));
    let body = json!({
        "object": "list",
        "data": page.iter().map(|it| view(it)).collect::<Vec<_>>(),
        "has_more": has_more,
        "next": if has_more { last } else { None },
    });
    Ok(json(StatusCode::OK, &body))
}

fn get(context: &Context, kind: Kind) -> Result<Response, Failure> {
    let objects = &context.known()?.settings.objects;
    let id = id(context, kind)?;
    let object = objects.iter().find(|it| it.id == id && it.document.kind() == kind);
    Ok(answer(StatusCode::OK, object.ok_or(Failure::NotFound)?, None))
}

async fn create(context: Context, kind: Kind) -> Result<Response, Failure> {
    let body = context.json()?;
    let org = context.known()?.authority.name.clone();
    let written = document(kind, &org, body)?;
    let editor = context.editor()?;
    let secret = if kind == Kind::Key {
        Some(secret_of(key_text)?)
    } else if kind == Kind::AdminKey {
        Some(secret_of(admin_key_text)?)
    } else {
        None
    };
    let edited = edit(&context.services, &editor, |draft| {
        let mut written = written.clone();
        if let Some((secret, hash)) = &secret {
            keys::set_secret(&mut written, secret, hash);
        }
        let id = draft.insert(written)?;
        object(draft, kind, id)
    });
    let object = saved(&context, edited.await?.value).await?;
    let mut answer = answer(StatusCode::CREATED, &object, secret.map(|(secret, _)| secret));
    let place = path(kind).map(|path| format!("/admin/v1/{path}/{}", kind.id_text(object.id)));
    if let Some(Ok(place)) = place.map(|place| HeaderValue::from_str(&place)) {
        answer.headers_mut().insert(header::LOCATION, place);
    }
    Ok(answer)
}

async fn patch(context: Context, kind: Kind) -> Result<Response, Failure> {
    let (id, patch) = (id(&context, kind)?, context.json()?);
    let Value::Object(_) = &patch else {
        return Err(Failure::malformed("a JSON Merge Patch of an object is an object"));
    };
    let org = context.known()?.authority.name.clone();
    let editor = context.editor()?;
    let edited = edit(&context.services, &editor, |draft| {
        let stored = object(draft, kind, id)?;
        must_match(&context, &stored)?;
        let mut whole = shape::body(&stored.document);
        shape::merge(&mut whole, &patch);
        let mut written = document(kind, &org, whole)?;
        written.keep_secrets_of(&stored.document);
        draft.replace(&id, written)?;
        object(draft, kind, id)
    });
    let object = saved(&context, edited.await?.value).await?;
    Ok(answer(StatusCode::OK, &object, None))
}

/// The object as it was saved: the change may have been confined on its way.
async fn saved(context: &Context, written: Object) -> Result<Object, Failure> {
    let known = context.services.org(&context.org()?).await?.ok_or(Failure::NotFound)?;
    let found = known.settings.objects.iter().find(|it| it.id == written.id);
    // Somebody may have removed it already.
    Ok(found.cloned().unwrap_or(written))
}

async fn remove(context: Context, kind: Kind) -> Result<Response, Failure> {
    let id = id(&context, kind)?;
    let editor = context.editor()?;
    let edited = edit(&context.services, &editor, |draft| {
        must_match(&context, &object(draft, kind, id)?)?;
        draft.remove(kind, &id)
    });
    edited.await?;
    Ok(empty())
}

/// The id in the path.
fn id(context: &Context, kind: Kind) -> Result<[u8; 16], Failure> {
    kind.parse_id(context.param(0)).map_err(|_| Failure::NotFound)
}

fn object(draft: &Draft, kind: Kind, id: [u8; 16]) -> Result<Object, Failure> {
    Ok(Object { id, document: draft.get(kind, &id)?.clone() })
}

/// `If-Match` (RFC 9110, section 13.1.1).
fn must_match(context: &Context, stored: &Object) -> Result<(), Failure> {
    let Some(wanted) = context.headers.get(header::IF_MATCH) else { return Ok(()) };
    let wanted = wanted.to_str().unwrap_or_default();
    let now = etag(&stored.document);
    let matches = wanted.trim() == "*" || wanted.split(',').any(|tag| tag.trim() == now);
    if matches { Ok(()) } else { Err(Failure::Stale) }
}

/// An object, with the secret that is shown once.
fn answer(status: StatusCode, object: &Object, secret: Option<String>) -> Response {
    let mut body = view(object);
    if let (Some(secret), Some(fields)) = (secret, body.as_object_mut()) {
        fields.insert("secret".to_owned(), Value::String(secret));
    }
    let mut answer = json(status, &body);
    if let Ok(tag) = HeaderValue::from_str(&etag(&object.document)) {
        answer.headers_mut().insert(header::ETAG, tag);
    }
    answer
}

//! Sessions of the console: one's own, and those of somebody who must be put out.

use crate::{
    context::{Context, Proof, empty, json, target},
    failure::Failure,
    gate::who::SESSION_IDLE_MILLIS,
    service::{
        apply::fingerprint_of,
        edit::{Editor, edit},
    },
    table::{Build, Place, Row, row},
};
use axum::{http::StatusCode, response::Response};
use policies::{
    document::{Document, Kind},
    ids::{OrgId, UserId},
    permission::Permission,
    route::Method,
};
use serde_json::json;
use store::clock;

/// Hexadecimal digits of a session's id.
const SESSION_ID_CHARS: usize = 32;

pub const ROWS: &[Row] = &[
    Build(row(Method::Get, "/admin/v1/sessions", Permission::Myself, |context| {
        Box::pin(async move {
            let (org, user) = own(&context)?;
            list(&context, org, user).await
        })
    }))
    .at(Place::Somewhere)
    .says("List your own sessions")
    .gives(200, Some("Page"))
    .0,
    Build(row(Method::Delete, "/admin/v1/sessions", Permission::Myself, |context| {
        Box::pin(async move {
            let (org, user) = own(&context)?;
            end(&context, org, user).await
        })
    }))
    .at(Place::Somewhere)
    .says("End all of your own sessions")
    .gives(204, None)
    .0,
    Build(row(Method::Delete, "/admin/v1/sessions/{session}", Permission::Myself, |context| {
        Box::pin(async move {
            let (org, user) = own(&context)?;
            end_one(&context, org, user, 0).await
        })
    }))
    .at(Place::Somewhere)
    .says("End one of your own sessions")
    .gives(204, None)
    .0,
    Build(row(
        Method::Get,
        "/admin/v1/users/{id}/sessions",
        Permission::RevokeSessions,
        |context| {
            Box::pin(async move {
                let (org, user) = (context.org()?, user(&context)?);
                list(&context, org, user).await
            })
        },
    ))
    .at(Place::Object(Kind::User, 0))
    .says("List a user's sessions")
    .gives(200, Some("Page"))
    .0,
    Build(row(
        Method::Delete,
        "/admin/v1/users/{id}/sessions",
        Permission::RevokeSessions,
        |context| {
            Box::pin(async move {
                let (org, user) = (context.org()?, user(&context)?);
                end(&context, org, user).await
            })
        },
    ))
    .at(Place::Object(Kind::User, 0))
    .says("End all of a user's sessions")
    .gives(204, None)
    .0,
    Build(row(
        Method::Delete,
        "/admin/v1/users/{id}/sessions/{session}",
        Permission::RevokeSessions,
        |context| {
            Box::pin(async move {
                let (org, user) = (context.org()?, user(&context)?);
                end_one(&context, org, user, 1).await
            })
        },
    ))
    .at(Place::Object(Kind::User, 0))
    .says("End one of a user's sessions")
    .gives(204, None)
    .0,
    Build(row(
        Method::Post,
        "/admin/v1/users/{id}/revoke",
        Permission::RevokeSessions,
        |context| Box::pin(revoke(context)),
    ))
    .at(Place::Object(Kind::User, 0))
    .says("End all of a user's sessions, and refuse every credential fetched before now")
    .gives(204, None)
    .0,
];

fn own(context: &Context) -> Result<(OrgId, UserId), Failure> {
    let who = context.who()?;
    // A machine has no sessions.
    Ok((who.home, who.user().ok_or(Failure::NotFound)?))
}

/// The user in the path. The gate has found it in the org.
fn user(context: &Context) -> Result<UserId, Failure> {
    let id = Kind::User.parse_id(context.param(0)).map_err(|_| Failure::NotFound)?;
    Ok(UserId::from_bytes(id))
}

async fn list(context: &Context, org: OrgId, user: UserId) -> Result<Response, Failure> {
    let now = clock::now();
    let found = context.services.store.sessions_of(&org, &user).await?;
    let open = found.iter().filter(|(_, session)| {
        now < session.expires && now < session.seen.plus_millis(SESSION_IDLE_MILLIS)
    });
    let mine =
        if let Proof::Session(_, sha256) = context.who()?.proof { Some(sha256) } else { None };
    let data = open.map(|(sha256, session)| {
        json!({
            "object": "session",
            "id": session_id(sha256),
            "current": mine.as_ref() == Some(sha256),
            "created_at": session.created.rfc3339(),
            "last_used_at": session.seen.rfc3339(),
            "expires_at": session.expires.rfc3339(),
            "address": session.address,
            "how": session.how,
        })
    });
    let data: Vec<_> = data.collect();
    let body = json!({ "object": "list", "data": data, "has_more": false, "next": null });
    Ok(json(StatusCode::OK, &body))
}

async fn end(context: &Context, org: OrgId, user: UserId) -> Result<Response, Failure> {
    let mut act = context.act("sessions.ended");
    act.target = Some(target("user", user.to_string(), &name_of(context, org, user).await?));
    context.services.store.append(&org, vec![act]).await?;
    context.services.store.close_sessions_of(&org, &user).await?;
    Ok(empty())
}

/// What a session is called: it follows from the hash of its token, and leads back to neither.
fn session_id(sha256: &[u8; 32]) -> String {
    let hash = hex::encode(fingerprint_of(sha256));
    format!("sess_{}", hash.get(..SESSION_ID_CHARS).unwrap_or(&hash))
}

async fn end_one(
    context: &Context,
    org: OrgId,
    user: UserId,
    at: usize,
) -> Result<Response, Failure> {
    let store = &context.services.store;
    let wanted = context.param(at);
    let found = store.sessions_of(&org, &user).await?;
    let found = found.iter().find(|(sha256, _)| session_id(sha256) == wanted);
    let (sha256, _) = found.ok_or(Failure::NotFound)?;
    let mut act = context.act("session.ended");
    act.target = Some(target("session", wanted.to_owned(), &name_of(context, org, user).await?));
    store.append(&org, vec![act]).await?;
    store.close_session(&org, sha256).await?;
    Ok(empty())
}

async fn name_of(context: &Context, org: OrgId, user: UserId) -> Result<String, Failure> {
    let known = context.services.org(&org).await?.ok_or(Failure::NotFound)?;
    let person = known.authority.users.get(&user);
    Ok(person.map(|person| person.name.clone()).unwrap_or_default())
}

/// The gate has judged it: whoever may end sessions need not be allowed to change users. First the
/// document, which may be refused: sessions are not ended by a request that fails.
async fn revoke(context: Context) -> Result<Response, Failure> {
    let (org, user) = (context.org()?, user(&context)?);
    let now = clock::now().rfc3339();
    let editor = Editor::system(org, context.act("user.credentials_revoked"));
    let edited = edit(&context.services, &editor, |draft| {
        draft.update(Kind::User, user.as_bytes(), |document| {
            if let Document::User(user) = document {
                user.credentials_from = Some(now.clone());
            }
            Ok(())
        })
    });
    edited.await?;
    end(&context, org, user).await
}

//! Sessions: opened with a new token each time, known by its hash alone.

use super::{act, secret};
use crate::{
    context::{Context, target},
    failure::Failure,
    gate::who::cookie,
    service::apply::fingerprint,
    services::Known,
};
use axum::http::HeaderValue;
use policies::{
    document::{Document, Identity},
    ids::{OrgId, UserId},
    time::Timestamp,
};
use store::{
    audit::{Actor, ActorKind},
    clock,
    session::{Session, Vouched},
};

/// How somebody came in for whom no provider vouches.
const BY_PASSWORD: [&str; 2] = ["local", "setup"];
const HOUR_MILLIS: i64 = 60 * 60 * 1000;

/// Somebody who proved who they are.
#[derive(Clone, Debug)]
pub struct Proven {
    pub org: OrgId,
    pub user: UserId,
    /// The user's name.
    pub name: String,
    /// `local`, `setup`, or `oidc:` and the provider's name.
    pub how: String,
    /// Whose word it was; none: a password of ours.
    pub vouched: Option<Vouched>,
}

/// A session that was opened.
pub struct Opened {
    pub cookie: HeaderValue,
    pub expires: Timestamp,
}

/// Opens a session, and ends the one that the browser had: no token outlives a sign-in.
///
/// # Errors
/// [`Failure::Unavailable`]; without its row in the audit log there is no session.
pub async fn open(context: &Context, proven: &Proven) -> Result<Opened, Failure> {
    close(context).await?;
    let services = &context.services;
    let id = proven.user.to_string();
    let actor = Actor { kind: ActorKind::User, id: id.clone(), name: proven.name.clone() };
    let mut row = act(context, "login.succeeded", actor);
    row.target = Some(target("user", id, &proven.name));
    row.reason = Some(proven.how.clone());
    services.store.append(&proven.org, vec![row]).await?;
    let now = clock::now();
    let hours = i64::from(services.sign_in.session_hours);
    let expires = now.plus_millis(hours.saturating_mul(HOUR_MILLIS));
    let session = Session {
        org: proven.org,
        user: proven.user,
        created: now,
        seen: now,
        expires,
        address: Some(context.address.to_string()),
        how: proven.how.clone(),
        vouched: proven.vouched.clone(),
        // An ID token is a credential where providers' tokens may call models: none is kept.
        id_token_hint: None,
    };
    let token = secret()?;
    services.store.open_session(&fingerprint(&token), &session).await?;
    let url = &services.sign_in.public_url;
    let line = url.set_cookie(url.session_cookie(), &token, None);
    let cookie = HeaderValue::from_str(&line).map_err(|_| Failure::Unavailable)?;
    Ok(Opened { cookie, expires })
}

/// Whether what the session stands on is still there: the provider that told who the user is, and
/// the identity that it told; or that the org lets people in by a password.
pub fn still_stands(session: &Session, known: &Known) -> bool {
    let objects = &known.settings.objects;
    let Some(Vouched { provider, issuer, subject }) = &session.vouched else {
        return known.authority.local_login && BY_PASSWORD.contains(&session.how.as_str());
    };
    let vouches = objects.iter().any(|object| {
        let Document::IdentityProvider(it) = &object.document else { return false };
        object.id == *provider.as_bytes() && it.active && it.sign_in && it.issuer == *issuer
    });
    vouches
        && objects.iter().any(|object| {
            let Document::User(user) = &object.document else { return false };
            let is_theirs = |it: &Identity| it.issuer == *issuer && it.subject == *subject;
            object.id == *session.user.as_bytes() && user.identities.iter().any(is_theirs)
        })
}

/// Ends the session of the request's cookie, if there is one.
///
/// # Errors
/// [`Failure::Unavailable`].
pub async fn close(context: &Context) -> Result<Option<Session>, Failure> {
    let services = &context.services;
    let name = services.sign_in.public_url.session_cookie();
    let Some(token) = cookie(&context.headers, name) else { return Ok(None) };
    let sha256 = fingerprint(token);
    let Some(session) = services.store.session(&sha256).await? else { return Ok(None) };
    services.store.close_session(&session.org, &sha256).await?;
    Ok(Some(session))
}

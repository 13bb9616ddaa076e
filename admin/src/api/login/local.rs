//! Signing in with a password of ours, for the first administrators and for when all else fails.

use super::{ask, must_be_ours, page, welcome};
use crate::{
    context::{Context, Proof, empty},
    failure::Failure,
    gate::who::org_named,
    service::{
        apply::fingerprint,
        edit::{Editor, edit},
        people::same_address,
        sign_in::{
            self,
            password::{Password, must_be_strong},
            session::{self, Opened, Proven},
        },
    },
    services::Known,
};
use axum::{http::header, response::Response};
use policies::{
    authority::{self, INSTALLATION},
    document::{Document, Kind, User},
    ids::UserId,
};
use serde::Deserialize;
use std::sync::Arc;
use store::{clock, seal::Secret, session::Session};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    /// None: the installation itself.
    org: Option<String>,
    email: String,
    password: String,
    return_to: Option<String>,
}

pub(super) async fn sign_in(context: Context) -> Result<Response, Failure> {
    must_be_ours(&context)?;
    let (Ask { org, email, password, return_to }, asker) = ask::read(&context)?;
    let to = return_to.as_deref().unwrap_or("/");
    let opened = enter(&context, org.as_deref(), &email, Secret::new(password)).await;
    match (opened, asker) {
        (Ok(opened), asker) => Ok(welcome(&context, asker, &opened, to)),
        (Err(failure), ask::Asker::Program) => Err(failure),
        (Err(failure), ask::Asker::Browser) => {
            let known = match &org {
                Some(org) => org_named(&context.services, org).await?,
                None => None,
            };
            let offer = super::offer(&context, org, known.as_ref());
            let offer =
                page::Offer { return_to: to.to_owned(), email: Some(email.clone()), ..offer };
            Ok(page::login(&context, &offer, Some(&failure)))
        }
    }
}

async fn enter(
    context: &Context,
    org: Option<&str>,
    email: &str,
    password: Password,
) -> Result<Opened, Failure> {
    let services = &context.services;
    let called = format!("{}\n{}", org.unwrap_or_default(), email.trim().to_ascii_lowercase());
    let throttle = &services.sign_in.throttle;
    let attempt = throttle.begin(fingerprint(&called), context.address, clock::now());
    let attempt = attempt.map_err(|retry_secs| Failure::TooMany { retry_secs })?;
    let known = match org {
        Some(name) => org_named(services, name).await?,
        None => services.org(&INSTALLATION).await?,
    };
    let found = known.as_deref().and_then(|known| find(known, email));
    let stored = found.as_ref().and_then(|(_, user)| user.password.clone());
    let right = services.sign_in.passwords.check(password, stored).await?;
    let reason = match (&known, &found) {
        (None, _) => Some("there is no such org"),
        (Some(known), _) if !known.authority.local_login => Some("local sign-in is off"),
        (Some(known), _) if !is_open(known, context) => Some("not from here"),
        (_, None) => Some("there is no such user with a password"),
        (_, Some((_, user))) if !user.active => Some("the user is inactive"),
        (_, Some(_)) if !right => Some("the password is wrong"),
        (_, Some(_)) => None,
    };
    match (reason, known, found) {
        (None, Some(known), Some((user, document))) => {
            attempt.succeeded();
            let (org, name) = (known.settings.org, document.name);
            let how = "local".to_owned();
            session::open(context, &Proven { org, user, name, how, vouched: None }).await
        }
        (reason, known, _) => {
            let org = known.map_or(INSTALLATION, |known| known.settings.org);
            let reason = reason.unwrap_or("nobody was found");
            Err(sign_in::failed(context, &org, email, reason).await?)
        }
    }
}

/// The one user with a password who has this address.
fn find(known: &Known, email: &str) -> Option<(UserId, User)> {
    let mut users = known.settings.objects.iter().filter_map(|object| {
        let Document::User(user) = &object.document else { return None };
        user.password.is_some().then_some((object.id, user))
    });
    let has = |user: &User| user.email.as_deref().is_some_and(|it| same_address(it, email));
    let found = users.find(|(_, user)| has(user))?;
    // Two of one address and both with a password: neither can be meant.
    match users.any(|(_, user)| has(user)) {
        true => None,
        false => Some((UserId::from_bytes(found.0), found.1.clone())),
    }
}

fn is_open(known: &Arc<Known>, context: &Context) -> bool {
    let authority = &known.authority;
    let active = authority.active || known.settings.org == INSTALLATION;
    active && authority::comes_from(&authority.sources, context.address)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    old: String,
    new: String,
}

/// Whoever is signed in may change the password by the old one; an admin key may not, because it
/// would then stand for more than itself.
pub(super) async fn change(context: Context) -> Result<Response, Failure> {
    let (Change { old, new }, _) = ask::read(&context)?;
    let (old, new) = (Secret::new(old), Secret::new(new));
    let who = context.who()?;
    let Proof::Session(user, sha256) = who.proof else {
        let what = "a password is changed by its own person, signed in".to_owned();
        return Err(Failure::Escalation { what });
    };
    must_be_strong("new", &new)?;
    let (home, name) = (who.home, who.name.clone());
    let services = &context.services;
    let known = services.org(&home).await?.ok_or(Failure::Unauthenticated)?;
    let stored = known.settings.objects.iter().find_map(|object| {
        let Document::User(it) = &object.document else { return None };
        if object.id == *user.as_bytes() { it.password.clone() } else { None }
    });
    let called = fingerprint(&user.to_string());
    let attempt = services.sign_in.throttle.begin(called, context.address, clock::now());
    let attempt = attempt.map_err(|retry_secs| Failure::TooMany { retry_secs })?;
    if !services.sign_in.passwords.check(old, stored).await? {
        return Err(Failure::invalid("old", "is not your password"));
    }
    attempt.succeeded();
    let hash = services.sign_in.passwords.hash(new).await?;
    let act = context.act("user.password_changed");
    let editor = Editor::system(home, act);
    let edited = edit(services, &editor, |draft| {
        draft.update(Kind::User, user.as_bytes(), |document| {
            if let Document::User(user) = document {
                user.password = Some(hash.clone());
            }
            Ok(())
        })
    });
    edited.await?;
    let session = services.store.session(&sha256).await?.ok_or(Failure::Unauthenticated)?;
    services.store.close_sessions_of(&home, &user).await?;
    // It stands on the same as before: a password may open none.
    let Session { how, vouched, .. } = session;
    let proven = Proven { org: home, user, name, how, vouched };
    let opened = session::open(&context, &proven).await?;
    let mut answer = empty();
    answer.headers_mut().append(header::SET_COOKIE, opened.cookie);
    Ok(answer)
}

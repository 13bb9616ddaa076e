//! Who asks: an admin key, or a console session.

use crate::{
    context::{Administrator, Proof},
    failure::Failure,
    service::{apply::fingerprint, sign_in::session::still_stands},
    services::{Known, Services},
};
use axum::http::{HeaderMap, header, request::Parts};
use policies::{
    authority::{self, INSTALLATION},
    ids::OrgId,
    key::{ADMIN_KEY_PREFIX, KEY_PREFIX, check_key_text},
    permission::Permission,
    rights::Rights,
    role::Role,
};
use std::{net::IpAddr, sync::Arc};
use store::{clock, session::Session};

/// The cookie of a console session, over TLS and without.
pub(crate) const COOKIES: [&str; 2] = ["__Host-penstock", "penstock"];
/// A session without a request for this long is over.
pub(crate) const SESSION_IDLE_MILLIS: i64 = 30 * 60 * 1000;
/// Orgs whose names an operator is told who has named none, at most.
const ORGS_TOLD_MAX: usize = 20;
/// The last use of a session is written down this often, at most.
const TOUCH_MILLIS: i64 = 60 * 1000;

/// The asker, and the org that is asked about.
pub(super) async fn identify(
    services: &Services,
    parts: &Parts,
    address: IpAddr,
) -> Result<(Administrator, Arc<Known>), Failure> {
    let headers = &parts.headers;
    let (failures, now) = (&services.sign_in.failures, clock::now());
    let bearer = bearer(headers)?;
    let session = cookie(headers, services.sign_in.public_url.session_cookie());
    if bearer.or(session).is_none() {
        return Err(Failure::Unauthenticated);
    }
    // Before the store is asked.
    if !failures.admits(address, now) {
        return Err(Failure::TooMany { retry_secs: 1 });
    }
    let found = match bearer {
        Some(secret) => by_key(services, secret, address).await,
        None => by_session(services, parts, address).await,
    };
    if let Err(Failure::Unauthenticated) = found {
        failures.note(address, now);
    }
    choose(services, headers, found?).await
}

struct Asker {
    home: Arc<Known>,
    proof: Proof,
    name: String,
    rights: Rights,
}

/// An operator names the org that is meant; everybody else has but one.
async fn choose(
    services: &Services,
    headers: &HeaderMap,
    asker: Asker,
) -> Result<(Administrator, Arc<Known>), Failure> {
    let Asker { home, proof, name, rights } = asker;
    let wanted = ["x-penstock-org", "openai-organization"];
    let wanted = wanted.iter().find_map(|name| headers.get(*name)?.to_str().ok());
    let home_id = home.settings.org;
    let org_is_open = wanted.is_none() && rights.org.has(Permission::Operate);
    let administrator =
        |org, rights| Administrator { org, home: home_id, org_is_open, proof, name, rights };
    let Some(wanted) = wanted else { return Ok((administrator(home_id, rights), home)) };
    let is_home = match wanted.parse::<OrgId>() {
        Ok(id) => id == home_id,
        Err(_) => home.authority.name == wanted,
    };
    if is_home {
        return Ok((administrator(home_id, rights), home));
    }
    if !rights.org.has(Permission::Operate) {
        return Err(Failure::NotFound);
    }
    let other = org_named(services, wanted).await?.ok_or(Failure::NotFound)?;
    let rights = Rights { org: Role::Operator.permissions(), ..Rights::default() };
    Ok((administrator(other.settings.org, rights), other))
}

/// What an operator is told who has named no org. Nobody else learns a name by it.
pub(super) async fn org_needed(services: &Services) -> Failure {
    let revisions = match services.store.revisions().await {
        Ok(revisions) => revisions,
        Err(fault) => return fault.into(),
    };
    let mut known = Vec::new();
    for (id, _) in revisions.iter().filter(|(id, _)| *id != INSTALLATION).take(ORGS_TOLD_MAX) {
        match services.org(id).await {
            Ok(org) => known.extend(org.map(|org| org.authority.name.clone())),
            Err(failure) => return failure,
        }
    }
    known.sort();
    Failure::OrgNeeded { known }
}

/// The org of this id or name.
pub(crate) async fn org_named(
    services: &Services,
    wanted: &str,
) -> Result<Option<Arc<Known>>, Failure> {
    if let Ok(id) = wanted.parse::<OrgId>() {
        return services.org(&id).await;
    }
    for (id, _) in services.store.revisions().await? {
        let known = services.org(&id).await?;
        if let Some(known) = known.filter(|known| known.authority.name == wanted) {
            return Ok(Some(known));
        }
    }
    Ok(None)
}

/// The one bearer token of the request, if there is any `authorization`.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Failure> {
    let mut values = headers.get_all(header::AUTHORIZATION).into_iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let secret = text.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    match (secret, values.next()) {
        (Some((_, secret)), None) => Ok(Some(secret.trim())),
        (_, _) => Err(Failure::Unauthenticated),
    }
}

async fn by_key(services: &Services, secret: &str, address: IpAddr) -> Result<Asker, Failure> {
    if secret.starts_with(KEY_PREFIX) {
        return Err(Failure::NotLetIn {
            detail: "this is a key of a project, for calling models; administration wants an \
                     admin key (`psa_..`)",
        });
    }
    if !secret.starts_with(ADMIN_KEY_PREFIX) || !check_key_text(secret) {
        return Err(Failure::Unauthenticated);
    }
    let sha256 = fingerprint(secret);
    let org = services.store.org_of_key(&sha256).await?.ok_or(Failure::Unauthenticated)?;
    let home = usable(services, &org, address).await?;
    let grant = home.authority.admin_keys.get(&sha256);
    let grant = grant.filter(|grant| {
        grant.is_usable(clock::now()) && authority::comes_from(&grant.sources, address)
    });
    let grant = grant.ok_or(Failure::Unauthenticated)?;
    let (proof, name) = (Proof::Key(grant.id, grant.owner), grant.name.clone());
    let rights = grant.rights.clone();
    services.note_use(&org, grant.id).await?;
    Ok(Asker { home, proof, name, rights })
}

async fn by_session(services: &Services, parts: &Parts, address: IpAddr) -> Result<Asker, Failure> {
    let name = services.sign_in.public_url.session_cookie();
    let token = cookie(&parts.headers, name).ok_or(Failure::Unauthenticated)?;
    if !is_same_site(parts) {
        return Err(Failure::FromElsewhere);
    }
    let sha256 = fingerprint(token);
    let session = services.store.session(&sha256).await?.ok_or(Failure::Unauthenticated)?;
    let now = clock::now();
    if session.expires <= now || session.seen.plus_millis(SESSION_IDLE_MILLIS) <= now {
        // It would be swept later; nobody needs it any more.
        let _ = services.store.close_session(&session.org, &sha256).await;
        return Err(Failure::Unauthenticated);
    }
    let home = usable(services, &session.org, address).await?;
    if !still_stands(&session, &home) {
        // Whoever sets the provider right again has nobody come back by it.
        let _ = services.store.close_session(&session.org, &sha256).await;
        return Err(Failure::Unauthenticated);
    }
    let person = home.authority.users.get(&session.user).filter(|person| person.active);
    let person = person.ok_or(Failure::Unauthenticated)?;
    let (name, rights) = (person.name.clone(), person.rights.clone());
    if session.seen.plus_millis(TOUCH_MILLIS) <= now {
        touch(services, &session, &sha256).await?;
    }
    Ok(Asker { home, proof: Proof::Session(session.user, sha256), name, rights })
}

async fn touch(services: &Services, session: &Session, sha256: &[u8; 32]) -> Result<(), Failure> {
    Ok(services.store.touch_session(&session.org, sha256, clock::now()).await?)
}

/// The org, if it is active and may be administered from `address`.
async fn usable(services: &Services, org: &OrgId, address: IpAddr) -> Result<Arc<Known>, Failure> {
    let known = services.org(org).await?.ok_or(Failure::Unauthenticated)?;
    let authority = &known.authority;
    let usable = authority.active || *org == INSTALLATION;
    if usable && authority::comes_from(&authority.sources, address) {
        return Ok(known);
    }
    Err(Failure::Unauthenticated)
}

/// The value of the first cookie of this name.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).into_iter();
    let mut pairs = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(';'));
    pairs.find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == wanted).then_some(value)
    })
}

/// A browser sends a session's cookie with whatever a page of another site asks for. Such requests
/// are told by `Sec-Fetch-Site` (Fetch Metadata) or by an `Origin` that is not our own (RFC 6454).
fn is_same_site(parts: &Parts) -> bool {
    if parts.method.is_safe() {
        return true;
    }
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    let host = text("host").or_else(|| parts.uri.authority().map(|it| it.as_str()));
    let origin = text("origin").and_then(|origin| origin.split_once("://"));
    match (origin, host) {
        (Some((_, origin)), Some(host)) => origin == host,
        _ => false,
    }
}

//! `POST /v1/penstock/token`: a token of somebody else's for a credential of ours (RFC 8693), and
//! `GET /v1/penstock/login`: what a command line needs to know to get such a token.

mod form;
mod workload;

use self::form::Form;
use super::{EdgeBody, json, problem};
use crate::{
    app::App,
    pipeline::identity::{Addressed, clients, expected, is_called},
    snapshot::Live,
};
use admin::{
    failure::Failure,
    identity::{
        credential::{Basis, Credential, Via},
        token::Unverified,
    },
    service::people::signed_in,
    services::Services,
};
use http::{HeaderValue, Response, StatusCode, header};
use policies::{
    authority::comes_from,
    document::Identity,
    ids::{OrgId, RequestId, UserId},
    tenant::{Issuer, Workload},
    time::Timestamp,
    usage::Principal,
};
use serde_json::{Value, json as object};
use std::{net::IpAddr, sync::Arc, time::Duration};
use store::audit::{Act, Actor, ActorKind, Outcome, Target};

/// Tokens of these types are taken (RFC 8693, section 3).
const TOKEN_TYPES: [&str; 2] =
    ["urn:ietf:params:oauth:token-type:id_token", "urn:ietf:params:oauth:token-type:jwt"];
const ISSUED_TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// Providers and rules with which one token is tried, at most.
const TRIES_MAX: usize = 64;
/// How long it may take until the person who was just made a user is known to requests.
const KNOWN_PATIENCE: Duration = Duration::from_secs(3);
const KNOWN_AGAIN: Duration = Duration::from_millis(20);

const MINUTE_MILLIS: i64 = 60_000;

/// Who asks, and how the request is called.
pub(super) struct Asker {
    pub(super) address: IpAddr,
    pub(super) request: RequestId,
    /// The org that a header names; the form may name it, too.
    pub(super) org: Option<String>,
}

/// Why no credential was given, in the words of RFC 6749, section 5.2.
#[derive(Debug)]
pub(super) enum Declined {
    /// The request itself cannot be used; what is wrong with it.
    Request(String),
    UnsupportedGrant,
    /// The token is not believed, or means nobody. Never says which.
    Token,
    /// Several orgs, or rules, take the token.
    Several,
    TooMany,
    Unavailable,
}

/// Whom a token was found to mean.
enum Meant {
    Person(Arc<Live>, Arc<Issuer>, serde_json::Map<String, Value>),
    Machine(Arc<Live>, Arc<Workload>),
}

pub(super) async fn exchange(
    app: &App,
    services: &Services,
    asker: &Asker,
    body: hyper::body::Incoming,
) -> Response<EdgeBody> {
    let exchanged = match form::read(body).await {
        Ok(form) => credential(app, services, asker, &form).await,
        Err(declined) => Err(declined),
    };
    let mut answer = match exchanged {
        Ok((token, seconds)) => {
            let body = object!({
                "access_token": token,
                "issued_token_type": ISSUED_TYPE,
                "token_type": "Bearer",
                "expires_in": seconds,
            });
            json(StatusCode::OK, body.to_string())
        }
        Err(declined) => declined.answer(),
    };
    let no_store = HeaderValue::from_static("no-store");
    answer.headers_mut().insert(header::CACHE_CONTROL, no_store);
    answer
}

/// The public settings with which people of an org sign in at a command line. An org without any
/// is as good as none.
pub(super) fn login(app: &App, query: Option<&str>) -> Response<EdgeBody> {
    let query = query.unwrap_or_default().as_bytes();
    let org = url::form_urlencoded::parse(query).find(|(name, _)| name == "org");
    let world = app.snapshot.current();
    let live = org.and_then(|(_, org)| {
        world.tenants().find(|live| live.tenant.active && is_called(live, &org)).cloned()
    });
    let found = live.as_ref().and_then(|live| {
        let providers = live.tenant.issuers.iter().map(|it| &it.settings);
        let mut usable = providers.filter(|it| it.sign_in).filter_map(|settings| {
            let client = settings.cli_client_id.as_ref().or(settings.client_id.as_ref())?;
            Some((settings, client))
        });
        usable.next()
    });
    let Some((settings, client)) = found else { return problem::no_route() };
    let mut scopes = vec!["openid"];
    scopes.extend(settings.scopes.iter().map(String::as_str).filter(|it| *it != "openid"));
    let body = object!({ "issuer": settings.issuer, "client_id": client, "scopes": scopes });
    json(StatusCode::OK, body.to_string())
}

async fn credential(
    app: &App,
    services: &Services,
    asker: &Asker,
    form: &Form,
) -> Result<(String, i64), Declined> {
    if form.one("grant_type")? != Some(GRANT_TYPE) {
        return Err(Declined::UnsupportedGrant);
    }
    let missing = |name: &str| Declined::Request(format!("`{name}` is missing"));
    let token = form.one("subject_token")?.ok_or_else(|| missing("subject_token"))?;
    let kind = form.one("subject_token_type")?.ok_or_else(|| missing("subject_token_type"))?;
    if !TOKEN_TYPES.contains(&kind) {
        return Err(Declined::Request("`subject_token_type` is none that is taken here".into()));
    }
    if form.one("actor_token")?.is_some() {
        return Err(Declined::Request("`actor_token` is not taken here".into()));
    }
    let (now, failures) = (app.purse.now(), &services.sign_in.failures);
    // Before a signature is looked at.
    if !failures.admits(asker.address, now) {
        return Err(Declined::TooMany);
    }
    let org = form.one("org")?.or(asker.org.as_deref());
    let meant = match meant(app, asker.address, token, org, now).await {
        // Whoever guesses is counted like at any other door.
        Err(declined @ (Declined::Token | Declined::Several)) => {
            failures.note(asker.address, now);
            let patient = app.doorman.failed(asker.address);
            Err(if patient { declined } else { Declined::TooMany })
        }
        other => other,
    }?;
    let credential = match meant {
        Meant::Machine(live, rule) => Credential {
            org: live.tenant.org,
            principal: Principal::ServiceAccount(rule.account),
            project: Some(rule.project),
            via: Via::Workload(rule.id),
            basis: Basis::of_rule(&rule.settings),
            issued: now,
            expires: now.plus_millis(i64::from(rule.settings.minutes) * MINUTE_MILLIS),
        },
        Meant::Person(live, provider, claims) => {
            let (org, hours) = (live.tenant.org, live.tenant.credential_hours);
            let act = act(asker, Principal::User(UserId::from_bytes([0; 16])), "");
            let act = Act { actor: anonymous(), target: None, ..act };
            let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
            let issuer = provider.settings.issuer.clone();
            let basis = Basis::of_person(&issuer, subject);
            let identity = Identity { issuer, subject: subject.to_owned() };
            let user = signed_in(services, &org, &provider.settings, &claims, act).await;
            let user = user.map_err(|failure| declined(&failure))?;
            until_known(app, &org, (user, &identity)).await;
            // Not before whatever was changed for them just now.
            let now = app.purse.now();
            Credential {
                org,
                principal: Principal::User(user),
                project: None,
                via: Via::Provider(provider.id),
                basis,
                issued: now,
                expires: now.plus_millis(i64::from(hours) * 60 * MINUTE_MILLIS),
            }
        }
    };
    issue(app, services, asker, &credential).await
}

async fn issue(
    app: &App,
    services: &Services,
    asker: &Asker,
    credential: &Credential,
) -> Result<(String, i64), Declined> {
    let world = app.snapshot.current();
    let name = match (world.tenant(&credential.org), credential.principal) {
        (None, _) => None,
        (Some(live), Principal::User(id)) => live.tenant.people.get(&id).map(|it| it.name.clone()),
        (Some(live), Principal::ServiceAccount(id)) => {
            live.tenant.machines.get(&id).map(|it| it.name.clone())
        }
    };
    let token = app.identities.mint().issue(credential).map_err(|dry| {
        tracing::error!(%dry, "no credential can be made");
        Declined::Unavailable
    })?;
    let act = act(asker, credential.principal, &name.unwrap_or_default());
    // What cannot be written down is not given out.
    services.store.append(&credential.org, vec![act]).await.map_err(|fault| {
        tracing::error!(%fault, "a credential could not be written down");
        Declined::Unavailable
    })?;
    Ok((token, (credential.expires.0 - credential.issued.0).div_euclid(1000)))
}

/// Whom the token means: of all orgs, or of the one that is named.
async fn meant(
    app: &App,
    address: IpAddr,
    token: &str,
    org: Option<&str>,
    now: Timestamp,
) -> Result<Meant, Declined> {
    let world = app.snapshot.current();
    let unverified = Unverified::read(token).map_err(|_| Declined::Token)?;
    let issuer = unverified.claimed_issuer().ok_or(Declined::Token)?;
    let issuers = app.identities.issuers();
    // Where several orgs believe an issuer, each could claim the tokens that are meant for
    // another: the token or the request says which.
    let shared = 1 < world.knowing(issuer).count();
    let mut found = Vec::new();
    for live in world.knowing(issuer) {
        let (tenant, mut tries) = (&live.tenant, 0..TRIES_MAX);
        let named = match org {
            Some(org) => is_called(live, org),
            None => Addressed::of(&unverified, &tenant.org).is_taken(shared),
        };
        if !named || !tenant.active || !comes_from(&tenant.sources, address) {
            continue;
        }
        let of_people = tenant.issuers.iter().filter(|it| it.settings.issuer == issuer);
        for provider in of_people.filter(|it| it.settings.sign_in) {
            // Not a token for calling models: it would outlive itself by hours.
            let audiences: Vec<&str> = clients(&provider.settings).collect();
            let wanted = expected(tenant.org, &provider.settings, &audiences);
            if !unverified.might_be(&wanted, now) || tries.next().is_none() {
                continue;
            }
            match issuers.verify(&wanted, token, now).await {
                Ok(claims) => {
                    found.push(Meant::Person(Arc::clone(live), Arc::clone(provider), claims));
                }
                Err(rejected) => tracing::debug!(%rejected, "a token is not believed"),
            }
        }
        let of_machines = tenant.workloads.iter().filter(|it| it.settings.issuer == issuer);
        for rule in of_machines {
            let audience = [rule.settings.audience.as_str()];
            let wanted = workload::expected(tenant.org, &rule.settings, &audience);
            if !unverified.might_be(&wanted, now) || tries.next().is_none() {
                continue;
            }
            match issuers.verify(&wanted, token, now).await {
                Ok(claims) if workload::fits(&rule.settings, &claims) => {
                    found.push(Meant::Machine(Arc::clone(live), Arc::clone(rule)));
                }
                Ok(_) => {}
                Err(rejected) => tracing::debug!(%rejected, "a token is not believed"),
            }
        }
    }
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => Ok(only),
        (Some(_), false) => Err(Declined::Several),
        (None, _) if shared && org.is_none() => Err(Declined::Several),
        (None, _) => Err(Declined::Token),
    }
}

/// The next request may come before the settings that made this person are noticed.
async fn until_known(app: &App, org: &OrgId, (user, identity): (UserId, &Identity)) {
    let noticed = async {
        loop {
            let world = app.snapshot.current();
            if world.tenant(org).and_then(|live| live.user_of(identity)) == Some(user) {
                return;
            }
            tokio::time::sleep(KNOWN_AGAIN).await;
        }
    };
    // Later is late, not wrong: the first requests would be refused.
    let _ = tokio::time::timeout(KNOWN_PATIENCE, noticed).await;
}

fn anonymous() -> Actor {
    Actor { kind: ActorKind::Anonymous, id: String::new(), name: String::new() }
}

/// The row for the audit log.
fn act(asker: &Asker, principal: Principal, name: &str) -> Act {
    let (kind, word) = match principal {
        Principal::User(_) => (ActorKind::User, "user"),
        Principal::ServiceAccount(_) => (ActorKind::ServiceAccount, "service account"),
    };
    let (id, name) = (principal.to_string(), name.to_owned());
    let target =
        Target { kind: word.to_owned(), id: id.clone(), name: name.clone(), project: None };
    Act {
        at: store::clock::now(),
        actor: Actor { kind, id, name },
        address: Some(asker.address.to_string()),
        action: "credential.issued".to_owned(),
        outcome: Outcome::Done,
        target: Some(target),
        before: None,
        after: None,
        reason: None,
        request: Some(asker.request.to_string()),
        via: "gateway".to_owned(),
        revision: None,
    }
}

fn declined(failure: &Failure) -> Declined {
    let passing = matches!(failure, Failure::Unavailable | Failure::Conflict);
    if passing { Declined::Unavailable } else { Declined::Token }
}

impl Declined {
    fn answer(&self) -> Response<EdgeBody> {
        let (status, error, description) = match self {
            Self::Request(what) => (StatusCode::BAD_REQUEST, "invalid_request", what.as_str()),
            Self::UnsupportedGrant => (
                StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                "`grant_type` must be the token exchange of RFC 8693",
            ),
            // RFC 8693, section 2.2.2: a token that is not acceptable is an invalid request.
            Self::Token => {
                (StatusCode::BAD_REQUEST, "invalid_request", "the token is not accepted")
            }
            Self::Several => (
                StatusCode::BAD_REQUEST,
                "invalid_request",
                "several organizations know the issuer: name yours in `org`",
            ),
            Self::TooMany => (
                StatusCode::TOO_MANY_REQUESTS,
                "temporarily_unavailable",
                "too many tokens from your address were not accepted",
            ),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "temporarily_unavailable",
                "something that this needs does not answer; try again",
            ),
        };
        let body = object!({ "error": error, "error_description": description });
        json(status, body.to_string())
    }
}

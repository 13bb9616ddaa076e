//! Signing in with an identity provider: code and PKCE, bound to one browser.

mod exchange;

use super::{ask, page};
use crate::{
    context::Context,
    failure::Failure,
    gate::who::{cookie, org_named},
    identity::{Discovery, Expected},
    service::{
        apply::fingerprint,
        people,
        sign_in::{
            self, derived, same, secret,
            session::{self, Opened, Proven},
        },
    },
    services::Known,
};
use axum::{
    http::{HeaderValue, header},
    response::Response,
};
use exchange::Exchange;
use policies::{
    authority::{self, INSTALLATION},
    document::{Document, IdentityProvider, Kind},
    ids::{IdentityProviderId, OrgId},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;
use store::{
    audit::{Actor, ActorKind},
    clock,
    session::{Session, Vouched},
    ticket::Ticket,
};
use url::Url;

const TICKET: &str = "oidc";
/// How long somebody may take at the provider.
const LOGIN_SECS: u32 = 600;

/// A sign-in under way. It holds no secret: what goes to the provider follows from the browser's
/// cookie, of which only the hash is here.
#[derive(Debug, Serialize, Deserialize)]
struct Pending {
    /// The id of the identity provider.
    provider: String,
    browser: String,
    return_to: String,
}

/// Why a callback is not believed: a reason for the audit log, and the org if it is known.
struct Refusal(OrgId, String);

/// Where the provider of this id, and no other, sends the browser back to: so an answer cannot be
/// one provider's and taken for another's (RFC 9700, section 4.4.2.2).
fn callback(context: &Context, provider: &str) -> String {
    context.services.sign_in.public_url.at(&format!("/login/callback/{provider}"))
}

/// Sends the browser to the provider.
pub(super) async fn begin(context: Context) -> Result<Response, Failure> {
    match attempt(&context).await {
        Err(failure) if ask::wants_page(&context.headers) => Ok(page::failed(&context, &failure)),
        answer => answer,
    }
}

/// Counts against the address what leads nowhere, and more than may be under way.
async fn attempt(context: &Context) -> Result<Response, Failure> {
    let throttle = &context.services.sign_in.throttle;
    let attempt = throttle.begin_from(context.address, clock::now());
    let attempt = attempt.map_err(|retry_secs| Failure::TooMany { retry_secs })?;
    let started = start(context).await;
    match &started {
        Ok((_, Crowd::Fits)) | Err(Failure::Unavailable) => attempt.succeeded(),
        Ok((_, Crowd::TooMany)) | Err(_) => {}
    }
    started.map(|(answer, _)| answer)
}

/// Whether an address has more sign-ins under way than it may.
enum Crowd {
    Fits,
    TooMany,
}

async fn start(context: &Context) -> Result<(Response, Crowd), Failure> {
    let (services, sign_in) = (&context.services, &context.services.sign_in);
    // An org or provider that is not there fails as one that does not answer.
    let known = org_named(services, context.param(0)).await?.ok_or(Failure::Unauthenticated)?;
    let found = super::providers(&known).find(|it| it.name == context.param(1));
    let provider = found.filter(|_| is_open(&known, context)).ok_or(Failure::Unauthenticated)?;
    let client = provider.client_id.as_deref().ok_or(Failure::Unauthenticated)?;
    let id = known.settings.objects.iter().find(
        |it| matches!(&it.document, Document::IdentityProvider(it) if it.name == provider.name),
    );
    let id = id.map(|it| Kind::IdentityProvider.id_text(it.id)).unwrap_or_default();
    let discovery = discovery(context, known.settings.org, provider).await?;
    let endpoint = discovery.authorization_endpoint.as_deref().unwrap_or_default();
    let mut url = Url::parse(endpoint).map_err(|_| Failure::Unavailable)?;
    let (state, browser) = (secret()?, secret()?);
    let scopes = ["openid"].into_iter().chain(provider.scopes.iter().map(String::as_str));
    let scopes: Vec<&str> = scopes.collect();
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", client)
        .append_pair("redirect_uri", &callback(context, &id))
        .append_pair("scope", &scopes.join(" "))
        .append_pair("state", &state)
        .append_pair("nonce", &nonce(&state, &browser))
        .append_pair("code_challenge", &derived(&[&verifier(&state, &browser)]))
        .append_pair("code_challenge_method", "S256");
    let return_to = sign_in.public_url.local_path(context.query("return_to")).to_owned();
    let browser_hash = derived(&[&browser]);
    let pending = Pending { provider: id, browser: browser_hash, return_to };
    let body = serde_json::to_string(&pending).map_err(|_| Failure::Unavailable)?;
    let now = clock::now();
    let expires = now.plus_millis(i64::from(LOGIN_SECS) * 1_000);
    let ticket = Ticket { org: known.settings.org, body, expires };
    let state = fingerprint(&state);
    services.store.put_ticket(TICKET, &state, &ticket).await?;
    let crowd = match sign_in.begun.add(context.address, state, (now, expires)) {
        None => Crowd::Fits,
        Some(oldest) => {
            services.store.take_ticket(TICKET, &oldest, now).await?;
            Crowd::TooMany
        }
    };
    let mut answer = page::redirect(url.as_str());
    let name = sign_in.public_url.login_cookie();
    set_cookie(&mut answer, &sign_in.public_url.set_cookie(name, &browser, Some(LOGIN_SECS)));
    Ok((answer, crowd))
}

/// Takes the browser back from the provider.
pub(super) async fn end(context: Context) -> Result<Response, Failure> {
    let url = &context.services.sign_in.public_url;
    let throttle = &context.services.sign_in.throttle;
    let attempt = throttle.begin_from(context.address, clock::now());
    let finished = match attempt {
        Ok(attempt) => {
            let finished = finish(&context).await;
            if matches!(finished, Ok(_) | Err(Failure::Unavailable)) {
                attempt.succeeded();
            }
            finished
        }
        Err(retry_secs) => Err(Failure::TooMany { retry_secs }),
    };
    let (mut answer, opened) = match finished {
        Ok((opened, to)) => (page::redirect(url.local_path(Some(&to))), Some(opened)),
        Err(failure) if ask::wants_page(&context.headers) => {
            (page::failed(&context, &failure), None)
        }
        Err(failure) => return Err(failure),
    };
    if let Some(Opened { cookie, .. }) = opened {
        answer.headers_mut().append(header::SET_COOKIE, cookie);
    }
    set_cookie(&mut answer, &url.set_cookie(url.login_cookie(), "", Some(0)));
    Ok(answer)
}

async fn finish(context: &Context) -> Result<(Opened, String), Failure> {
    let state = context.query("state").unwrap_or_default();
    let (store, hash) = (&context.services.store, fingerprint(state));
    // Taken at once: whatever is wrong with the rest, nothing of it can be tried again.
    let ticket = store.take_ticket(TICKET, &hash, clock::now()).await?;
    context.services.sign_in.begun.ended(context.address, &hash);
    let Some(ticket) = ticket else {
        // Anybody can make states up: they fill no audit log.
        tracing::info!(address = %context.address, "a callback for no sign-in that is under way");
        return Err(sign_in::not_let_in());
    };
    match believe(context, state, &ticket).await? {
        Ok((proven, to)) => Ok((session::open(context, &proven).await?, to)),
        Err(Refusal(org, reason)) => Err(sign_in::failed(context, &org, "", &reason).await?),
    }
}

/// Who the browser's person is, by the provider's word.
async fn believe(
    context: &Context,
    state: &str,
    ticket: &Ticket,
) -> Result<Result<(Proven, String), Refusal>, Failure> {
    let refused = |reason: &str| Ok(Err(Refusal(ticket.org, reason.to_owned())));
    let services = &context.services;
    let Ok(pending) = serde_json::from_str::<Pending>(&ticket.body) else {
        return refused("the sign-in was begun by another version");
    };
    // Before the code goes anywhere: it may be another provider's.
    if context.param(0) != pending.provider {
        return refused("the answer came to the address of another provider");
    }
    let name = services.sign_in.public_url.login_cookie();
    let browser = cookie(&context.headers, name).unwrap_or_default();
    if !same(&derived(&[browser]), &pending.browser) {
        return refused("the sign-in was begun in another browser");
    }
    let known = services.org(&ticket.org).await?.filter(|known| is_open(known, context));
    let Some(known) = known else { return refused("the org is not open to this") };
    let Some((provider_id, provider)) = provider(&known, &pending.provider) else {
        return refused("the identity provider is not there any more");
    };
    if let Some(error) = context.query("error") {
        let error: String = error.chars().filter(char::is_ascii_graphic).take(64).collect();
        return refused(&format!("the provider answered `{error}`"));
    }
    let discovery = discovery(context, ticket.org, provider).await?;
    // RFC 9207, section 2.4: an answer that another provider could have sent is not taken.
    let issuer = context.query("iss");
    let must_say = discovery.authorization_response_iss_parameter_supported;
    if issuer.is_some_and(|it| it != provider.issuer) || (must_say && issuer.is_none()) {
        return refused("the answer came from another issuer");
    }
    let Some(code) = context.query("code") else { return refused("there is no code") };
    let verifier = verifier(state, browser);
    let redirect = callback(context, &pending.provider);
    let (org, redirect, discovery) = (ticket.org, redirect.as_str(), discovery.as_ref());
    let exchange = Exchange { context, org, provider, discovery, redirect };
    let claims = match told(exchange, (code, &verifier), &nonce(state, browser)).await {
        Ok(claims) => claims,
        Err(reason) => return refused(&reason),
    };
    let actor =
        Actor { kind: ActorKind::System, id: pending.provider, name: provider.name.clone() };
    let act = sign_in::act(context, "", actor);
    let user = match people::recognised(services, &ticket.org, provider, &claims, act).await {
        Ok(Ok(user)) => user,
        Ok(Err(reason)) => return refused(&reason.to_string()),
        Err(Failure::Unavailable) => return Err(Failure::Unavailable),
        Err(failure) => return refused(&format!("what it would change: {}", failure.code())),
    };
    let known = services.org(&ticket.org).await?;
    let person = known.as_ref().and_then(|known| known.authority.users.get(&user));
    let name = person.map(|person| person.name.clone()).unwrap_or_default();
    let vouched = vouched(provider_id, provider, &claims);
    let how = format!("oidc:{}", provider.name);
    let proven = Proven { org: ticket.org, user, name, how, vouched };
    Ok(Ok((proven, pending.return_to)))
}

/// The claims of the ID token, and those that only the user info has.
async fn told(
    exchange: Exchange<'_>,
    (code, verifier): (&str, &str),
    nonce: &str,
) -> Result<Map<String, Value>, String> {
    let Exchange { context, org, provider, .. } = exchange;
    let tokens = exchange.tokens(code, verifier).await?;
    let client = provider.client_id.as_deref().unwrap_or_default();
    let expected = Expected {
        org,
        issuer: &provider.issuer,
        jwks_uri: provider.jwks_uri.as_deref(),
        algorithms: &provider.algorithms,
        audiences: &[client],
        skew_secs: provider.skew_secs,
        nonce: Some(nonce),
    };
    let issuers = context.services.issuers.as_ref();
    let verified = issuers.verify(&expected, tokens.id_token.expose(), clock::now()).await;
    let mut claims = verified.map_err(|rejected| format!("the ID token: {rejected}"))?;
    // OpenID Connect Core 1.0, section 3.1.3.7, steps 4 and 5.
    let party = claims.get("azp").and_then(Value::as_str);
    let several = claims.get("aud").and_then(Value::as_array).is_some_and(|aud| 1 < aud.len());
    if party.is_some_and(|party| party != client) || (several && party.is_none()) {
        return Err("the ID token was made for another client".to_owned());
    }
    let names = [&provider.claims.email, &provider.claims.name, &provider.claims.groups];
    if names.into_iter().any(|name| people::claim(&claims, name).is_none()) {
        for (name, value) in exchange.user_info(&tokens, &claims).await? {
            claims.entry(name).or_insert(value);
        }
    }
    Ok(claims)
}

/// What the session will stand on.
fn vouched(
    provider: IdentityProviderId,
    settings: &IdentityProvider,
    claims: &Map<String, Value>,
) -> Option<Vouched> {
    let subject = claims.get("sub")?.as_str()?.to_owned();
    Some(Vouched { provider, issuer: settings.issuer.clone(), subject })
}

fn provider<'a>(known: &'a Known, id: &str) -> Option<(IdentityProviderId, &'a IdentityProvider)> {
    let id = Kind::IdentityProvider.parse_id(id).ok()?;
    let found = known.settings.objects.iter().find(|it| it.id == id)?;
    let Document::IdentityProvider(it) = &found.document else { return None };
    (it.active && it.sign_in).then_some((IdentityProviderId::from_bytes(id), it))
}

async fn discovery(
    context: &Context,
    org: OrgId,
    provider: &IdentityProvider,
) -> Result<Arc<Discovery>, Failure> {
    let found = context.services.issuers.discovery(org, &provider.issuer).await;
    found.map_err(|fault| {
        tracing::warn!(issuer = provider.issuer, %fault, "an identity provider is away");
        Failure::Unavailable
    })
}

/// Where the provider ends its own session (OpenID Connect RP-Initiated Logout 1.0, section 2).
pub(super) async fn end_session_url(context: &Context, session: &Session) -> Option<String> {
    let id = session.vouched.as_ref()?.provider.to_string();
    let known = context.services.org(&session.org).await.ok()??;
    let (_, provider) = provider(&known, &id)?;
    let discovery = discovery(context, session.org, provider).await.ok()?;
    let mut url = Url::parse(discovery.end_session_endpoint.as_deref()?).ok()?;
    let back = context.services.sign_in.public_url.at("/login");
    url.query_pairs_mut()
        .append_pair("client_id", provider.client_id.as_deref()?)
        .append_pair("post_logout_redirect_uri", &back);
    Some(url.into())
}

fn is_open(known: &Known, context: &Context) -> bool {
    let authority = &known.authority;
    let active = authority.active || known.settings.org == INSTALLATION;
    active && authority::comes_from(&authority.sources, context.address)
}

/// The PKCE verifier (RFC 7636, section 4.1): only the browser that began has what it follows from.
fn verifier(state: &str, browser: &str) -> String {
    derived(&["penstock pkce", state, browser])
}

fn nonce(state: &str, browser: &str) -> String {
    derived(&["penstock nonce", state, browser])
}

fn set_cookie(answer: &mut Response, line: &str) {
    if let Ok(line) = HeaderValue::from_str(line) {
        answer.headers_mut().append(header::SET_COOKIE, line);
    }
}

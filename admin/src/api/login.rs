//! `/login`: how people come in, and `/logout`.

mod ask;
mod local;
mod oidc;
pub(super) mod page;

pub(super) use self::ask::{Asker, read, wants_page};

use crate::{
    context::{Context, json},
    failure::Failure,
    gate::who::org_named,
    service::sign_in::session::{self, Opened},
    services::Known,
    table::{Build, Place, Row, open, row},
};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use page::Offer;
use policies::{
    document::{Document, IdentityProvider},
    permission::Permission,
    route::Method,
};
use serde_json::json;
use std::sync::Arc;

/// Bytes of a body here, at most.
pub(super) const FORM_BYTES_MAX: usize = 16 * 1024;

pub const ROWS: &[Row] = &[
    Build(open("/login", |context| Box::pin(begin(context))))
        .says("The ways to sign in: a page for browsers, else JSON")
        .query(&["org", "return_to"])
        .0,
    Build(row(Method::Post, "/login/local", Permission::Public, |context| {
        Box::pin(local::sign_in(context))
    }))
    .says("Sign in with a password of ours")
    .body(FORM_BYTES_MAX)
    .0,
    Build(open("/login/oidc/{org}/{provider}", |context| Box::pin(oidc::begin(context))))
        .says("Send a browser to an identity provider")
        .query(&["return_to"])
        .gives(303, None)
        .0,
    Build(open("/login/callback/{provider}", |context| Box::pin(oidc::end(context))))
        .says("Where this identity provider, by its id, sends the browser back to")
        .query(&["code", "state", "iss", "error"])
        .gives(303, None)
        .0,
    Build(row(Method::Post, "/logout", Permission::Public, |context| Box::pin(leave(context))))
        .says("End the session of the cookie")
        .body(FORM_BYTES_MAX)
        .0,
    Build(row(Method::Post, "/admin/v1/me/password", Permission::Myself, |context| {
        Box::pin(local::change(context))
    }))
    .at(Place::Somewhere)
    .says("Change your own password; every other session of yours ends")
    .takes("NewPassword")
    .gives(204, None)
    .body(FORM_BYTES_MAX)
    .0,
];

/// Which ways there are. An org that is not there looks like one without identity providers.
async fn begin(context: Context) -> Result<Response, Failure> {
    let org = context.query("org").filter(|org| !org.is_empty()).map(str::to_owned);
    let known = match &org {
        Some(org) => org_named(&context.services, org).await?,
        None => None,
    };
    let offer = offer(&context, org, known.as_ref());
    match ask::wants_page(&context.headers) {
        true => Ok(page::login(&context, &offer, None)),
        false => {
            let providers = offer.providers.iter();
            let providers = providers.map(|(name, url)| json!({ "name": name, "url": url }));
            let body = json!({
                "object": "ways_to_sign_in",
                "org": offer.org,
                "local": offer.local,
                "providers": providers.collect::<Vec<_>>(),
            });
            Ok(json(StatusCode::OK, &body))
        }
    }
}

fn offer(context: &Context, org: Option<String>, known: Option<&Arc<Known>>) -> Offer {
    let return_to = context.services.sign_in.public_url.local_path(context.query("return_to"));
    let escaped = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    let link = |org: &str, provider: &IdentityProvider| {
        let (org, name): (String, String) = (escaped(org), escaped(&provider.name));
        let (org, name) = (org.replace('+', "%20"), name.replace('+', "%20"));
        let back: String = escaped(return_to);
        format!("/login/oidc/{org}/{name}?return_to={back}")
    };
    let providers = known.into_iter().flat_map(|known| providers(known)).map(|provider| {
        (provider.name.clone(), link(org.as_deref().unwrap_or_default(), provider))
    });
    Offer {
        providers: providers.collect(),
        local: known.is_none_or(|known| known.authority.local_login),
        return_to: return_to.to_owned(),
        email: None,
        org,
    }
}

/// The providers by which people may sign in.
fn providers(known: &Known) -> impl Iterator<Item = &IdentityProvider> {
    known.settings.objects.iter().filter_map(|object| {
        let Document::IdentityProvider(it) = &object.document else { return None };
        (it.active && it.sign_in).then_some(it)
    })
}

/// The answer to a sign-in: the cookie, and either JSON or the way on.
pub(super) fn welcome(context: &Context, asker: Asker, opened: &Opened, to: &str) -> Response {
    let mut answer = match asker {
        Asker::Browser => page::redirect(context.services.sign_in.public_url.local_path(Some(to))),
        Asker::Program => {
            let body = json!({ "object": "session", "expires_at": opened.expires.rfc3339() });
            json(StatusCode::OK, &body)
        }
    };
    answer.headers_mut().append(header::SET_COOKIE, opened.cookie.clone());
    answer
}

/// Nobody but our own pages and programs may post here: another site's page could sign somebody in
/// as its author, or out.
pub(super) fn must_be_ours(context: &Context) -> Result<(), Failure> {
    match context.services.sign_in.public_url.is_from_elsewhere(&context.headers) {
        true => Err(Failure::FromElsewhere),
        false => Ok(()),
    }
}

/// Ends the session, and tells where the identity provider ends its own.
async fn leave(context: Context) -> Result<Response, Failure> {
    must_be_ours(&context)?;
    let ended = session::close(&context).await?;
    let provider_url = match &ended {
        Some(session) => oidc::end_session_url(&context, session).await,
        None => None,
    };
    let url = &context.services.sign_in.public_url;
    let mut answer = match ask::wants_page(&context.headers) {
        true => page::redirect(provider_url.as_deref().unwrap_or("/login")),
        false => {
            let body = json!({ "object": "logout", "end_session_url": provider_url });
            json(StatusCode::OK, &body)
        }
    };
    let gone = url.set_cookie(url.session_cookie(), "", Some(0));
    if let Ok(gone) = HeaderValue::from_str(&gone) {
        answer.headers_mut().append(header::SET_COOKIE, gone);
    }
    Ok(answer)
}

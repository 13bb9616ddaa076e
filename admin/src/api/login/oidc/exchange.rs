//! What is asked of an identity provider behind the browser's back: tokens for a code, user info.

use crate::{
    context::Context,
    identity::{Discovery, token::TOKEN_BYTES_MAX},
    outbound::{Fetch, Fetched},
};
use axum::http::{HeaderValue, Method, StatusCode, header};
use base64::{Engine, engine::general_purpose::STANDARD};
use policies::{
    document::{IdentityProvider, SecretRef},
    ids::OrgId,
};
use serde_json::{Map, Value};
use std::borrow::Cow;
use store::seal::{Secret, column};

/// Bytes of a file with a client secret, at most.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;

/// One sign-in at one provider. Errors are reasons for the audit log and hold no secret.
#[derive(Clone, Copy)]
pub(super) struct Exchange<'a> {
    pub(super) context: &'a Context,
    pub(super) org: OrgId,
    pub(super) provider: &'a IdentityProvider,
    pub(super) discovery: &'a Discovery,
    /// Where the code came to.
    pub(super) redirect: &'a str,
}

pub(super) struct Tokens {
    pub(super) id_token: Secret<String>,
    access_token: Option<Secret<String>>,
}

impl Exchange<'_> {
    /// The tokens for a code (OpenID Connect Core 1.0, section 3.1.3).
    pub(super) async fn tokens(self, code: &str, verifier: &str) -> Result<Tokens, String> {
        let Self { provider, discovery, redirect, .. } = self;
        let endpoint = discovery.token_endpoint.as_deref().unwrap_or_default();
        let client = provider.client_id.as_deref().unwrap_or_default();
        let secret = self.client_secret().await?;
        let mut pairs = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect),
            ("code_verifier", verifier),
        ];
        let mut fetch = Fetch { method: Method::POST, ..Fetch::get(endpoint) };
        match &secret {
            Some(secret) if self.takes_basic() => {
                fetch.headers.insert(header::AUTHORIZATION, basic(client, secret)?);
            }
            Some(secret) => {
                pairs.extend([("client_id", client), ("client_secret", secret.expose().as_str())]);
            }
            // A public client: PKCE alone ties the code to us.
            None => pairs.push(("client_id", client)),
        }
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        fetch.headers.insert(header::CONTENT_TYPE, kind);
        fetch.body = form(&pairs).into();
        let answer = self.fetch(fetch, "the token endpoint").await?;
        let token = |name: &str| {
            let text = answer.get(name).and_then(Value::as_str);
            text.filter(|text| text.len() <= TOKEN_BYTES_MAX).map(|it| Secret::new(it.to_owned()))
        };
        let id_token = token("id_token").ok_or("the token endpoint gave no ID token")?;
        Ok(Tokens { id_token, access_token: token("access_token") })
    }

    /// Claims that the ID token does not have; none where the provider offers no user info.
    ///
    /// Those of somebody else are refused (OpenID Connect Core 1.0, section 5.3.2).
    pub(super) async fn user_info(
        self,
        tokens: &Tokens,
        claims: &Map<String, Value>,
    ) -> Result<Map<String, Value>, String> {
        let (Some(endpoint), Some(token)) =
            (&self.discovery.userinfo_endpoint, &tokens.access_token)
        else {
            return Ok(Map::new());
        };
        let mut fetch = Fetch::get(endpoint.as_str());
        let bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
        let mut bearer = bearer.map_err(|_| "the access token is no token")?;
        bearer.set_sensitive(true);
        fetch.headers.insert(header::AUTHORIZATION, bearer);
        let info = self.fetch(fetch, "the user info endpoint").await?;
        match info.get("sub").is_some() && info.get("sub") == claims.get("sub") {
            true => Ok(info),
            false => Err("the user info is somebody else's".to_owned()),
        }
    }

    async fn fetch(self, mut fetch: Fetch, what: &str) -> Result<Map<String, Value>, String> {
        fetch.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let fetched = self.context.services.issuers.outbound().fetch(fetch).await;
        let Fetched { status, body, .. } =
            fetched.map_err(|fault| format!("{what} cannot be asked: {fault}"))?;
        if status != StatusCode::OK {
            return Err(format!("{what} answers with status {}", status.as_u16()));
        }
        serde_json::from_slice(&body).map_err(|_| format!("{what} answers with no JSON object"))
    }

    /// Where it says nothing, a provider takes `client_secret_basic` (OpenID Connect Discovery 1.0,
    /// section 3).
    fn takes_basic(self) -> bool {
        let methods = self.discovery.token_endpoint_auth_methods_supported.as_deref();
        methods.is_none_or(|methods| methods.iter().any(|it| it == "client_secret_basic"))
    }

    async fn client_secret(self) -> Result<Option<Secret<String>>, String> {
        let sign_in = &self.context.services.sign_in;
        let secret = match &self.provider.client_secret {
            None => return Ok(None),
            Some(SecretRef::Env(name)) => {
                let value = (sign_in.environment)(name);
                value.ok_or("the variable with the client secret is not set")?
            }
            Some(SecretRef::File(path)) => {
                let fault = "the file with the client secret cannot be read";
                let size = tokio::fs::metadata(path).await.map_err(|_| fault)?.len();
                if SECRET_FILE_BYTES_MAX < size {
                    return Err(fault.to_owned());
                }
                tokio::fs::read_to_string(path).await.map_err(|_| fault)?
            }
            Some(SecretRef::Sealed(sealed)) => {
                let keeper = sign_in.keeper.as_ref().ok_or("no master key is set")?;
                let opened = keeper.open(&self.org, column::CLIENT_SECRET, sealed).await;
                let opened = opened.map_err(|_| "the client secret does not open")?;
                let text = String::from_utf8(opened.expose().clone());
                text.map_err(|_| "the client secret is no text")?
            }
            Some(SecretRef::Stored(_)) => return Err("no client secret is stored".to_owned()),
        };
        Ok(Some(Secret::new(secret.trim().to_owned())))
    }
}

fn form(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// `client_secret_basic`: both parts are form-encoded first (RFC 6749, section 2.3.1).
fn basic(client: &str, secret: &Secret<String>) -> Result<HeaderValue, String> {
    let encoded =
        |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair: Cow<'_, str> = format!("{}:{}", encoded(client), encoded(secret.expose())).into();
    let value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair.as_bytes())));
    let mut value = value.map_err(|_| "the client secret cannot be sent".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

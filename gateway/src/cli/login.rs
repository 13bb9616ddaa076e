//! `penstock login`, `penstock token`, `penstock logout`: a person's credential at a laptop.

mod browser;
mod device;
mod provider;
mod saved;

use self::{
    provider::{Provider, Tokens},
    saved::{Saved, SignedIn},
};
use crate::outbound::Ways;
use admin::{
    identity::Issuers,
    outbound::{Fetch, Fetched, Outbound},
};
use anyhow::{Context, bail, ensure};
use clap::Args;
use http::{HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use std::{process::ExitCode, sync::Arc};
use store::clock;

/// A credential that is good for less than this is fetched anew.
const LEFT_MIN_MILLIS: i64 = 10 * 60 * 1000;

/// Sign in at your organization's identity provider
///
/// Opens a browser (or shows a code for one on another device), and keeps what it gets in
/// penstock/credentials.json below $XDG_CONFIG_HOME or ~/.config, readable by you alone.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  penstock login --gateway https://ai.example.com --org acme
  penstock login --gateway https://ai.example.com --org acme --device    without a browser here

Then give tools `penstock token` where they ask for a command that prints a key.")]
pub struct LoginArgs {
    /// The gateway's address, without a path
    #[arg(long, value_name = "URL", env = "PENSTOCK_GATEWAY")]
    gateway: String,
    /// The organization, by name or id
    #[arg(long, value_name = "NAME")]
    org: String,
    /// Show a code to type in at another device, and open no browser
    #[arg(long)]
    device: bool,
}

/// Print a credential for calling models, and nothing else
///
/// It is fetched anew when it is good for less than ten minutes.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  export OPENAI_API_KEY=$(penstock token)
  an agent's setting for a key helper: penstock token --gateway https://ai.example.com

Exit status: 0 printed, 1 not signed in any more (standard error says why).")]
pub struct TokenArgs {
    /// The gateway; may be left out where you signed in at only one
    #[arg(long, value_name = "URL", env = "PENSTOCK_GATEWAY")]
    gateway: Option<String>,
}

/// Forget what `penstock login` has kept
#[derive(Args, Clone, Debug)]
pub struct LogoutArgs {
    /// The gateway; left out: all of them
    #[arg(long, value_name = "URL")]
    gateway: Option<String>,
}

/// What the gateway tells about signing in.
#[derive(Debug, Deserialize)]
struct Settings {
    issuer: String,
    client_id: String,
    scopes: Vec<String>,
}

/// The gateway, and the way to it and to the provider. The user of a command line may name any
/// address in their own networks.
struct Way {
    gateway: String,
    outbound: Arc<dyn Outbound>,
    issuers: Issuers,
}

pub async fn login(args: LoginArgs) -> anyhow::Result<ExitCode> {
    let way = Way::to(&args.gateway)?;
    let settings = way.settings(&args.org).await?;
    let provider =
        Provider::find(&way.issuers, settings.issuer, settings.client_id, settings.scopes).await?;
    let tokens = if args.device {
        device::sign_in(&way, &provider).await?
    } else {
        browser::sign_in(&way, &provider).await?
    };
    let mut saved = Saved::open()?;
    let org = args.org.clone();
    let signed_in = way.exchange(&provider, org, tokens, None).await?;
    saved.put(&way.gateway, signed_in);
    saved.write()?;
    eprintln!("Signed in to `{}` at {}.", args.org, way.gateway);
    Ok(ExitCode::SUCCESS)
}

pub async fn token(args: TokenArgs) -> anyhow::Result<ExitCode> {
    // Held to the end: of two at once, one refreshes and the other finds what it got.
    let mut saved = Saved::open()?;
    let (gateway, known) = saved.find(args.gateway.as_deref().map(base).as_deref())?;
    let left = known.expires.saturating_sub(clock::now().0);
    if LEFT_MIN_MILLIS <= left {
        println!("{}", known.access_token);
        return Ok(ExitCode::SUCCESS);
    }
    match refresh(&gateway, &known).await {
        Ok(fresh) => {
            println!("{}", fresh.access_token);
            saved.put(&gateway, fresh);
            saved.write()?;
        }
        Err(fault) if 0 < left => {
            eprintln!("penstock: the credential could not be renewed yet: {fault:#}");
            println!("{}", known.access_token);
        }
        Err(fault) => {
            let org = &known.org;
            return Err(fault.context(format!(
                "you are not signed in any more: run `penstock login --gateway {gateway} --org {org}`"
            )));
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub fn logout(args: &LogoutArgs) -> anyhow::Result<ExitCode> {
    let mut saved = Saved::open()?;
    saved.forget(args.gateway.as_deref().map(base).as_deref());
    saved.write()?;
    Ok(ExitCode::SUCCESS)
}

async fn refresh(gateway: &str, known: &SignedIn) -> anyhow::Result<SignedIn> {
    let refresh_token =
        known.refresh_token.clone().context("the provider gave no refresh token")?;
    let way = Way::to(gateway)?;
    let (issuer, client) = (known.issuer.clone(), known.client_id.clone());
    let provider = Provider::find(&way.issuers, issuer, client, Vec::new()).await?;
    let tokens = provider.refresh(&way, &refresh_token).await?;
    way.exchange(&provider, known.org.clone(), tokens, Some(refresh_token)).await
}

/// An address without the slash, or the path of the API, that people add to it.
fn base(gateway: &str) -> String {
    let gateway = gateway.trim_end_matches('/');
    gateway.strip_suffix("/v1").unwrap_or(gateway).to_owned()
}

impl Way {
    fn to(gateway: &str) -> anyhow::Result<Self> {
        let gateway = base(gateway);
        let known = gateway.starts_with("https://") || gateway.starts_with("http://");
        ensure!(known, "`{gateway}` must begin with https://");
        let outbound: Arc<dyn Outbound> = Arc::new(Ways::new(true));
        Ok(Self { gateway, issuers: Issuers::new(Arc::clone(&outbound)), outbound })
    }

    async fn settings(&self, org: &str) -> anyhow::Result<Settings> {
        let query =
            url::form_urlencoded::Serializer::new(String::new()).append_pair("org", org).finish();
        let url = format!("{}/v1/penstock/login?{query}", self.gateway);
        let answer = self.outbound.fetch(Fetch::get(url)).await;
        let answer = answer.with_context(|| format!("asking {}", self.gateway))?;
        match answer.status {
            StatusCode::OK => Ok(serde_json::from_slice(&answer.body)?),
            StatusCode::NOT_FOUND => bail!(
                "{} knows no organization `{org}` in which people sign in this way",
                self.gateway
            ),
            status => bail!("{} answers {status}", self.gateway),
        }
    }

    /// Sends a form, and reads what a token endpoint answers (RFC 6749, section 5).
    async fn post(&self, url: &str, form: &[(&str, &str)]) -> anyhow::Result<Fetched> {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in form {
            body.append_pair(name, value);
        }
        let mut fetch = Fetch { method: Method::POST, ..Fetch::get(url) };
        fetch.body = body.finish().into();
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        fetch.headers.insert(header::CONTENT_TYPE, form);
        fetch.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        self.outbound.fetch(fetch).await.with_context(|| format!("asking {url}"))
    }

    /// The provider's token for the gateway's credential.
    async fn exchange(
        &self,
        provider: &Provider,
        org: String,
        tokens: Tokens,
        old_refresh_token: Option<String>,
    ) -> anyhow::Result<SignedIn> {
        #[derive(Deserialize)]
        struct Exchanged {
            access_token: String,
            expires_in: i64,
        }
        let id_token = tokens.id_token.context("the provider gave no ID token")?;
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", &id_token),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
            ("org", &org),
        ];
        let asked = clock::now();
        let answer = self.post(&format!("{}/v1/penstock/token", self.gateway), &form).await?;
        if answer.status != StatusCode::OK {
            bail!("the gateway gives no credential: {}", provider::told(&answer));
        }
        let Exchanged { access_token, expires_in } = serde_json::from_slice(&answer.body)?;
        Ok(SignedIn {
            org,
            issuer: provider.discovery().issuer.clone(),
            client_id: provider.client_id().to_owned(),
            refresh_token: tokens.refresh_token.or(old_refresh_token),
            access_token,
            expires: asked.plus_millis(expires_in.saturating_mul(1000)).0,
        })
    }
}

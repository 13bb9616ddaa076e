//! Who stands behind a signed token: our own credential, or one of an org's identity provider.

mod tokens;

use self::tokens::{Tokens, Verified};
use crate::snapshot::{Live, World};
use admin::{
    identity::{
        Expected, Issuers, Rejected,
        credential::{self, Basis, Credential, Mint, Via},
        token::{self, Unverified},
    },
    service::people::claim,
};
use policies::{
    document::{Identity, IdentityProvider},
    ids::{KeyId, OrgId},
    refusal::Refusal,
    tenant::Issuer,
    time::Timestamp,
    usage::Principal,
};
use std::sync::Arc;

/// Providers of orgs with which one token is tried, at most.
const TRIES_MAX: usize = 64;

/// What tokens are checked with, and the ones that were.
pub struct Identities {
    issuers: Arc<Issuers>,
    mint: Mint,
    tokens: Tokens,
}

/// Somebody whose token is good. Whether they may do anything is asked of the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    pub org: OrgId,
    pub principal: Principal,
    /// The project that the token is for.
    pub project: Project,
    pub via: Via,
    /// What has to hold still of the provider or rule.
    pub basis: Basis,
    pub shown: Shown,
    /// None: it does not say.
    pub issued: Option<Timestamp>,
}

/// What somebody came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A credential of ours.
    Credential,
    /// A provider's own token.
    Token,
}

/// To which org a token says it is made out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressed {
    ToIt,
    ToAnother,
    ToNone,
}

/// Which project a token names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Project {
    /// None: the request does.
    Open,
    /// By name or id; the request may name another.
    Proposed(String),
    /// No other.
    Fixed(policies::ids::ProjectId),
}

impl Bearer {
    /// Under which their requests are counted before it is known which project they are for.
    pub fn flood_key(&self) -> KeyId {
        match self.principal {
            Principal::User(id) => KeyId::from_bytes(*id.as_bytes()),
            Principal::ServiceAccount(id) => KeyId::from_bytes(*id.as_bytes()),
        }
    }
}

impl Identities {
    pub fn new(issuers: Arc<Issuers>, mint: Mint) -> Self {
        Self { issuers, mint, tokens: Tokens::default() }
    }

    pub fn issuers(&self) -> &Arc<Issuers> {
        &self.issuers
    }

    pub fn mint(&self) -> &Mint {
        &self.mint
    }

    /// Whose token it is. One that was seen before costs a hash; another waits only if its
    /// issuer's keys have to be fetched first. `org`: the one that the request names.
    ///
    /// # Errors
    /// Several orgs know the person, and the request names none of them.
    pub async fn bearer(
        &self,
        world: &World,
        token: &str,
        org: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<Bearer>, Refusal> {
        if token::TOKEN_BYTES_MAX < token.len() {
            return Ok(None);
        }
        let sha256 = tokens::hash(token);
        let known = self.tokens.get(&sha256, now).filter(|known| known.holds_in(world));
        let verified = match known {
            Some(known) => known,
            None => match self.verify(world, token, now).await {
                Ok(verified) => {
                    let verified = Arc::new(verified);
                    self.tokens.keep(sha256, Arc::clone(&verified));
                    verified
                }
                Err(rejected) => {
                    tracing::debug!(%rejected, "a token is not believed");
                    return Ok(None);
                }
            },
        };
        // Where several orgs believe an issuer, each could claim the tokens that are meant for
        // another: the token or the request says which.
        let shared = verified.issuer.as_deref().is_some_and(|it| 1 < world.knowing(it).count());
        let named =
            |(bearer, addressed): &&(Bearer, Addressed)| match (org, world.tenant(&bearer.org)) {
                (None, _) => addressed.is_taken(shared),
                (Some(org), Some(live)) => is_called(live, org),
                (Some(_), None) => false,
            };
        let mut bearers = verified.bearers.iter().filter(named).map(|(bearer, _)| bearer);
        if org.is_none() && shared && bearers.clone().next().is_none() {
            return Err(several());
        }
        match (bearers.next(), bearers.next()) {
            (Some(_), Some(_)) => Err(several()),
            (found, _) => Ok(found.cloned()),
        }
    }

    async fn verify(
        &self,
        world: &World,
        token: &str,
        now: Timestamp,
    ) -> Result<Verified, Rejected> {
        let unverified = Unverified::read(token)?;
        let issuer = unverified.claimed_issuer().ok_or(Rejected::Claim("iss"))?;
        if issuer == credential::ISSUER {
            return Ok(Verified::ours(self.mint.read(token, now)?));
        }
        let (mut verified, mut rejected) = (Verified::of_world(), Rejected::Claim("iss"));
        verified.issuer = Some(issuer.to_owned());
        for live in world.knowing(issuer) {
            // Each org by itself: one with very many takes nothing away from another.
            let mut tries = 0..TRIES_MAX;
            let of_org = live.tenant.issuers.iter().filter(|it| it.settings.issuer == issuer);
            for provider in of_org.filter(|it| it.settings.call_models) {
                let audiences = audiences(&provider.settings);
                let wanted = expected(live.tenant.org, &provider.settings, &audiences);
                if !unverified.might_be(&wanted, now) || tries.next().is_none() {
                    continue;
                }
                match self.person(live, provider, &wanted, token, now).await {
                    Ok((bearer, until)) => {
                        let addressed = Addressed::of(&unverified, &bearer.org);
                        verified.add(live, (bearer, addressed), until);
                    }
                    Err(other) => rejected = other,
                }
            }
        }
        if verified.bearers.is_empty() { Err(rejected) } else { Ok(verified) }
    }

    /// The user of `live` that a provider's token means. Nobody becomes one by it.
    async fn person(
        &self,
        live: &Live,
        provider: &Issuer,
        wanted: &Expected<'_>,
        token: &str,
        now: Timestamp,
    ) -> Result<(Bearer, Timestamp), Rejected> {
        let settings = &provider.settings;
        let claims = self.issuers.verify(wanted, token, now).await?;
        let subject = token::text(&claims, "sub").ok_or(Rejected::Claim("sub"))?.to_owned();
        let identity = Identity { issuer: settings.issuer.clone(), subject };
        let user = live.user_of(&identity).ok_or(Rejected::Claim("sub"))?;
        let basis = Basis::of_person(&identity.issuer, &identity.subject);
        let path = settings.claims.project.as_deref();
        let project = path.and_then(|path| claim(&claims, path)).and_then(|it| it.as_str());
        let bearer = Bearer {
            org: live.tenant.org,
            principal: Principal::User(user),
            project: project.map_or(Project::Open, |it| Project::Proposed(it.to_owned())),
            via: Via::Provider(provider.id),
            basis,
            shown: Shown::Token,
            issued: token::moment(&claims, "iat")?,
        };
        let expires = token::moment(&claims, "exp")?.ok_or(Rejected::Claim("exp"))?;
        Ok((bearer, expires.plus_millis(i64::from(settings.skew_secs) * 1000)))
    }
}

fn several() -> Refusal {
    let message = "several organizations know your issuer: name yours in `openai-organization`";
    Refusal::Malformed { message: message.into(), param: None }
}

/// By id, or by its name, which is never the id of another.
pub fn is_called(live: &Live, org: &str) -> bool {
    match org.parse::<OrgId>() {
        Ok(id) => live.tenant.org == id,
        Err(_) => live.tenant.name == org,
    }
}

impl Addressed {
    /// A token says by an audience `penstock:<org id>` for which org it is.
    pub fn of(unverified: &Unverified<'_>, org: &OrgId) -> Self {
        let named = unverified.audiences().filter_map(|it| it.strip_prefix("penstock:"));
        let mut named = named.filter_map(|it| it.parse::<OrgId>().ok());
        match named.next() {
            None => Self::ToNone,
            Some(first) if first == *org || named.any(|other| other == *org) => Self::ToIt,
            Some(_) => Self::ToAnother,
        }
    }

    /// Whether the org takes the token where the request names none. `shared`: others believe its
    /// issuer too.
    pub fn is_taken(self, shared: bool) -> bool {
        match self {
            Self::ToIt => true,
            Self::ToAnother => false,
            Self::ToNone => !shared,
        }
    }
}

impl From<Credential> for Bearer {
    fn from(credential: Credential) -> Self {
        let Credential { org, principal, project, via, basis, issued, expires: _ } = credential;
        let project = project.map_or(Project::Open, Project::Fixed);
        let (issued, shown) = (Some(issued), Shown::Credential);
        Self { org, principal, project, via, basis, shown, issued }
    }
}

/// What a provider's tokens for us are made out to.
fn audiences(settings: &IdentityProvider) -> Vec<&str> {
    let audiences = settings.audiences.iter().map(String::as_str);
    audiences.chain(clients(settings)).collect()
}

/// What the tokens are made out to that say somebody has signed in (OpenID Connect Core 1.0,
/// section 2).
pub fn clients(settings: &IdentityProvider) -> impl Iterator<Item = &str> {
    settings.client_id.iter().chain(&settings.cli_client_id).map(String::as_str)
}

/// What a provider's tokens must be.
pub fn expected<'a>(
    org: OrgId,
    settings: &'a IdentityProvider,
    audiences: &'a [&'a str],
) -> Expected<'a> {
    Expected {
        org,
        issuer: &settings.issuer,
        jwks_uri: settings.jwks_uri.as_deref(),
        algorithms: &settings.algorithms,
        audiences,
        skew_secs: settings.skew_secs,
        nonce: None,
    }
}

//! The credential that Penstock itself signs: for a person who signed in, or a machine that traded
//! a token of its platform. Every gateway checks it with one key and asks nobody.

use super::{
    Expected, Rejected,
    jwks::Key,
    token::{self, Unverified},
};
use aws_lc_rs::{
    digest,
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use policies::{
    authority::INSTALLATION,
    document::WorkloadIdentity,
    ids::{IdentityProviderId, OrgId, ProjectId, WorkloadIdentityId},
    time::Timestamp,
    usage::Principal,
};
use serde_json::{Map, Value, json};
use std::fmt;
use store::entropy::{self, Dry};

/// The issuer in its `iss`, and the audience in its `aud`.
pub const ISSUER: &str = "penstock";
/// For what the installation's key is made that signs them.
pub const SIGNING_PURPOSE: &str = "credential";
const ALGORITHM: &str = "EdDSA";
/// Bytes of the public key's SHA-256 that name it.
const KID_BYTES: usize = 8;

/// What a credential says. Whether its subject may still do anything is asked at each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credential {
    pub org: OrgId,
    pub principal: Principal,
    /// None: the request names one, or there is only one.
    pub project: Option<ProjectId>,
    pub via: Via,
    pub basis: Basis,
    /// Whole seconds, as in the token.
    pub issued: Timestamp,
    pub expires: Timestamp,
}

/// On whose word it was given: without that provider or rule it is worth nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    Provider(IdentityProviderId),
    Workload(WorkloadIdentityId),
}

/// What the provider or rule had said when it was given, as a hash: once that holds no more, the
/// credential is worth nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Basis([u8; 32]);

/// Signs credentials, and knows its own again.
pub struct Mint {
    pair: Ed25519KeyPair,
    key: Key,
    kid: String,
}

impl Mint {
    pub fn new(pair: Ed25519KeyPair) -> Self {
        let public = pair.public_key().as_ref();
        let hash = digest::digest(&digest::SHA256, public);
        let kid = hex::encode(hash.as_ref().get(..KID_BYTES).unwrap_or_default());
        Self { key: Key::from_ed25519(public), pair, kid }
    }

    /// A signed token (RFC 7519, RFC 8037).
    pub fn issue(&self, credential: &Credential) -> Result<String, Dry> {
        let mut claims = json!({
            "iss": ISSUER,
            "aud": ISSUER,
            "sub": credential.principal.to_string(),
            "org": credential.org.to_string(),
            "via": credential.via.text(),
            "basis": credential.basis.text(),
            "iat": credential.issued.0.div_euclid(1000),
            "exp": credential.expires.0.div_euclid(1000),
            "jti": hex::encode(entropy::id()?),
        });
        if let (Some(project), Some(claims)) = (credential.project, claims.as_object_mut()) {
            claims.insert("project".to_owned(), Value::from(project.to_string()));
        }
        let head = json!({ "alg": ALGORITHM, "typ": "at+jwt", "kid": self.kid });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&head), part(&claims));
        let signature = URL_SAFE_NO_PAD.encode(self.pair.sign(message.as_bytes()));
        Ok(format!("{message}.{signature}"))
    }

    /// What a token says that this mint has signed and that is still good.
    pub fn read(&self, token: &str, now: Timestamp) -> Result<Credential, Rejected> {
        let unverified = Unverified::read(token)?;
        let allowed = [ALGORITHM.to_owned()];
        let algorithm = unverified.algorithm_among(&allowed)?;
        if unverified.kid() != Some(&self.kid) {
            return Err(Rejected::UnknownKey);
        }
        let claims = unverified.signed_by(&self.key, algorithm)?;
        let expected = Expected {
            org: INSTALLATION,
            issuer: ISSUER,
            jwks_uri: None,
            algorithms: &allowed,
            audiences: &[ISSUER],
            skew_secs: SKEW_SECS,
            nonce: None,
        };
        token::check(&claims, &expected, now)?;
        Credential::read(&claims)
    }
}

/// Other gateways have other clocks; a credential is no better than they agree on.
const SKEW_SECS: u32 = 5;

impl Credential {
    fn read(claims: &Map<String, Value>) -> Result<Self, Rejected> {
        let text = |name: &'static str| token::text(claims, name).ok_or(Rejected::Claim(name));
        let subject = text("sub")?;
        let principal = match (subject.parse(), subject.parse()) {
            (Ok(user), _) => Principal::User(user),
            (_, Ok(account)) => Principal::ServiceAccount(account),
            (Err(_), Err(_)) => return Err(Rejected::Claim("sub")),
        };
        let project = token::text(claims, "project").map(str::parse).transpose();
        let moment = |name| token::moment(claims, name)?.ok_or(Rejected::Claim(name));
        Ok(Self {
            org: text("org")?.parse().map_err(|_| Rejected::Claim("org"))?,
            principal,
            project: project.map_err(|_| Rejected::Claim("project"))?,
            via: Via::read(text("via")?).ok_or(Rejected::Claim("via"))?,
            basis: Basis::read(text("basis")?).ok_or(Rejected::Claim("basis"))?,
            issued: moment("iat")?,
            expires: moment("exp")?,
        })
    }
}

impl Basis {
    /// That somebody is one of an issuer's subjects.
    pub fn of_person(issuer: &str, subject: &str) -> Self {
        Self::hash(&json!(["person", issuer, subject]))
    }

    /// That a machine's token is what a rule asks for.
    pub fn of_rule(rule: &WorkloadIdentity) -> Self {
        let WorkloadIdentity { issuer, jwks_uri, audience, algorithms, claims, .. } = rule;
        Self::hash(&json!(["rule", issuer, jwks_uri, audience, algorithms, claims]))
    }

    fn hash(facts: &Value) -> Self {
        let hash = digest::digest(&digest::SHA256, facts.to_string().as_bytes());
        // SHA-256 has 32 bytes.
        Self(hash.as_ref().try_into().unwrap_or_default())
    }

    fn text(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    fn read(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }
}

impl fmt::Debug for Basis {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Basis({})", self.text())
    }
}

impl Via {
    fn text(self) -> String {
        match self {
            Self::Provider(id) => id.to_string(),
            Self::Workload(id) => id.to_string(),
        }
    }

    fn read(text: &str) -> Option<Self> {
        let provider = text.parse().ok().map(Self::Provider);
        provider.or_else(|| text.parse().ok().map(Self::Workload))
    }
}

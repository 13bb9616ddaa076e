//! What the other memories need of the documents: key hashes, and limits with their scopes.

use crate::Fault;
use policies::{
    document::{Document, Kind, On},
    money::NanoUsd,
};

/// Whose records a budget counts: everyone's, or those of one named object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Org,
    Named(Kind, String),
}

impl Scope {
    /// The columns `scope_kind` and `scope_name`.
    pub(crate) fn words(&self) -> (&'static str, &str) {
        match self {
            Self::Org => (Kind::Org.word(), ""),
            Self::Named(kind, name) => (kind.word(), name),
        }
    }

    pub(crate) fn from_words(kind: &str, name: &str) -> Result<Self, Fault> {
        let known = Kind::ALL.iter().find(|known| known.word() == kind);
        let kind = known.ok_or_else(|| Fault::Unreadable {
            what: "budget scope",
            cause: format!("`{kind}` is not a kind"),
        })?;
        Ok(if *kind == Kind::Org { Self::Org } else { Self::Named(*kind, name.to_owned()) })
    }
}

/// The SHA-256 of the secret of a key, also of one for administration; none for other documents,
/// and for a key without a secret.
pub(crate) fn key_hash(document: &Document) -> Result<Option<[u8; 32]>, Fault> {
    let text = if let Document::Key(key) = document {
        &key.sha256
    } else if let Document::AdminKey(key) = document {
        &key.sha256
    } else {
        return Ok(None);
    };
    let Some(text) = text else { return Ok(None) };
    let mut sha256 = [0; 32];
    hex::decode_to_slice(text, &mut sha256).map_err(|cause| Fault::Unreadable {
        what: "key hash",
        cause: format!("key `{}`: {cause}", document.name()),
    })?;
    Ok(Some(sha256))
}

/// The limit and the scope of a budget; none for other documents.
pub(crate) fn budget(document: &Document) -> Result<Option<(NanoUsd, Scope)>, Fault> {
    let Document::Budget(budget) = document else { return Ok(None) };
    let limit = budget.limit.parse().map_err(|cause| Fault::Unreadable {
        what: "budget",
        cause: format!("budget `{}`: {cause}", budget.name),
    })?;
    let named = |kind, name: &str| Scope::Named(kind, name.to_owned());
    let scope = match &budget.on {
        On::Org => Scope::Org,
        On::Unit(name) => named(Kind::Unit, name),
        On::Project(name) => named(Kind::Project, name),
        On::Group(name) => named(Kind::Group, name),
        On::User(name) => named(Kind::User, name),
        On::ServiceAccount(name) => named(Kind::ServiceAccount, name),
        On::Key(name) => named(Kind::Key, name),
        // Refused when it was saved; without a limit nothing is granted.
        On::EndUsers | On::EndUser(_) => return Ok(None),
        On::Tier(name) => named(Kind::Tier, name),
        On::Deployment(name) => named(Kind::Deployment, name),
    };
    Ok(Some((limit, scope)))
}

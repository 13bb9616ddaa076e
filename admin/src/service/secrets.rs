//! Credentials that are sealed into the settings: they can be replaced, and never read back.

#[cfg(test)]
mod tests;

use super::edit;
use policies::{
    document::{Document, Kind, Object, SecretRef},
    ids::{OrgId, Revision},
};
use store::{
    Change, Committed, Fault, Registry,
    audit::Act,
    seal::{Keeper, SealFault, Secret, column},
};

/// Bytes of a credential, at most: more than any header that a provider takes.
pub const CREDENTIAL_BYTES_MAX: usize = 8 * 1024;
/// Times that a change is made anew because somebody else was quicker.
const TRIES_MAX: usize = 5;

/// What has a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Its credential.
    Provider,
    /// Its client secret.
    IdentityProvider,
}

/// A new credential for one object.
pub struct Replacement<'a> {
    pub org: OrgId,
    pub holder: Holder,
    /// The object's name or id.
    pub named: &'a str,
    /// White space around it is taken off.
    pub value: &'a Secret<Vec<u8>>,
    /// Who does it, from where and why; what is done is filled in.
    pub act: Act,
}

/// Why a credential was not replaced. Nothing was changed. No text here holds a part of it.
#[derive(Debug, thiserror::Error)]
pub enum Kept {
    #[error("there is no {kind} `{named}`")]
    NotFound { kind: Kind, named: String },
    /// Only its file may say where its credential is.
    #[error(
        "{kind} `{named}` is locked by its file, which says nothing of a sealed credential: write \
         `{{ stored: true }}` there and apply it, or unlock it"
    )]
    Locked { kind: Kind, named: String },
    #[error("the value {0}")]
    Unfit(&'static str),
    #[error("somebody else changed the settings again and again; try again")]
    Conflict,
    #[error(transparent)]
    Seal(#[from] SealFault),
    #[error(transparent)]
    Store(#[from] Fault),
}

/// Seals the value and puts it in the place of what the object has, with an audit row that does
/// not hold it. Gateways take it over with the revision that is returned.
///
/// # Errors
/// See [`Kept`].
pub async fn set_credential(
    registry: &(impl Registry + ?Sized),
    keeper: &Keeper,
    replacement: Replacement<'_>,
) -> Result<Revision, Kept> {
    let Replacement { org, holder, named, value, act } = replacement;
    let kind = holder.kind();
    let missing = || Kept::NotFound { kind, named: named.to_owned() };
    let sealed = seal(keeper, &org, holder, value).await?;
    let act = Act { action: holder.action().to_owned(), ..act };
    for _ in 0..TRIES_MAX {
        let settings = registry.settings(&org).await?.ok_or_else(missing)?;
        // By its name only if that is no id.
        let id = kind.parse_id(named);
        let is_meant = |object: &&Object| {
            object.document.kind() == kind
                && match &id {
                    Ok(id) => object.id == *id,
                    Err(_) => object.document.name() == named,
                }
        };
        let object = settings.objects.iter().find(is_meant).ok_or_else(missing)?;
        let mut changed = object.clone();
        let slot = holder.slot(&mut changed.document).ok_or_else(missing)?;
        // Its file says that the value is stored, whether one is yet or not.
        let in_store = matches!(slot, Some(SecretRef::Sealed(_) | SecretRef::Stored(_)));
        *slot = Some(sealed.clone());
        if object.document.locked() && !in_store {
            return Err(Kept::Locked { kind, named: named.to_owned() });
        }
        let acts =
            edit::between(&act, std::slice::from_ref(object), std::slice::from_ref(&changed));
        let (from, put) = (settings.revision, vec![changed]);
        match registry.commit(vec![Change { org, from, put, remove: Vec::new(), acts }]).await? {
            Committed::Done(revisions) => {
                return Ok(revisions.first().copied().unwrap_or_default());
            }
            Committed::Conflict(_) => {}
            // The name is the same as before.
            Committed::NameTaken(_) => return Err(Kept::Conflict),
        }
    }
    Err(Kept::Conflict)
}

/// The value as it may stand in a document: sealed for this org and what holds it.
///
/// # Errors
/// The value is no credential, or could not be sealed.
pub async fn seal(
    keeper: &Keeper,
    org: &OrgId,
    holder: Holder,
    value: &Secret<Vec<u8>>,
) -> Result<SecretRef, Kept> {
    let value = value.expose().trim_ascii();
    if value.is_empty() {
        return Err(Kept::Unfit("is empty"));
    }
    if CREDENTIAL_BYTES_MAX < value.len() {
        return Err(Kept::Unfit("is longer than 8192 bytes"));
    }
    if !value.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return Err(Kept::Unfit("must be one line of printable ASCII"));
    }
    Ok(SecretRef::Sealed(keeper.seal(org, holder.column(), value).await?))
}

// === impl Holder ===

impl Holder {
    pub const ALL: [Self; 2] = [Self::Provider, Self::IdentityProvider];

    pub const fn kind(self) -> Kind {
        match self {
            Self::Provider => Kind::Provider,
            Self::IdentityProvider => Kind::IdentityProvider,
        }
    }

    /// What its values are sealed for.
    pub const fn column(self) -> &'static str {
        match self {
            Self::Provider => column::PROVIDER_CREDENTIAL,
            Self::IdentityProvider => column::CLIENT_SECRET,
        }
    }

    /// The word of the audit row.
    pub const fn action(self) -> &'static str {
        match self {
            Self::Provider => "provider.credential_replaced",
            Self::IdentityProvider => "identity_provider.secret_replaced",
        }
    }

    /// The field of its documents.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Provider => "credential",
            Self::IdentityProvider => "client_secret",
        }
    }

    /// What whoever seals a value has to know about files.
    pub const fn in_files(self) -> &'static str {
        match self {
            Self::Provider => {
                "in files of settings, write `credential: { stored: true }` for it: a file that \
                 would drop it is refused, unless it is applied with `--replace-credentials`"
            }
            Self::IdentityProvider => {
                "in files of settings, write `client_secret: { stored: true }` for it: a file that \
                 would drop it is refused, unless it is applied with `--replace-credentials`"
            }
        }
    }

    /// What a document of its kind has.
    pub const fn held(self, document: &Document) -> Option<&SecretRef> {
        match (self, document) {
            (Self::Provider, Document::Provider(it)) => it.credential.as_ref(),
            (Self::IdentityProvider, Document::IdentityProvider(it)) => it.client_secret.as_ref(),
            (Self::Provider | Self::IdentityProvider, _) => None,
        }
    }

    /// Where a document of its kind has the credential.
    fn slot(self, document: &mut Document) -> Option<&mut Option<SecretRef>> {
        match (self, document) {
            (Self::Provider, Document::Provider(it)) => Some(&mut it.credential),
            (Self::IdentityProvider, Document::IdentityProvider(it)) => Some(&mut it.client_secret),
            (Self::Provider | Self::IdentityProvider, _) => None,
        }
    }
}

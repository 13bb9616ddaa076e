//! Where connections of an org's own making may lead, and whose secrets they may carry.
//!
//! Only the operator, who owns the machine and its networks, refers to its environment and files
//! and connects to private addresses. And a stored secret stays with the address it was stored
//! for: whoever could send it elsewhere could read it.

use super::super::record::Difference;
use crate::failure::Failure;
use policies::{
    document::{Document, Object, Provider, SecretRef},
    permission::Permission,
    rights::Rights,
};

/// A provider that somebody else than the operator points anywhere is for the public internet.
pub(in crate::service::edit) fn confine(
    rights: Option<&Rights>,
    before: &[Object],
    after: &mut [Object],
) {
    if rights.is_none_or(|rights| rights.org.has(Permission::Operate)) {
        return;
    }
    for object in after {
        let stored = before.iter().find(|it| it.id == object.id).map(|it| &it.document);
        if let Document::Provider(provider) = &mut object.document {
            provider.public_only |= match stored {
                Some(Document::Provider(stored)) => {
                    stored.public_only || stored.base_url != provider.base_url
                }
                Some(_) | None => true,
            };
        }
    }
}

/// What only the operator may refer to, and where a secret that is kept may go.
pub(in crate::service::edit) fn check(
    rights: &Rights,
    differences: &[Difference<'_>],
) -> Result<(), Failure> {
    let operator = rights.org.has(Permission::Operate);
    for difference in differences {
        let Some(after) = difference.after.and_then(Outward::of) else { continue };
        let before = difference.before.and_then(Outward::of);
        let same_secret = before.as_ref().is_some_and(|before| before.secret == after.secret);
        if !operator && !same_secret && after.secret.is_some_and(is_of_the_machine) {
            let message = "only the operator refers to the environment or to files; store a value";
            return Err(Failure::invalid(after.field, message));
        }
        let moved = before.as_ref().is_some_and(|before| before.address != after.address);
        if !operator && moved && same_secret && after.secret.is_some() {
            let message = "a stored secret stays with its address: remove it in the same change, \
                           and store one for the new address";
            return Err(Failure::invalid(after.field, message));
        }
    }
    Ok(())
}

fn is_of_the_machine(secret: &SecretRef) -> bool {
    match secret {
        SecretRef::Env(_) | SecretRef::File(_) => true,
        SecretRef::Stored(_) | SecretRef::Sealed(_) => false,
    }
}

/// A connection: where it leads, with which secret.
struct Outward<'a> {
    address: (&'a str, Option<&'a str>),
    secret: Option<&'a SecretRef>,
    field: &'static str,
}

impl<'a> Outward<'a> {
    fn of(document: &'a Document) -> Option<Self> {
        if let Document::Provider(Provider { base_url, credential, .. }) = document {
            let (address, secret) = ((base_url.as_str(), None), credential.as_ref());
            return Some(Self { address, secret, field: "credential" });
        }
        let Document::IdentityProvider(it) = document else { return None };
        let address = (it.issuer.as_str(), it.jwks_uri.as_deref());
        Some(Self { address, secret: it.client_secret.as_ref(), field: "client_secret" })
    }
}

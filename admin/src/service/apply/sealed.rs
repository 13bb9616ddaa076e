//! Finds sealed values that a change would drop, and those that are still to be stored.

use super::{merge::Merged, mistake::Located, read::Placed};
use crate::service::secrets::Holder;
use policies::document::{Document, SecretRef};
use std::fmt;

/// What becomes of a sealed value that the files do not keep. It can never be read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// Dropping one is a mistake.
    Kept,
    /// Whoever applies the files means it.
    Replaced,
}

/// A credential that is to be stored, and is not yet: requests that need it are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unset {
    pub org: String,
    pub holder: Holder,
    pub name: String,
}

/// The field of `before` whose sealed value is not in `after` any more.
pub(super) fn dropped(before: &Document, after: Option<&Document>) -> Option<Holder> {
    let has = |holder: &Holder, document: &Document| {
        matches!(holder.held(document), Some(SecretRef::Sealed(_)))
    };
    let lost = |holder: &Holder| {
        has(holder, before) && !after.is_some_and(|document| has(holder, document))
    };
    Holder::ALL.into_iter().find(lost)
}

/// Every sealed value that the change of `org` would drop, as a mistake.
pub(super) fn guard(org: &Merged, placed: &[Placed]) -> Vec<Located> {
    let mut mistakes = Vec::new();
    for object in &org.before {
        let after = org.after.iter().find(|it| it.id == object.id).map(|it| &it.document);
        let Some(holder) = dropped(&object.document, after) else { continue };
        let document = after.unwrap_or(&object.document);
        let told = match after {
            Some(_) => format!("its sealed value would be dropped; {}", holder.in_files()),
            None => format!("its sealed value would go with it; {}", holder.in_files()),
        };
        let at = placed.iter().find(|it| {
            let it = &it.document;
            (it.kind(), it.org(), it.name()) == (document.kind(), &org.name, document.name())
        });
        mistakes.push(Located {
            place: at.map(|at| at.place(holder.field())),
            kind: Some(document.kind().word().to_owned()),
            name: Some(document.name().to_owned()),
            field: holder.field().to_owned(),
            message: told,
        });
    }
    mistakes
}

/// The credentials of `org` that are still to be stored after the change.
pub(super) fn unset(org: &Merged) -> impl Iterator<Item = Unset> {
    org.after.iter().flat_map(|object| {
        let awaited =
            |holder: &Holder| matches!(holder.held(&object.document), Some(SecretRef::Stored(_)));
        Holder::ALL.into_iter().filter(awaited).map(|holder| Unset {
            org: org.name.clone(),
            holder,
            name: object.document.name().to_owned(),
        })
    })
}

impl fmt::Display for Unset {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { org, holder, name } = self;
        let (kind, field) = (holder.kind(), holder.field());
        let (what, option) = match holder {
            Holder::Provider => ("calls that need it are answered with 503", "--provider"),
            Holder::IdentityProvider => ("nobody signs in by it", "--identity-provider"),
        };
        write!(
            formatter,
            "{kind} `{name}` of org `{org}`: no value is stored for its `{field}` yet; {what} \
             until you run: penstock secrets set-credential --org {} {option} {}",
            quoted(org),
            quoted(name)
        )
    }
}

/// A word of a POSIX shell's command line.
pub(crate) fn quoted(text: &str) -> String {
    let plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.' | '@' | '/');
    match !text.is_empty() && !text.starts_with('-') && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

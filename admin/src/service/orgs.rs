//! Finds orgs by name, and says what ids stand for.

use policies::{
    document::{Document, Object},
    ids::OrgId,
};
use std::collections::HashMap;
use store::{Directory, Fault, Settings};

/// Settings of every org. Reads each org once; for administration only, never for a request.
pub async fn all(directory: &(impl Directory + ?Sized)) -> Result<Vec<Settings>, Fault> {
    let mut found = Vec::new();
    for (org, _) in directory.revisions().await? {
        found.extend(directory.settings(&org).await?);
    }
    found.sort_by(|one, other| name(one).cmp(name(other)));
    Ok(found)
}

/// Which org is meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unclear {
    #[error("there is no org `{name}`; there are: {known}")]
    Unknown { name: String, known: String },
    #[error("there are several orgs; name one with --org: {known}")]
    Several { known: String },
    #[error("there is no org yet: `penstock apply` makes one")]
    Empty,
}

/// The org of this name or id; without one, the only org that there is.
pub fn pick(orgs: Vec<Settings>, wanted: Option<&str>) -> Result<Settings, Unclear> {
    let known = orgs.iter().map(name).collect::<Vec<_>>().join(", ");
    if orgs.is_empty() {
        return Err(Unclear::Empty);
    }
    let Some(wanted) = wanted else {
        let mut orgs = orgs.into_iter();
        return match (orgs.next(), orgs.next()) {
            (Some(only), None) => Ok(only),
            (Some(_), Some(_)) | (None, _) => Err(Unclear::Several { known }),
        };
    };
    let is_wanted = |org: &Settings| name(org) == wanted || org.org.to_string() == wanted;
    let unknown = Unclear::Unknown { name: wanted.to_owned(), known };
    orgs.into_iter().find(is_wanted).ok_or(unknown)
}

/// The org's name; empty if it has no document, which the store does not let happen.
pub fn name(settings: &Settings) -> &str {
    document(settings).map_or("", |org| org.name.as_str())
}

pub(super) fn document(settings: &Settings) -> Option<&policies::document::Org> {
    settings.objects.iter().find_map(|object| {
        let Document::Org(org) = &object.document else { return None };
        Some(org)
    })
}

/// Names by the text of their id.
pub(super) fn names(objects: &[Object]) -> HashMap<String, String> {
    let text = |object: &Object| object.document.kind().id_text(object.id);
    objects.iter().map(|it| (text(it), it.document.name().to_owned())).collect()
}

/// The id of an org, whichever object it is.
pub(super) fn id_of(object: &Object) -> OrgId {
    OrgId::from_bytes(object.id)
}

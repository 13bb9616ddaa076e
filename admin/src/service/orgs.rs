//! Finds orgs by name, and says what ids stand for.

use policies::{
    authority::INSTALLATION,
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

/// The org of this name or id; without one, the only org that there is beside the installation.
pub fn pick(orgs: Vec<Settings>, wanted: Option<&str>) -> Result<Settings, Unclear> {
    let list = |orgs: &[Settings]| orgs.iter().map(name).collect::<Vec<_>>().join(", ");
    if orgs.is_empty() {
        return Err(Unclear::Empty);
    }
    let Some(wanted) = wanted else {
        let mut tenants = orgs;
        tenants.retain(|org| org.org != INSTALLATION);
        let known = list(&tenants);
        let mut tenants = tenants.into_iter();
        return match (tenants.next(), tenants.next()) {
            (Some(only), None) => Ok(only),
            (Some(_), Some(_)) => Err(Unclear::Several { known }),
            (None, _) => Err(Unclear::Empty),
        };
    };
    let known = list(&orgs);
    let by_id = orgs.iter().position(|org| org.org.to_string() == wanted);
    let place = by_id.or_else(|| orgs.iter().position(|org| name(org) == wanted));
    let unknown = Unclear::Unknown { name: wanted.to_owned(), known };
    place.and_then(|place| orgs.into_iter().nth(place)).ok_or(unknown)
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

#[cfg(test)]
mod tests {
    use super::*;
    use policies::ids::Revision;
    use serde_json::json;

    fn org(id: OrgId, name: &str) -> Settings {
        let head = serde_json::from_value(json!({ "name": name })).unwrap();
        let objects = vec![Object { id: *id.as_bytes(), document: Document::Org(head) }];
        Settings { org: id, revision: Revision(1), objects }
    }

    #[test]
    fn the_only_tenant_is_meant_where_none_is_named_and_the_installation_is_none() {
        let (acme, globex) = (OrgId::from_bytes([1; 16]), OrgId::from_bytes([2; 16]));
        let house = org(INSTALLATION, "penstock");
        let one = vec![org(acme, "acme"), house.clone()];
        let two = vec![org(acme, "acme"), org(globex, "globex"), house.clone()];

        assert_eq!(pick(one, None).unwrap().org, acme);
        let known = "acme, globex".to_owned();
        assert_eq!(pick(two.clone(), None).unwrap_err(), Unclear::Several { known });
        assert_eq!(pick(two, Some("penstock")).unwrap().org, INSTALLATION);
        assert_eq!(pick(vec![house], None).unwrap_err(), Unclear::Empty);
    }
}

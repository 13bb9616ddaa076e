//! [`Directory`] and [`Registry`] over plain maps.

use super::{Model, World};
use crate::{Change, Committed, Directory, Fault, Registry, Settings, clock, projection, sorted};
use async_trait::async_trait;
use policies::{
    document::{Document, Object},
    ids::{BudgetId, KeyId, OrgId, Revision},
};

#[async_trait]
impl Directory for Model {
    async fn revisions(&self) -> Result<Vec<(OrgId, Revision)>, Fault> {
        Ok(self.read(|world| world.orgs.iter().map(|(id, org)| (*id, org.revision)).collect()))
    }

    async fn settings(&self, org: &OrgId) -> Result<Option<Settings>, Fault> {
        Ok(self.read(|world| {
            let found = world.orgs.get(org)?;
            let objects = found.objects.iter();
            let objects = objects.map(|(id, it)| Object { id: *id, document: it.clone() });
            let objects = sorted(objects.collect());
            Some(Settings { org: *org, revision: found.revision, objects })
        }))
    }

    async fn keys(&self) -> Result<Vec<([u8; 32], OrgId, KeyId)>, Fault> {
        let mut keys = self.read(World::keys)?;
        keys.sort_unstable();
        Ok(keys)
    }

    async fn org_of_key(&self, sha256: &[u8; 32]) -> Result<Option<OrgId>, Fault> {
        let keys = self.read(World::keys)?;
        Ok(keys.into_iter().find(|(hash, ..)| hash == sha256).map(|(_, org, _)| org))
    }
}

#[async_trait]
impl Registry for Model {
    async fn commit(&self, changes: Vec<Change>) -> Result<Committed, Fault> {
        let mut refused = None;
        let outcome = self.write(|world| match world.commit(&changes)? {
            done @ Committed::Done(_) => Ok(done),
            other @ (Committed::Conflict(_) | Committed::NameTaken(_)) => {
                refused = Some(other);
                Err(Fault::Broken("nothing is changed".to_owned()))
            }
        });
        refused.map_or(outcome, Ok)
    }
}

impl World {
    fn keys(&self) -> Result<Vec<([u8; 32], OrgId, KeyId)>, Fault> {
        let mut keys = Vec::new();
        for (org, it) in &self.orgs {
            for (id, document) in &it.objects {
                if let Some(sha256) = projection::key_hash(document)? {
                    keys.push((sha256, *org, KeyId::from_bytes(*id)));
                }
            }
        }
        Ok(keys)
    }

    fn commit(&mut self, changes: &[Change]) -> Result<Committed, Fault> {
        let mut revisions = Vec::new();
        for change in changes {
            let org = self.orgs.entry(change.org).or_default();
            if org.revision != change.from {
                return Ok(Committed::Conflict(change.org));
            }
            org.revision = Revision(org.revision.0 + 1);
            revisions.push(org.revision);
        }
        for change in changes {
            let Some(org) = self.orgs.get_mut(&change.org) else { continue };
            let put = change.put.iter().map(|object| &object.id);
            for id in change.remove.iter().chain(put) {
                org.objects.remove(id);
            }
        }
        for change in changes {
            for object in &change.put {
                if self.is_taken(&change.org, object)? {
                    return Ok(Committed::NameTaken(object.document.name().to_owned()));
                }
                self.put(&change.org, object)?;
            }
        }
        for (change, revision) in changes.iter().zip(&revisions) {
            self.append(&change.org, &change.acts, Some(*revision))?;
        }
        Ok(Committed::Done(revisions))
    }

    fn is_taken(&self, org: &OrgId, object: &Object) -> Result<bool, Fault> {
        let (kind, name) = (object.document.kind(), object.document.name());
        let same = |other: &Document| other.kind() == kind && other.name() == name;
        let is_org = matches!(object.document, Document::Org(_));
        let named = self.orgs.iter().any(|(id, it)| {
            (id == org || is_org) && it.objects.values().any(same)
                || id == org && it.objects.contains_key(&object.id)
        });
        let sha256 = projection::key_hash(&object.document)?;
        let hashed = match sha256 {
            Some(sha256) => self.keys()?.iter().any(|(other, ..)| *other == sha256),
            None => false,
        };
        Ok(named || hashed)
    }

    fn put(&mut self, org: &OrgId, object: &Object) -> Result<(), Fault> {
        if let Some((limit, _)) = projection::budget(&object.document)? {
            let now = clock::now();
            for ((of, pot), row) in &mut self.pots {
                let same = pot.budget == BudgetId::from_bytes(object.id);
                if of == org && same && now < pot.span.ends {
                    row.limit = limit;
                }
            }
        }
        let objects = self.orgs.entry(*org).or_default();
        objects.objects.insert(object.id, object.document.clone());
        Ok(())
    }
}

//! An org's settings while they are being changed.

use crate::{failure::Failure, service::apply};
use policies::document::{Document, Kind, Object};
use store::{Settings, entropy};

pub struct Draft {
    objects: Vec<Object>,
}

impl Draft {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { objects: settings.objects.clone() }
    }

    pub fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// The object of this kind and id.
    pub fn get(&self, kind: Kind, id: &[u8; 16]) -> Result<&Document, Failure> {
        let same = |it: &&Object| it.id == *id && it.document.kind() == kind;
        self.objects.iter().find(same).map(|it| &it.document).ok_or(Failure::NotFound)
    }

    pub fn by_name(&self, kind: Kind, name: &str) -> Option<&Object> {
        self.objects.iter().find(|it| it.document.kind() == kind && it.document.name() == name)
    }

    /// The name of the object of this kind and id.
    pub fn name(&self, kind: Kind, id: &[u8; 16]) -> Result<String, Failure> {
        self.get(kind, id).map(|document| document.name().to_owned())
    }

    /// Adds an object; its id is made here.
    pub fn insert(&mut self, mut document: Document) -> Result<[u8; 16], Failure> {
        self.must_be_free(&document, None)?;
        document.set_id(None);
        let id = entropy::id()?;
        self.objects.push(Object { id, document });
        Ok(id)
    }

    /// Puts `document` in the place of the object with this id; references to it follow its name.
    /// What nobody writes by hand stays as it was, unless `document` has it.
    pub fn replace(&mut self, id: &[u8; 16], mut document: Document) -> Result<(), Failure> {
        self.must_be_free(&document, Some(id))?;
        document.set_id(None);
        let object = self.objects.iter_mut().find(|it| it.id == *id).ok_or(Failure::NotFound)?;
        let (kind, old) = (object.document.kind(), object.document.name().to_owned());
        let new = document.name().to_owned();
        object.document = document;
        if old != new {
            apply::rename(&mut self.objects, kind, &old, &new);
        }
        Ok(())
    }

    /// Changes the object of this kind and id in place.
    pub fn update(
        &mut self,
        kind: Kind,
        id: &[u8; 16],
        change: impl FnOnce(&mut Document) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut document = self.get(kind, id)?.clone();
        change(&mut document)?;
        self.replace(id, document)
    }

    pub fn remove(&mut self, kind: Kind, id: &[u8; 16]) -> Result<(), Failure> {
        self.get(kind, id)?;
        self.objects.retain(|object| object.id != *id);
        Ok(())
    }

    /// A name is unique among its kind in its org.
    fn must_be_free(&self, document: &Document, id: Option<&[u8; 16]>) -> Result<(), Failure> {
        match self.by_name(document.kind(), document.name()) {
            Some(other) if Some(&other.id) != id => {
                Err(Failure::Taken { what: format!("the name `{}`", document.name()) })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The objects in their order, each with the org's name in it.
    pub(super) fn finish(self) -> Vec<Object> {
        let Self { mut objects } = self;
        let head = objects.iter().find(|it| it.document.kind() == Kind::Org);
        let name = head.map_or_else(String::new, |head| head.document.name().to_owned());
        for object in &mut objects {
            apply::set_org(&mut object.document, &name);
        }
        objects.sort_by(|one, other| {
            let key = |it: &Object| (it.document.kind(), it.document.name().to_owned());
            key(one).cmp(&key(other))
        });
        objects
    }
}

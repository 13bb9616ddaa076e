//! Matches documents with stored objects: by pinned id, else by kind and name.

use super::{Absent, mistake::Located, read::Placed};
use crate::service::orgs;
use policies::{
    authority::{INSTALLATION, INSTALLATION_NAME},
    document::{Document, Kind, Object},
    ids::{OrgId, Revision},
};
use std::collections::{BTreeMap, HashMap, HashSet};
use store::{Settings, entropy};

/// One org before and after the change.
#[derive(Debug)]
pub(super) struct Merged {
    pub(super) org: OrgId,
    pub(super) name: String,
    pub(super) from: Revision,
    pub(super) before: Vec<Object>,
    pub(super) after: Vec<Object>,
}

/// Every org that the documents name, in the order of their names.
pub(super) fn merge(
    stored: &[Settings],
    placed: &[Placed],
    absent: Absent,
    mistakes: &mut Vec<Located>,
) -> Result<Vec<Merged>, entropy::Dry> {
    let mut merging = Merging::new(stored, mistakes);
    // An object that a document pins is not found by its name, which may be another's from now on.
    merging.pinned = placed.iter().filter_map(pin).collect();
    let unique = merging.unique(placed);
    let (heads, others): (Vec<&Placed>, Vec<&Placed>) =
        unique.into_iter().partition(|it| it.document.kind() == Kind::Org);
    for head in heads {
        merging.org(head)?;
    }
    let ids = merging.ids();
    let mut known: Vec<&str> = ids.keys().map(String::as_str).collect();
    known.sort_unstable();
    for other in others {
        let name = other.document.org();
        match ids.get(name) {
            Some(org) => merging.object(*org, other)?,
            None => {
                let known = known.join(", ");
                let message = format!("there is no org `{name}` (known: {known})");
                merging.mistake(other, "org", message);
            }
        }
    }
    Ok(merging.finish(absent))
}

fn pin(placed: &Placed) -> Option<[u8; 16]> {
    placed.document.kind().parse_id(placed.document.id()?).ok()
}

struct Merging<'a> {
    stored: &'a [Settings],
    /// Every id that a document names.
    pinned: HashSet<[u8; 16]>,
    /// The kind and org of every id that is taken.
    taken: HashMap<[u8; 16], (OrgId, Kind)>,
    drafts: BTreeMap<OrgId, Draft<'a>>,
    mistakes: &'a mut Vec<Located>,
}

struct Draft<'a> {
    settings: Option<&'a Settings>,
    /// What the files describe.
    put: Vec<Object>,
}

impl<'a> Merging<'a> {
    fn new(stored: &'a [Settings], mistakes: &'a mut Vec<Located>) -> Self {
        let objects = stored.iter().flat_map(|settings| {
            settings.objects.iter().map(|it| (it.id, (settings.org, it.document.kind())))
        });
        let (taken, pinned) = (objects.collect(), HashSet::new());
        Self { stored, pinned, taken, drafts: BTreeMap::new(), mistakes }
    }

    fn mistake(&mut self, at: &Placed, field: &str, message: String) {
        let word = Some(at.document.kind().word().to_owned());
        let located = Located::of_file(at.place(field), message);
        let name = Some(at.document.name().to_owned());
        self.mistakes.push(located.with(word, name, field.to_owned()));
    }

    /// The documents without those that describe an object a second time.
    fn unique<'b>(&mut self, placed: &'b [Placed]) -> Vec<&'b Placed> {
        let mut names: HashMap<(&str, Kind, &str), &Placed> = HashMap::new();
        let mut pins: HashMap<&str, &Placed> = HashMap::new();
        let mut unique = Vec::new();
        for it in placed {
            let document = &it.document;
            let key = (document.org(), document.kind(), document.name());
            let pinned = document.id().and_then(|id| pins.get(id)).copied();
            if let Some(first) = names.get(&key).copied() {
                let place = first.place("");
                let message = format!("is described already at {}:{}", place.file, place.line);
                self.mistake(it, "name", message);
            } else if let Some(first) = pinned {
                let place = first.place("id");
                let message = format!("is pinned already at {}:{}", place.file, place.line);
                self.mistake(it, "id", message);
            } else {
                names.insert(key, it);
                pins.extend(document.id().map(|id| (id, it)));
                unique.push(it);
            }
        }
        unique
    }

    fn pin_of(&mut self, at: &Placed) -> Option<[u8; 16]> {
        match at.document.kind().parse_id(at.document.id()?) {
            Ok(id) => Some(id),
            Err(fault) => {
                self.mistake(at, "id", fault.to_string());
                None
            }
        }
    }

    fn org(&mut self, at: &Placed) -> Result<(), entropy::Dry> {
        let stored = self.stored;
        let mut named = stored.iter().find(|it| orgs::name(it) == at.document.name());
        if at.document.id().is_none() {
            named = named.filter(|it| !self.pinned.contains(it.org.as_bytes()));
        }
        let id = match (self.pin_of(at), named) {
            (Some(id), Some(named)) if *named.org.as_bytes() != id => {
                self.mistake(at, "name", format!("is the name of another org, {}", named.org));
                return Ok(());
            }
            (Some(id), _) => id,
            (None, Some(named)) => *named.org.as_bytes(),
            // There is one org of this name, and everybody knows its id.
            (None, None) if at.document.name() == INSTALLATION_NAME => *INSTALLATION.as_bytes(),
            (None, None) => entropy::id()?,
        };
        let org = OrgId::from_bytes(id);
        if self.taken.get(&id).is_some_and(|taken| *taken != (org, Kind::Org)) {
            self.mistake(at, "id", "is the id of another object".to_owned());
            return Ok(());
        }
        self.taken.insert(id, (org, Kind::Org));
        self.draft(org).put.push(object(id, at));
        Ok(())
    }

    fn object(&mut self, org: OrgId, at: &Placed) -> Result<(), entropy::Dry> {
        let kind = at.document.kind();
        let id = match self.pin_of(at) {
            Some(id) => {
                if self.taken.get(&id).is_some_and(|taken| *taken != (org, kind)) {
                    self.mistake(at, "id", "is the id of another object".to_owned());
                    return Ok(());
                }
                id
            }
            None => match self.stored_id(org, at) {
                Some(id) => id,
                None => entropy::id()?,
            },
        };
        self.taken.insert(id, (org, kind));
        let mut object = object(id, at);
        if let Some(stored) = self.objects_of(org).iter().find(|stored| stored.id == id) {
            object.document.keep_secrets_of(&stored.document);
        }
        self.draft(org).put.push(object);
        Ok(())
    }

    fn objects_of(&self, org: OrgId) -> &'a [Object] {
        let settings = self.stored.iter().find(|settings| settings.org == org);
        settings.map_or(&[], |settings| settings.objects.as_slice())
    }

    fn stored_id(&self, org: OrgId, at: &Placed) -> Option<[u8; 16]> {
        let (kind, name) = (at.document.kind(), at.document.name());
        let same = |it: &&Object| it.document.kind() == kind && it.document.name() == name;
        let found = self.objects_of(org).iter().find(same).map(|object| object.id);
        found.filter(|id| !self.pinned.contains(id))
    }

    fn draft(&mut self, org: OrgId) -> &mut Draft<'a> {
        let settings = self.stored.iter().find(|settings| settings.org == org);
        self.drafts.entry(org).or_insert_with(|| Draft { settings, put: Vec::new() })
    }

    /// The id of every org by the name that it has after the change.
    fn ids(&self) -> HashMap<String, OrgId> {
        let kept = self.stored.iter().filter(|settings| !self.drafts.contains_key(&settings.org));
        let kept = kept.map(|settings| (orgs::name(settings).to_owned(), settings.org));
        let heads = self.drafts.values().flat_map(|draft| &draft.put);
        let heads = heads.map(|head| (head.document.name().to_owned(), orgs::id_of(head)));
        kept.chain(heads).collect()
    }

    fn finish(self, absent: Absent) -> Vec<Merged> {
        let mut merged: Vec<Merged> =
            self.drafts.into_iter().map(|(org, draft)| draft.finish(org, absent)).collect();
        merged.sort_by(|one, other| one.name.cmp(&other.name));
        merged
    }
}

fn object(id: [u8; 16], at: &Placed) -> Object {
    let mut document = at.document.clone();
    document.set_id(None);
    Object { id, document }
}

impl Draft<'_> {
    fn finish(self, org: OrgId, absent: Absent) -> Merged {
        let before = self.settings.map_or_else(Vec::new, |settings| settings.objects.clone());
        let from = self.settings.map_or(Revision(0), |settings| settings.revision);
        let put: HashSet<[u8; 16]> = self.put.iter().map(|object| object.id).collect();
        let renames = renames(&before, &self.put);
        let mut after = self.put;
        for object in &before {
            let kind = object.document.kind();
            let kept = absent == Absent::Kept || kind == Kind::Org || !kind.is_declared();
            if kept && !put.contains(&object.id) {
                let mut object = object.clone();
                follow(&mut object.document, &renames);
                after.push(object);
            }
        }
        let head = after.iter().find(|object| object.document.kind() == Kind::Org);
        let name = head.map_or_else(String::new, |head| head.document.name().to_owned());
        for object in &mut after {
            set_org(&mut object.document, &name);
        }
        after.sort_by(|one, other| order(one).cmp(&order(other)));
        Merged { org, name, from, before, after }
    }
}

fn order(object: &Object) -> (Kind, &str) {
    (object.document.kind(), object.document.name())
}

/// New names by kind and old name.
fn renames(before: &[Object], put: &[Object]) -> HashMap<(Kind, String), String> {
    let old: HashMap<[u8; 16], &Document> =
        before.iter().map(|object| (object.id, &object.document)).collect();
    let renamed = put.iter().filter_map(|object| {
        let old = old.get(&object.id)?;
        let (old, new) = (old.name(), object.document.name());
        (old != new).then(|| ((object.document.kind(), old.to_owned()), new.to_owned()))
    });
    renamed.collect()
}

/// References to the object of this kind and old name follow it to its new one.
pub(crate) fn rename(objects: &mut [Object], kind: Kind, old: &str, new: &str) {
    let renames = HashMap::from([((kind, old.to_owned()), new.to_owned())]);
    for object in objects {
        follow(&mut object.document, &renames);
    }
}

fn follow(document: &mut Document, renames: &HashMap<(Kind, String), String>) {
    for (_field, kind, name) in document.references() {
        if let Some(new) = renames.get(&(kind, name.clone())) {
            name.clone_from(new);
        }
    }
}

/// Writes the org's name into a document of it.
pub(crate) fn set_org(document: &mut Document, name: &str) {
    let org = match document {
        // An org's name is its own; it was set by the file or was there before.
        Document::Org(_) => return,
        Document::Unit(it) => &mut it.org,
        Document::Project(it) => &mut it.org,
        Document::User(it) => &mut it.org,
        Document::Group(it) => &mut it.org,
        Document::ServiceAccount(it) => &mut it.org,
        Document::Key(it) => &mut it.org,
        Document::Provider(it) => &mut it.org,
        Document::Deployment(it) => &mut it.org,
        Document::Tier(it) => &mut it.org,
        Document::Model(it) => &mut it.org,
        Document::Price(it) => &mut it.org,
        Document::Limit(it) => &mut it.org,
        Document::Budget(it) => &mut it.org,
        Document::Policy(it) => &mut it.org,
        Document::Role(it) => &mut it.org,
        Document::IdentityProvider(it) => &mut it.org,
        Document::WorkloadIdentity(it) => &mut it.org,
        Document::AdminKey(it) => &mut it.org,
        Document::Invite(it) => &mut it.org,
        Document::LimitRequest(it) => &mut it.org,
    };
    if org != name {
        name.clone_into(org);
    }
}

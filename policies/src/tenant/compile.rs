//! From an org's documents to its [`Tenant`], or everything that is wrong with them.

mod deployments;
mod grants;
mod identity;
mod people;
#[cfg(test)]
mod tests;
mod texts;

use super::{LimitRule, Tenant};
use crate::{
    authority,
    document::{Document, Kind, Mistake, NAME_CHARS_MAX, Object, On, is_id},
    ids::{LimitId, OrgId, Revision},
    money::NanoUsd,
    refusal::Place,
};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use std::{collections::HashMap, sync::Arc};

/// Reads all documents of one org. Every mistake is told at once, in the order of the documents.
pub fn compile(objects: &[Object], revision: Revision) -> Result<Tenant, Vec<Mistake>> {
    let mut reading = Reading::new(objects);
    reading.check_names();
    reading.check_references();
    reading.check_texts();
    reading.check_units();
    reading.check_people();
    reading.check_identity();
    if !reading.mistakes.is_empty() {
        return Err(reading.mistakes);
    }
    let tenant = reading.tenant(revision);
    match tenant {
        Some(tenant) if reading.mistakes.is_empty() => Ok(tenant),
        Some(_) | None => Err(reading.mistakes),
    }
}

struct Reading<'a> {
    objects: &'a [Object],
    by_name: HashMap<(Kind, &'a str), &'a Object>,
    /// The names of each user's groups, in the order of the documents.
    groups: HashMap<&'a str, Vec<&'a str>>,
    mistakes: Vec<Mistake>,
}

impl<'a> Reading<'a> {
    fn new(objects: &'a [Object]) -> Self {
        let key = |object: &'a Object| (object.document.kind(), object.document.name());
        let by_name = objects.iter().map(|object| (key(object), object)).collect();
        let mut groups: HashMap<&str, Vec<&str>> = HashMap::new();
        for object in objects {
            let Document::Group(group) = &object.document else { continue };
            for member in &group.members {
                let of_member = groups.entry(member).or_default();
                // Somebody may be listed twice.
                if of_member.last() != Some(&group.name.as_str()) {
                    of_member.push(&group.name);
                }
            }
        }
        Self { objects, by_name, groups, mistakes: Vec::new() }
    }

    fn mistake(&mut self, at: &Document, field: &str, message: impl Into<String>) {
        self.mistakes.push(Mistake {
            kind: at.kind(),
            name: at.name().to_owned(),
            field: field.to_owned(),
            message: message.into(),
        });
    }

    fn check_names(&mut self) {
        let mut seen: HashMap<(Kind, &str), usize> = HashMap::new();
        for object in self.objects {
            let (document, name) = (&object.document, object.document.name());
            if name.is_empty() || NAME_CHARS_MAX < name.chars().count() {
                self.mistake(
                    document,
                    "name",
                    format!("must have 1 to {NAME_CHARS_MAX} characters"),
                );
            } else if name.chars().any(char::is_control) || name.trim() != name {
                self.mistake(document, "name", "has control characters, or white space around it");
            }
            // Things are found by id or by name: a name that is an id would stand for two.
            if is_id(name) {
                self.mistake(document, "name", "has the form of an id");
            }
            let count = seen.entry((document.kind(), name)).or_default();
            *count += 1;
            if *count == 2 {
                self.mistake(document, "name", "another object of this kind has the same name");
            }
        }
    }

    fn check_references(&mut self) {
        for object in self.objects {
            let mut document = object.document.clone();
            for (field, kind, name) in document.references() {
                if !self.by_name.contains_key(&(kind, name.as_str())) {
                    let message = format!("there is no {kind} `{name}`");
                    self.mistake(&object.document, field, message);
                }
            }
        }
    }

    fn id(&self, kind: Kind, name: &str) -> [u8; 16] {
        self.by_name.get(&(kind, name)).map_or([0; 16], |object| object.id)
    }

    fn tenant(&mut self, revision: Revision) -> Option<Tenant> {
        let objects = self.objects;
        let (id, org) = objects.iter().find_map(|object| {
            let Document::Org(org) = &object.document else { return None };
            Some((OrgId::from_bytes(object.id), org))
        })?;
        let zone = self.zone(&org.time_zone);
        let limits = self.limits();
        let deployments = self.deployments(&limits);
        let models = self.models(&deployments, &limits);
        let granted = self.grants(&limits);
        let each = |(on, rule): &(&On, Arc<LimitRule>)| {
            matches!(on, On::EndUsers).then(|| Arc::clone(rule))
        };
        Some(Tenant {
            org: id,
            name: org.name.clone(),
            revision,
            zone,
            support: org.support.clone(),
            grants: granted.grants,
            key_hashes: self.key_hashes(),
            retired: self.retired(),
            access: granted.access,
            people: self.people(),
            machines: self.machines(),
            issuers: self.issuers(),
            workloads: self.workloads(),
            sources: authority::networks(&org.sources),
            active: org.active,
            credential_hours: org.credential_hours,
            end_users: limits.iter().filter_map(each).collect(),
            end_user: end_user_limits(&limits),
            models,
            deployments: deployments.into_values().map(|it| (it.id, it)).collect(),
            names: objects.iter().map(|it| (it.id, it.document.name().to_owned())).collect(),
        })
    }

    fn zone(&mut self, name: &str) -> TimeZone {
        let found = TimeZoneDatabase::bundled().get(name);
        found.unwrap_or_else(|_| {
            for object in self.objects {
                if object.document.kind() == Kind::Org {
                    let message = format!("there is no time zone `{name}` (IANA names only)");
                    self.mistake(&object.document, "time_zone", message);
                }
            }
            TimeZone::UTC
        })
    }

    pub(super) fn limits(&mut self) -> Vec<(&'a On, Arc<LimitRule>)> {
        let mut rules = Vec::new();
        for object in self.objects {
            let Document::Limit(limit) = &object.document else { continue };
            let given = [
                ("requests_per_minute", limit.requests_per_minute),
                ("requests_per_day", limit.requests_per_day),
                ("tokens_per_minute", limit.tokens_per_minute),
                ("tokens_per_day", limit.tokens_per_day),
                ("concurrent_requests", limit.concurrent_requests),
            ];
            for (field, value) in given {
                if value.is_some_and(|value| value < 1) {
                    self.mistake(&object.document, field, "must be 1 or more");
                }
            }
            if given.iter().all(|(_, value)| value.is_none()) {
                self.mistake(&object.document, "requests_per_minute", "the limit limits nothing");
            }
            let rule = LimitRule {
                id: LimitId::from_bytes(object.id),
                place: place(&limit.on),
                requests_per_minute: limit.requests_per_minute,
                requests_per_day: limit.requests_per_day,
                tokens_per_minute: limit.tokens_per_minute,
                tokens_per_day: limit.tokens_per_day,
                concurrent_requests: limit.concurrent_requests,
            };
            rules.push((&limit.on, Arc::new(rule)));
        }
        rules
    }

    fn usd(&mut self, at: &Object, field: &str, text: Option<&String>) -> Option<NanoUsd> {
        match text?.parse::<NanoUsd>() {
            Ok(amount) if NanoUsd::ZERO <= amount => Some(amount),
            Ok(_) => {
                self.mistake(&at.document, field, "must not be negative");
                None
            }
            Err(fault) => {
                self.mistake(&at.document, field, fault.to_string());
                None
            }
        }
    }
}

fn end_user_limits(limits: &[(&On, Arc<LimitRule>)]) -> HashMap<String, Vec<Arc<LimitRule>>> {
    let mut by_name: HashMap<String, Vec<Arc<LimitRule>>> = HashMap::new();
    for (on, rule) in limits {
        if let On::EndUser(name) = on {
            by_name.entry(name.clone()).or_default().push(Arc::clone(rule));
        }
    }
    by_name
}

fn place(on: &On) -> Place {
    let own = matches!(on, On::Key(_) | On::User(_) | On::ServiceAccount(_));
    Place { level: on.word(), own }
}

/// The rules that are set on one of `places`, in the order of the places.
fn matching<T>(rules: &[(&On, Arc<T>)], places: &[On]) -> Vec<Arc<T>> {
    let on_place = |place| rules.iter().filter(move |(on, _)| *on == place);
    places.iter().flat_map(on_place).map(|(_, rule)| Arc::clone(rule)).collect()
}

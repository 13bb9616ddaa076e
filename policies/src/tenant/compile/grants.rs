//! What each key stands for, joined with everything that binds it.

use super::{Reading, matching, place};
use crate::{
    budget::CHAIN_POTS_MAX,
    data::{Rule, Rules},
    document::{self as doc, Document, Kind, Object, On, UNIT_DEPTH_MAX},
    ids::{BudgetId, KeyId, ProjectId, ServiceAccountId, UnitId, UserId},
    tenant::{BudgetRule, Grant, LimitRule},
    time::Timestamp,
    usage::Principal,
};
use std::{collections::HashMap, sync::Arc};

impl<'a> Reading<'a> {
    pub(super) fn grants(
        &mut self,
        limits: &[(&'a On, Arc<LimitRule>)],
    ) -> HashMap<KeyId, Arc<Grant>> {
        let budgets = self.budgets();
        let org_rules = self.rules_of(None);
        let mut grants = HashMap::new();
        for object in self.objects {
            let Document::Key(key) = &object.document else { continue };
            let Some(place) = self.place_of(key) else { continue };
            let expires = key.expires.as_deref().map(Timestamp::parse);
            if expires == Some(None) {
                self.mistake(&object.document, "expires", "must be RFC 3339, or a date");
            }
            let chain = self.chain_of(key, &place);
            let grant = Grant {
                key: KeyId::from_bytes(object.id),
                name: key.name.clone(),
                active: key.active && place.owner_active,
                expires: expires.flatten(),
                principal: place.principal,
                project: ProjectId::from_bytes(self.id(Kind::Project, &key.project)),
                unit_path: place
                    .units
                    .iter()
                    .map(|unit| UnitId::from_bytes(self.id(Kind::Unit, unit)))
                    .collect(),
                cost_centre: place.cost_centre,
                tags: place.project.tags.clone(),
                floor: place.project.data_level,
                rules: Rules { org: org_rules.clone(), project: self.rules_of(Some(&key.project)) },
                models: (!key.models.is_empty()).then(|| key.models.iter().cloned().collect()),
                budgets: matching(&budgets, &chain),
                limits: matching(limits, &chain),
            };
            if CHAIN_POTS_MAX < grant.budgets.len() {
                let message = format!("more than {CHAIN_POTS_MAX} budgets apply to it");
                self.mistake(&object.document, "project", message);
            }
            grants.insert(grant.key, Arc::new(grant));
        }
        grants
    }

    /// A key without a hash has not been issued yet, and opens nothing.
    pub(super) fn key_hashes(&self) -> Vec<([u8; 32], KeyId)> {
        let hash = |object: &Object| {
            let Document::Key(key) = &object.document else { return None };
            Some((sha256(key.sha256.as_deref()?)?, object.id))
        };
        let hashes = self.objects.iter().filter_map(hash);
        hashes.map(|(hash, id)| (hash, KeyId::from_bytes(id))).collect()
    }

    fn budgets(&mut self) -> Vec<(&'a On, Arc<BudgetRule>)> {
        let mut rules = Vec::new();
        for object in self.objects {
            let Document::Budget(it) = &object.document else { continue };
            if matches!(it.on, On::Tier(_) | On::Deployment(_)) {
                self.mistake(&object.document, "on", "a budget is not set on a tier or deployment");
            }
            let limit = self.usd(object, "limit", Some(&it.limit)).unwrap_or_default();
            let id = BudgetId::from_bytes(object.id);
            let rule = BudgetRule { id, place: place(&it.on), period: it.period, limit };
            rules.push((&it.on, Arc::new(rule)));
        }
        rules
    }

    fn rules_of(&self, project: Option<&str>) -> Vec<Rule> {
        let policies = self.objects.iter().filter_map(|object| {
            let Document::Policy(it) = &object.document else { return None };
            (it.project.as_deref() == project).then_some(&it.rules)
        });
        policies.flatten().cloned().collect()
    }

    fn place_of(&self, key: &'a doc::Key) -> Option<PlaceOfKey<'a>> {
        let project = self.by_name.get(&(Kind::Project, key.project.as_str()))?;
        let Document::Project(project) = &project.document else { return None };
        let (principal, owner_active) = match &key.owner {
            doc::Owner::User(name) => {
                let user = self.by_name.get(&(Kind::User, name.as_str()))?;
                let Document::User(it) = &user.document else { return None };
                (Principal::User(UserId::from_bytes(user.id)), it.active)
            }
            doc::Owner::ServiceAccount(name) => {
                let account = self.by_name.get(&(Kind::ServiceAccount, name.as_str()))?;
                let Document::ServiceAccount(it) = &account.document else { return None };
                let id = ServiceAccountId::from_bytes(account.id);
                (Principal::ServiceAccount(id), it.active)
            }
        };
        let (units, of_units) = self.units_above(project.unit.as_deref());
        let cost_centre = project.cost_centre.clone().or(of_units);
        Some(PlaceOfKey { project, principal, owner_active, units, cost_centre })
    }

    /// Every unit, whether a project is below it or not.
    pub(super) fn check_units(&mut self) {
        for object in self.objects {
            let Document::Unit(it) = &object.document else { continue };
            if UNIT_DEPTH_MAX < self.units_above(Some(&it.name)).0.len() {
                let message = format!("the tree is deeper than {UNIT_DEPTH_MAX}, or has a circle");
                self.mistake(&object.document, "parent", message);
            }
        }
    }

    /// The units from the top down to `unit`, and the nearest cost centre among them. Ends one
    /// above the deepest that is allowed: a circle is as good as too deep.
    fn units_above(&self, unit: Option<&'a str>) -> (Vec<&'a str>, Option<String>) {
        let (mut path, mut cost_centre) = (Vec::new(), None);
        let mut next = unit;
        while let Some(name) = next
            && path.len() <= UNIT_DEPTH_MAX
        {
            let Some(object) = self.by_name.get(&(Kind::Unit, name)).copied() else { break };
            let Document::Unit(it) = &object.document else { break };
            path.push(name);
            cost_centre = cost_centre.or_else(|| it.cost_centre.clone());
            next = it.parent.as_deref();
        }
        path.reverse();
        (path, cost_centre)
    }

    /// Everything that binds a key, from the org down to itself.
    fn chain_of(&self, key: &doc::Key, place: &PlaceOfKey<'_>) -> Vec<On> {
        let mut chain = vec![On::Org];
        chain.extend(place.units.iter().map(|unit| On::Unit((*unit).to_owned())));
        chain.push(On::Project(key.project.clone()));
        match &key.owner {
            doc::Owner::User(user) => {
                for object in self.objects {
                    let Document::Group(group) = &object.document else { continue };
                    if group.members.contains(user) {
                        chain.push(On::Group(group.name.clone()));
                    }
                }
                chain.push(On::User(user.clone()));
            }
            doc::Owner::ServiceAccount(name) => chain.push(On::ServiceAccount(name.clone())),
        }
        chain.push(On::Key(key.name.clone()));
        chain
    }
}

struct PlaceOfKey<'a> {
    project: &'a doc::Project,
    principal: Principal,
    owner_active: bool,
    units: Vec<&'a str>,
    cost_centre: Option<String>,
}

/// Reads 64 hexadecimal digits.
fn sha256(hex: &str) -> Option<[u8; 32]> {
    let (high, low) = hex.split_at_checked(32)?;
    if low.len() != 32 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let half = |digits| u128::from_str_radix(digits, 16).map(u128::to_be_bytes).ok();
    let mut hash = [0; 32];
    let bytes = half(high)?.into_iter().chain(half(low)?);
    hash.iter_mut().zip(bytes).for_each(|(into, byte)| *into = byte);
    Some(hash)
}

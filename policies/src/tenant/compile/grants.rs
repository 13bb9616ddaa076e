//! What each key stands for, joined with everything that binds it.

use super::{Reading, matching, place};
use crate::{
    authority::{self, Roster},
    budget::CHAIN_POTS_MAX,
    data::{Rule, Rules},
    document::{self as doc, Document, Kind, Object, On, Owner, Scope, Subject, UNIT_DEPTH_MAX},
    ids::{BudgetId, KeyId, ProjectId, ServiceAccountId, UnitId, UserId},
    key,
    permission::{Permission, Permissions},
    rights::{Reach, Rights},
    tenant::{BudgetRule, Grant, LimitRule},
    time::Timestamp,
    usage::Principal,
};
use ipnet::IpNet;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// What the keys, and those who come without one, stand for.
pub(super) struct Granted {
    pub(super) grants: HashMap<KeyId, Arc<Grant>>,
    pub(super) access: BTreeMap<(Principal, ProjectId), KeyId>,
}

/// Rules that are joined once for all grants.
struct Joined<'a, 'b> {
    limits: &'b [(&'a On, Arc<LimitRule>)],
    budgets: Vec<(&'a On, Arc<BudgetRule>)>,
    rules: HashMap<&'a str, Arc<Rules>>,
    /// What each user may do, by name.
    rights: HashMap<&'a str, Rights>,
}

impl<'a> Reading<'a> {
    pub(super) fn grants(&mut self, limits: &[(&'a On, Arc<LimitRule>)]) -> Granted {
        let budgets = self.budgets();
        let org = self.rules_of(None);
        let projects = self.objects.iter().filter_map(|object| {
            let Document::Project(project) = &object.document else { return None };
            let rules = Rules { org: org.clone(), project: self.rules_of(Some(&project.name)) };
            Some((project.name.as_str(), Arc::new(rules)))
        });
        let roster = Roster::new(self.objects);
        let people = self.objects.iter().filter_map(|object| {
            let Document::User(user) = &object.document else { return None };
            Some((user.name.as_str(), roster.person(user).rights))
        });
        let rights = people.collect();
        let joined = Joined { limits, budgets, rules: projects.collect(), rights };
        let mut granted = Granted { grants: HashMap::new(), access: BTreeMap::new() };
        for object in self.objects {
            let Document::Key(key) = &object.document else { continue };
            let holder = Holder { owner: &key.owner, project: &key.project };
            let Some(place) = self.place_of(&holder) else { continue };
            let expires = key.expires.as_deref().map(Timestamp::parse);
            if expires == Some(None) {
                self.mistake(&object.document, "expires", "must be RFC 3339, or a date");
            }
            let mut chain = self.chain_of(&holder, &place);
            chain.push(On::Key(key.name.clone()));
            let mut grant = self.grant(KeyId::from_bytes(object.id), &place, &chain, &joined);
            grant.name.clone_from(&key.name);
            if let Owner::User(name) = &key.owner {
                let here = Reach::Project(grant.project);
                let rights = joined.rights.get(name.as_str()).map(|rights| rights.at(here));
                grant.scopes = grant.scopes.meet(entitled(rights.unwrap_or_default()));
            }
            grant.active = grant.active && key.active && !grant.scopes.is_empty();
            grant.expires = expires.flatten();
            grant.models = narrowed(grant.models, &key.models);
            if !key.scopes.is_empty() {
                grant.scopes = grant.scopes.meet(scopes(&key.scopes));
            }
            grant.routes = (!key.routes.is_empty()).then(|| key.routes.iter().cloned().collect());
            let [_, of_key] = &mut grant.sources;
            *of_key = authority::networks(&key.sources);
            self.check_chain(&object.document, &grant);
            granted.grants.insert(grant.key, Arc::new(grant));
        }
        self.access(&roster, &joined, &mut granted);
        granted
    }

    /// The grants of those who come without a key: members of a project who may send prompts.
    fn access(&mut self, roster: &Roster<'a>, joined: &Joined<'a, '_>, granted: &mut Granted) {
        let objects = self.objects;
        let projects = objects.iter().filter(|it| it.document.kind() == Kind::Project);
        let projects: HashMap<[u8; 16], &str> =
            projects.map(|it| (it.id, it.document.name())).collect();
        for object in objects {
            let (owner, rights) = if let Document::User(user) = &object.document {
                let rights = joined.rights.get(user.name.as_str()).cloned();
                (Owner::User(user.name.clone()), rights.unwrap_or_default())
            } else if let Document::ServiceAccount(it) = &object.document {
                let me = [Subject::ServiceAccount(it.name.clone())];
                (Owner::ServiceAccount(it.name.clone()), roster.rights(&[], &me))
            } else {
                continue;
            };
            for (project, held) in rights.projects {
                let Some(name) = projects.get(project.as_bytes()) else { continue };
                if !held.has(Permission::Infer) {
                    continue;
                }
                let holder = Holder { owner: &owner, project: name };
                let Some(place) = self.place_of(&holder) else { continue };
                let chain = self.chain_of(&holder, &place);
                let key = keyless(place.principal, project);
                let mut grant = self.grant(key, &place, &chain, joined);
                grant.scopes = grant.scopes.meet(held);
                self.check_chain(&object.document, &grant);
                granted.access.insert((grant.principal, project), key);
                granted.grants.insert(key, Arc::new(grant));
            }
        }
    }

    /// The grant of whoever stands at `place`, before a key narrows it.
    fn grant(
        &self,
        key: KeyId,
        place: &PlaceOfKey<'a>,
        chain: &[On],
        joined: &Joined<'a, '_>,
    ) -> Grant {
        let unit = |unit: &&str| UnitId::from_bytes(self.id(Kind::Unit, unit));
        let rules = joined.rules.get(place.project.name.as_str());
        Grant {
            key,
            name: String::new(),
            active: place.active,
            expires: None,
            principal: place.principal,
            project: ProjectId::from_bytes(self.id(Kind::Project, &place.project.name)),
            unit_path: place.units.iter().map(unit).collect(),
            cost_centre: place.cost_centre.clone(),
            tags: place.project.tags.clone(),
            floor: place.project.data_level,
            rules: rules.map_or_else(Arc::default, Arc::clone),
            models: self.models_of(place.project),
            scopes: SCOPES,
            routes: None,
            sources: [self.org_sources(), Vec::new()],
            budgets: matching(&joined.budgets, chain),
            limits: matching(joined.limits, chain),
        }
    }

    fn check_chain(&mut self, at: &Document, grant: &Grant) {
        if CHAIN_POTS_MAX < grant.budgets.len() {
            self.mistake(at, "project", format!("more than {CHAIN_POTS_MAX} budgets apply to it"));
        }
    }

    /// The models that may be used in a project; none: every model of the org.
    fn models_of(&self, project: &doc::Project) -> Option<BTreeSet<String>> {
        if project.models.is_empty() && project.denied_models.is_empty() {
            return None;
        }
        let all = self.objects.iter().filter_map(|object| {
            let Document::Model(model) = &object.document else { return None };
            let listed = project.models.is_empty() || project.models.contains(&model.name);
            (listed && !project.denied_models.contains(&model.name)).then(|| model.name.clone())
        });
        Some(all.collect())
    }

    fn org_sources(&self) -> Vec<IpNet> {
        let sources = self.objects.iter().find_map(|object| {
            let Document::Org(org) = &object.document else { return None };
            Some(authority::networks(&org.sources))
        });
        sources.unwrap_or_default()
    }

    /// A key without a hash has not been issued yet, and opens nothing.
    pub(super) fn key_hashes(&self) -> Vec<([u8; 32], KeyId)> {
        let hashes = self.objects.iter().flat_map(|object| {
            let Document::Key(key) = &object.document else { return [None, None] };
            let now = key.sha256.as_deref().and_then(key::sha256);
            let before = key.previous.as_ref().and_then(|it| key::sha256(&it.sha256));
            [now, before].map(|hash| hash.map(|hash| (hash, KeyId::from_bytes(object.id))))
        });
        hashes.flatten().collect()
    }

    /// A moment that cannot be read has passed.
    pub(super) fn retired(&self) -> HashMap<[u8; 32], Timestamp> {
        let retired = self.objects.iter().filter_map(|object| {
            let Document::Key(key) = &object.document else { return None };
            let before = key.previous.as_ref()?;
            let until = Timestamp::parse(&before.until).unwrap_or_default();
            Some((key::sha256(&before.sha256)?, until))
        });
        retired.collect()
    }

    fn budgets(&mut self) -> Vec<(&'a On, Arc<BudgetRule>)> {
        let mut rules = Vec::new();
        for object in self.objects {
            let Document::Budget(it) = &object.document else { continue };
            if matches!(it.on, On::Tier(_) | On::Deployment(_) | On::EndUsers | On::EndUser(_)) {
                let message = "a budget is not set on a tier, deployment or end user";
                self.mistake(&object.document, "on", message);
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

    fn place_of(&self, holder: &Holder<'_>) -> Option<PlaceOfKey<'a>> {
        let project = self.object(Kind::Project, holder.project)?;
        let Document::Project(project) = &project.document else { return None };
        let (principal, owner_active) = match holder.owner {
            doc::Owner::User(name) => {
                let user = self.object(Kind::User, name)?;
                let Document::User(it) = &user.document else { return None };
                (Principal::User(UserId::from_bytes(user.id)), it.active)
            }
            doc::Owner::ServiceAccount(name) => {
                let account = self.object(Kind::ServiceAccount, name)?;
                let Document::ServiceAccount(it) = &account.document else { return None };
                let id = ServiceAccountId::from_bytes(account.id);
                (Principal::ServiceAccount(id), it.active)
            }
        };
        let (units, of_units) = self.units_above(project.unit.as_deref());
        let cost_centre = project.cost_centre.clone().or(of_units);
        let active = owner_active && project.active;
        Some(PlaceOfKey { project, principal, active, units, cost_centre })
    }

    fn object(&self, kind: Kind, name: &str) -> Option<&'a Object> {
        self.by_name.get(&(kind, name)).copied()
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

    /// Everything that binds a key, from the org down to its owner.
    fn chain_of(&self, holder: &Holder<'_>, place: &PlaceOfKey<'_>) -> Vec<On> {
        let mut chain = vec![On::Org];
        chain.extend(place.units.iter().map(|unit| On::Unit((*unit).to_owned())));
        chain.push(On::Project(holder.project.to_owned()));
        match holder.owner {
            doc::Owner::User(user) => {
                let groups = self.groups.get(user.as_str()).into_iter().flatten();
                chain.extend(groups.map(|group| On::Group((*group).to_owned())));
                chain.push(On::User(user.clone()));
            }
            doc::Owner::ServiceAccount(name) => chain.push(On::ServiceAccount(name.clone())),
        }
        chain
    }
}

/// Who would act where.
struct Holder<'b> {
    owner: &'b Owner,
    project: &'b str,
}

struct PlaceOfKey<'a> {
    project: &'a doc::Project,
    principal: Principal,
    /// The owner and the project are.
    active: bool,
    units: Vec<&'a str>,
    cost_centre: Option<String>,
}

/// Everything that a key can be used for.
const SCOPES: Permissions =
    Permissions::of(&[Permission::Infer, Permission::ListModels, Permission::ReadOwnRequests]);

/// What the keys of a user with these rights in a project can be used for: whatever the user could
/// do there without a key. Whoever may make keys and members there may use one, whether by a role
/// in the project, in a unit above it or in the org.
fn entitled(here: Permissions) -> Permissions {
    let runs_it = here.has(Permission::WriteKeys) && here.has(Permission::WriteMembers);
    if runs_it { SCOPES } else { SCOPES.meet(here) }
}

fn scopes(scopes: &[Scope]) -> Permissions {
    let permission = |scope: &Scope| match scope {
        Scope::Infer => Permission::Infer,
        Scope::Models => Permission::ListModels,
        Scope::Requests => Permission::ReadOwnRequests,
    };
    Permissions::of(&scopes.iter().map(permission).collect::<Vec<_>>())
}

/// `models`, without those that a list that is not empty leaves out.
fn narrowed(models: Option<BTreeSet<String>>, listed: &[String]) -> Option<BTreeSet<String>> {
    if listed.is_empty() {
        return models;
    }
    let listed =
        listed.iter().filter(|name| models.as_ref().is_none_or(|models| models.contains(*name)));
    Some(listed.cloned().collect())
}

/// The id under which somebody's access to a project without a key is counted. Ids are made of
/// chance, so two of them are no more likely to fall together than two keys.
fn keyless(principal: Principal, project: ProjectId) -> KeyId {
    let principal = match principal {
        Principal::User(id) => *id.as_bytes(),
        Principal::ServiceAccount(id) => *id.as_bytes(),
    };
    let mut id = *project.as_bytes();
    id.rotate_left(8);
    id.iter_mut().zip(principal).for_each(|(into, byte)| *into ^= byte);
    KeyId::from_bytes(id)
}

//! From an org's documents to its [`Tenant`], or everything that is wrong with them.

use super::{
    BudgetRule, Candidate, Deployment, Grant, LimitRule, Model, PriceRow, Provider, Tenant, TierRef,
};
use crate::{
    budget::CHAIN_POTS_MAX,
    data::{Level, Rule, Rules},
    document::{self as doc, Document, Kind, Mistake, NAME_CHARS_MAX, Object, On, UNIT_DEPTH_MAX},
    egress,
    ids::{
        BudgetId, DeploymentId, KeyId, LimitId, OrgId, PriceId, ProjectId, ProviderId, Revision,
        ServiceAccountId, UnitId, UserId,
    },
    money::{NanoUsd, Rates},
    refusal::Place,
    time::Timestamp,
    usage::Principal,
};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// Reads all documents of one org. Every mistake is told at once, in the order of the documents.
pub fn compile(objects: &[Object], revision: Revision) -> Result<Tenant, Vec<Mistake>> {
    let mut reading = Reading::new(objects);
    reading.check_names();
    reading.check_references();
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
    mistakes: Vec<Mistake>,
}

impl<'a> Reading<'a> {
    fn new(objects: &'a [Object]) -> Self {
        let key = |object: &'a Object| (object.document.kind(), object.document.name());
        let by_name = objects.iter().map(|object| (key(object), object)).collect();
        Self { objects, by_name, mistakes: Vec::new() }
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
        let (id, org) = objects.iter().find_map(|object| match &object.document {
            Document::Org(org) => Some((OrgId::from_bytes(object.id), org)),
            _other => None,
        })?;
        let zone = self.zone(&org.time_zone);
        let limits = self.limits();
        let deployments = self.deployments(&limits);
        let models = self.models(&deployments, &limits);
        let grants = self.grants(&limits);
        Some(Tenant {
            org: id,
            name: org.name.clone(),
            revision,
            zone,
            support: org.support.clone(),
            grants,
            key_hashes: self.key_hashes(),
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

    fn limits(&mut self) -> Vec<(&'a On, Arc<LimitRule>)> {
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

    fn deployments(
        &mut self,
        limits: &[(&'a On, Arc<LimitRule>)],
    ) -> HashMap<&'a str, Arc<Deployment>> {
        let providers = self.providers();
        let mut prices = self.prices();
        let mut deployments = HashMap::new();
        for object in self.objects {
            let Document::Deployment(it) = &object.document else { continue };
            let mut rows: Vec<PriceRow> = prices.remove(it.name.as_str()).unwrap_or_default();
            rows.sort_by_key(|row| row.from);
            let Some(provider) = providers.get(it.provider.as_str()) else { continue };
            self.check_deployment(object, it, &rows, provider);
            let on = On::Deployment(it.name.clone());
            let deployment = Deployment {
                id: DeploymentId::from_bytes(object.id),
                name: it.name.clone(),
                provider: Arc::clone(provider),
                model: it.model.clone(),
                clearance: it.clearance.clone(),
                max_output_tokens: it.max_output_tokens,
                output_bound_parameter: it.output_bound_parameter.clone(),
                free: it.free,
                prices: rows,
                limits: matching(limits, &[on]),
            };
            if it.active {
                deployments.insert(it.name.as_str(), Arc::new(deployment));
            }
        }
        deployments
    }

    fn check_deployment(
        &mut self,
        object: &Object,
        it: &doc::Deployment,
        rows: &[PriceRow],
        provider: &Provider,
    ) {
        let at = &object.document;
        if it.active && it.free != rows.is_empty() {
            let message = if it.free { "is free and has a price" } else { "has no price" };
            self.mistake(at, "free", format!("{message}: it needs a price, or `free: true`"));
        }
        if !(1..=10_000_000).contains(&it.max_output_tokens) {
            self.mistake(at, "max_output_tokens", "must be 1 to 10,000,000");
        }
        if !matches!(it.output_bound_parameter.as_str(), "max_completion_tokens" | "max_tokens") {
            let message = "must be `max_completion_tokens` or `max_tokens`";
            self.mistake(at, "output_bound_parameter", message);
        }
        let trains = provider.terms.trains != Some(false) && !provider.terms.self_hosted;
        if trains && Level::Public < it.clearance.level {
            let message = format!(
                "provider `{}` may train on what it is sent (its `terms.trains` is not false), \
                 so it can be cleared for public data only",
                provider.name
            );
            self.mistake(at, "clearance.level", message);
        }
    }

    fn providers(&mut self) -> HashMap<&'a str, Arc<Provider>> {
        let mut providers = HashMap::new();
        for object in self.objects {
            let Document::Provider(it) = &object.document else { continue };
            if let Err(message) = egress::check_base_url(&it.base_url) {
                self.mistake(&object.document, "base_url", message);
            }
            let provider = Provider {
                id: ProviderId::from_bytes(object.id),
                name: it.name.clone(),
                dialect: it.dialect,
                base_url: it.base_url.trim_end_matches('/').to_owned(),
                credential: it.credential.clone(),
                region: it.region.clone(),
                terms: it.terms.clone(),
            };
            providers.insert(it.name.as_str(), Arc::new(provider));
        }
        providers
    }

    fn prices(&mut self) -> HashMap<&'a str, Vec<PriceRow>> {
        let mut prices: HashMap<&str, Vec<PriceRow>> = HashMap::new();
        for object in self.objects {
            let Document::Price(it) = &object.document else { continue };
            let from = Timestamp::parse(&it.from);
            if from.is_none() {
                self.mistake(&object.document, "from", "must be RFC 3339, or a date");
            }
            let row = PriceRow {
                id: PriceId::from_bytes(object.id),
                from: from.unwrap_or_default(),
                rates: Rates {
                    input: self.usd(object, "input", it.input.as_ref()),
                    cache_read: self.usd(object, "cached_input", it.cached_input.as_ref()),
                    cache_write: self.usd(object, "cache_write", it.cache_write.as_ref()),
                    output: self.usd(object, "output", it.output.as_ref()),
                    reasoning: self.usd(object, "reasoning", it.reasoning.as_ref()),
                    audio_in: self.usd(object, "audio_input", it.audio_input.as_ref()),
                    audio_out: self.usd(object, "audio_output", it.audio_output.as_ref()),
                    image: self.usd(object, "image", it.image.as_ref()),
                    per_request: self
                        .usd(object, "per_request", it.per_request.as_ref())
                        .unwrap_or_default(),
                },
            };
            let rows = prices.entry(it.deployment.as_str()).or_default();
            let twice = rows.iter().any(|other| other.from == row.from);
            rows.push(row);
            if twice {
                let message = "another price of this deployment begins at the same moment";
                self.mistake(&object.document, "from", message);
            }
        }
        prices
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

    fn models(
        &mut self,
        deployments: &HashMap<&'a str, Arc<Deployment>>,
        limits: &[(&'a On, Arc<LimitRule>)],
    ) -> BTreeMap<String, Arc<Model>> {
        let mut tiers = HashMap::new();
        for object in self.objects {
            let Document::Tier(it) = &object.document else { continue };
            let candidates = self.candidates(object, &it.deployments, deployments);
            let limits = matching(limits, &[On::Tier(it.name.clone())]);
            let tier = TierRef { name: it.name.clone(), rank: it.rank, limits };
            tiers.insert(it.name.as_str(), (tier, candidates));
        }
        let mut models = BTreeMap::new();
        for object in self.objects {
            let Document::Model(it) = &object.document else { continue };
            if it.tier.is_some() != it.deployments.is_empty() {
                self.mistake(&object.document, "tier", "needs a tier or deployments, and not both");
            }
            let (tier, candidates) = match it.tier.as_deref().and_then(|name| tiers.get(name)) {
                Some((tier, candidates)) => (Some(tier.clone()), candidates.clone()),
                None => (None, self.candidates(object, &it.deployments, deployments)),
            };
            let model = Model { name: it.name.clone(), tier, candidates };
            models.insert(it.name.clone(), Arc::new(model));
        }
        models
    }

    fn candidates(
        &mut self,
        at: &Object,
        members: &[doc::Member],
        deployments: &HashMap<&'a str, Arc<Deployment>>,
    ) -> Vec<Candidate> {
        if members.iter().any(|member| !(1..=1000).contains(&member.weight)) {
            self.mistake(&at.document, "deployments", "a weight must be 1 to 1000");
        }
        let candidate = |member: &doc::Member| {
            let deployment = Arc::clone(deployments.get(member.deployment.as_str())?);
            Some(Candidate { deployment, priority: member.priority, weight: member.weight })
        };
        let mut candidates: Vec<Candidate> = members.iter().filter_map(candidate).collect();
        candidates.sort_by_key(|candidate| candidate.priority);
        candidates
    }

    fn grants(&mut self, limits: &[(&'a On, Arc<LimitRule>)]) -> HashMap<KeyId, Arc<Grant>> {
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
    fn key_hashes(&self) -> Vec<([u8; 32], KeyId)> {
        let hash = |object: &Object| match &object.document {
            Document::Key(key) => Some((sha256(key.sha256.as_deref()?)?, object.id)),
            _other => None,
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
        let policies = self.objects.iter().filter_map(|object| match &object.document {
            Document::Policy(it) if it.project.as_deref() == project => Some(&it.rules),
            _other => None,
        });
        policies.flatten().cloned().collect()
    }

    fn place_of(&mut self, key: &'a doc::Key) -> Option<PlaceOfKey<'a>> {
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

    /// The units from the top down to `unit`, and the nearest cost centre among them.
    fn units_above(&mut self, unit: Option<&'a str>) -> (Vec<&'a str>, Option<String>) {
        let (mut path, mut cost_centre) = (Vec::new(), None);
        let mut next = unit;
        while let Some(name) = next {
            let Some(object) = self.by_name.get(&(Kind::Unit, name)).copied() else { break };
            let Document::Unit(it) = &object.document else { break };
            path.push(name);
            if UNIT_DEPTH_MAX < path.len() {
                let message = format!("the tree is deeper than {UNIT_DEPTH_MAX}, or has a circle");
                self.mistake(&object.document, "parent", message);
                break;
            }
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

fn place(on: &On) -> Place {
    let own = matches!(on, On::Key(_) | On::User(_) | On::ServiceAccount(_));
    Place { level: on.word(), own }
}

/// The rules that are set on one of `places`, in the order of the places.
fn matching<T>(rules: &[(&On, Arc<T>)], places: &[On]) -> Vec<Arc<T>> {
    let on_place = |place| rules.iter().filter(move |(on, _)| *on == place);
    places.iter().flat_map(on_place).map(|(_, rule)| Arc::clone(rule)).collect()
}

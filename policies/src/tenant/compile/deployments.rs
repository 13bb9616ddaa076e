//! Providers, deployments with their prices, and what may answer for a model.

use super::{Reading, matching};
use crate::{
    data::Level,
    document::{self as doc, Document, Object, On},
    egress,
    ids::{DeploymentId, PriceId, ProviderId},
    money::Rates,
    tenant::{Candidate, Deployment, LimitRule, Model, PriceRow, Provider, TierRef},
    time::Timestamp,
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

impl<'a> Reading<'a> {
    pub(super) fn deployments(
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
            } else if it.public_only && egress::is_private_url(&it.base_url) {
                let message = "leads to a private network, where only the operator may point it";
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
                public_only: it.public_only,
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

    pub(super) fn models(
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
}

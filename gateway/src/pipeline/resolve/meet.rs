//! What two grants allow together.

use policies::{
    ids::{KeyId, UserId},
    tenant::Grant,
};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

/// Pairs of a service's key and a person that are kept at once.
const PAIRS_MAX: usize = 16_384;

/// Grants of pairs, each reckoned once. They go with the settings that they were made from.
#[derive(Default)]
pub(crate) struct Meets(Mutex<HashMap<(KeyId, UserId), Arc<Grant>>>);

impl Meets {
    pub(super) fn get(&self, pair: &(KeyId, UserId)) -> Option<Arc<Grant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(pair).map(Arc::clone)
    }

    pub(super) fn keep(&self, pair: (KeyId, UserId), grant: Arc<Grant>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if PAIRS_MAX <= kept.len() {
            kept.clear();
        }
        kept.insert(pair, grant);
    }
}

/// The person acts, through the service's key: what both may do, bound by all that binds either.
/// Both are of one project, whose rules are the same for both.
pub(super) fn meet(of_key: &Grant, of_person: &Grant) -> Grant {
    let mut budgets = of_person.budgets.clone();
    let new =
        of_key.budgets.iter().filter(|it| !has(&of_person.budgets, |other| other.id == it.id));
    budgets.extend(new.cloned());
    let mut limits = of_person.limits.clone();
    let new = of_key.limits.iter().filter(|it| !has(&of_person.limits, |other| other.id == it.id));
    limits.extend(new.cloned());
    let [org, networks] = &of_key.sources;
    Grant {
        key: of_key.key,
        name: of_key.name.clone(),
        active: of_key.active && of_person.active,
        expires: earlier(of_key.expires, of_person.expires),
        principal: of_person.principal,
        project: of_key.project,
        unit_path: of_key.unit_path.clone(),
        cost_centre: of_key.cost_centre.clone(),
        tags: of_key.tags.clone(),
        floor: of_key.floor.max(of_person.floor),
        rules: Arc::clone(&of_key.rules),
        models: both(of_key.models.as_ref(), of_person.models.as_ref()),
        scopes: of_key.scopes.meet(of_person.scopes),
        routes: both(of_key.routes.as_ref(), of_person.routes.as_ref()),
        sources: [org.clone(), networks.clone()],
        budgets,
        limits,
    }
}

fn has<T>(rules: &[Arc<T>], is_it: impl Fn(&T) -> bool) -> bool {
    rules.iter().any(|rule| is_it(rule))
}

/// What is in both lists; no list stands for everything.
fn both(
    one: Option<&BTreeSet<String>>,
    other: Option<&BTreeSet<String>>,
) -> Option<BTreeSet<String>> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.intersection(other).cloned().collect()),
        (Some(only), None) | (None, Some(only)) => Some(only.clone()),
        (None, None) => None,
    }
}

fn earlier<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (some, None) | (None, some) => some,
    }
}

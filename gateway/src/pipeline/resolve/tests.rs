//! What a service and a person may do together.

use super::meet::meet;
use policies::{
    ids::{BudgetId, KeyId, LimitId, ProjectId, ServiceAccountId, UserId},
    money::NanoUsd,
    permission::{Permission, Permissions},
    refusal::Place,
    tenant::{BudgetRule, Grant, LimitRule},
    time::{Period, Timestamp},
    usage::Principal,
};
use proptest::prelude::*;
use std::{collections::BTreeSet, sync::Arc};

const SCOPES: [Permission; 3] =
    [Permission::Infer, Permission::ListModels, Permission::ReadOwnRequests];

fn budget(id: u8) -> Arc<BudgetRule> {
    let (place, limit) = (Place { level: "your unit", own: false }, NanoUsd(1));
    Arc::new(BudgetRule { id: BudgetId::from_bytes([id; 16]), place, period: Period::Day, limit })
}

fn limit(id: u8) -> Arc<LimitRule> {
    Arc::new(LimitRule {
        id: LimitId::from_bytes([id; 16]),
        place: Place { level: "your unit", own: false },
        requests_per_minute: Some(1),
        requests_per_day: None,
        tokens_per_minute: None,
        tokens_per_day: None,
        concurrent_requests: None,
    })
}

fn names() -> impl Strategy<Value = Option<BTreeSet<String>>> {
    let some = proptest::collection::btree_set("[abc]", 0..3);
    proptest::option::of(some)
}

fn grants() -> impl Strategy<Value = Grant> {
    let ids = || proptest::collection::btree_set(0..6u8, 0..5);
    let parts = (names(), names(), 0..8u8, ids(), ids(), any::<bool>());
    parts.prop_map(|(models, routes, scopes, budgets, limits, active)| {
        let held = SCOPES.into_iter().enumerate().filter(|(at, _)| scopes >> at & 1 == 1);
        Grant {
            key: KeyId::from_bytes([1; 16]),
            name: String::new(),
            active,
            expires: active.then_some(Timestamp(i64::from(scopes))),
            principal: Principal::ServiceAccount(ServiceAccountId::from_bytes([2; 16])),
            project: ProjectId::from_bytes([3; 16]),
            unit_path: Vec::new(),
            cost_centre: None,
            tags: Vec::new(),
            floor: policies::data::Level::Internal,
            rules: Arc::default(),
            models,
            scopes: Permissions::of(&held.map(|(_, it)| it).collect::<Vec<_>>()),
            routes,
            sources: [Vec::new(), Vec::new()],
            budgets: budgets.into_iter().map(budget).collect(),
            limits: limits.into_iter().map(limit).collect(),
        }
    })
}

proptest! {
    #[test]
    fn together_they_may_do_what_each_may_and_owe_what_each_owes(
        of_key in grants(), of_person in grants(),
    ) {
        let me = Principal::User(UserId::from_bytes([9; 16]));
        let of_person = Grant { principal: me, key: KeyId::from_bytes([8; 16]), ..of_person };

        let both = meet(&of_key, &of_person);

        prop_assert_eq!((both.principal, both.key), (me, of_key.key));
        for name in ["a", "b", "c", "d"] {
            let each = of_key.may_use(name) && of_person.may_use(name);
            prop_assert_eq!(both.may_use(name), each);
            prop_assert_eq!(both.may_call(name), of_key.may_call(name) && of_person.may_call(name));
        }
        for scope in SCOPES {
            let each = of_key.scopes.has(scope) && of_person.scopes.has(scope);
            prop_assert_eq!(both.scopes.has(scope), each);
        }
        for now in (0..9).map(Timestamp) {
            let each = of_key.check(now).is_ok() && of_person.check(now).is_ok();
            prop_assert_eq!(both.check(now).is_ok(), each);
        }
        let budgets = |grant: &Grant| grant.budgets.iter().map(|it| it.id).collect::<Vec<_>>();
        let limits = |grant: &Grant| grant.limits.iter().map(|it| it.id).collect::<Vec<_>>();
        let each = [budgets(&of_key), budgets(&of_person)].concat();
        let all: BTreeSet<_> = each.into_iter().collect();
        prop_assert_eq!(budgets(&both).into_iter().collect::<BTreeSet<_>>(), all.clone());
        prop_assert_eq!(budgets(&both).len(), all.len(), "each once");
        let each = [limits(&of_key), limits(&of_person)].concat();
        let all: BTreeSet<_> = each.into_iter().collect();
        prop_assert_eq!(limits(&both).len(), all.len());
    }
}

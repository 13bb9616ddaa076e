//! What becomes of a hold that nobody settles.

use super::*;
use crate::shipper::{Outbox, Quarantine, Shipper};
use policies::{
    budget::Pot,
    ids::BudgetId,
    refusal::Place,
    tenant::BudgetRule,
    time::{Period, Span},
};
use store::{LeaseState, model::Model};

const ORG: OrgId = OrgId::from_bytes([1; 16]);
const POT: Pot = Pot { budget: BudgetId::from_bytes([2; 16]), span: Span::LIFETIME };
const LENT: NanoUsd = NanoUsd(100);

struct Bench {
    purse: Purse,
    org: Arc<OrgBook>,
}

/// A purse with a lease of [`LENT`].
fn bench() -> Bench {
    let path = std::path::Path::new("journal");
    let quarantine = Arc::new(Quarantine::beside(path));
    let shipper = Arc::new(Shipper::new(Arc::new(Outbox::default()), quarantine));
    let purse = Purse::new(BootId::from_bytes([3; 16]), Arc::new(Model::default()), shipper);
    let org = purse.org(&ORG);
    org.lock().learn(&[LeaseState { pot: POT, granted: LENT, room: LENT }]);
    Bench { purse, org }
}

impl Bench {
    fn hold(&self) -> Hold {
        let rule = Arc::new(BudgetRule {
            id: POT.budget,
            place: Place { level: "org", own: false },
            period: Period::Lifetime,
            limit: LENT,
        });
        let budgets = vec![(&rule, POT)];
        let want = Want { limits: Vec::new(), budgets, amount: LENT, tokens: 0 };
        let taken = self.org.lock().take(&self.org, &want, 0);
        let book::Take::Taken(_, hold, _) = taken else { panic!("it is covered") };
        hold
    }

    fn is_free(&self) -> bool {
        self.org.lock().covers(&POT, LENT)
    }

    fn is_lost(&self) -> bool {
        self.purse.boot.load().lost().load(std::sync::atomic::Ordering::Acquire)
    }
}

#[test]
fn a_hold_that_is_dropped_before_anything_was_sent_gives_all_of_it_back() {
    let bench = bench();

    drop(bench.hold());

    assert!(bench.is_free());
    assert!(!bench.is_lost());
}

#[test]
fn a_hold_that_is_dropped_after_something_was_sent_stays_spent() {
    let bench = bench();
    let mut hold = bench.hold();
    hold.sent();

    // The thread that was about to settle it has failed.
    let failed = std::thread::spawn(move || {
        let _in_hand = hold;
        panic!("as a test");
    });

    assert!(failed.join().is_err());
    assert!(!bench.is_free());
    assert!(bench.is_lost(), "no end of it will be told");
}

#[test]
fn a_hold_that_was_sent_is_settled_with_what_it_cost() {
    let bench = bench();
    let mut hold = bench.hold();
    hold.sent();

    hold.settle(NanoUsd::ZERO);

    assert!(bench.is_free());
    assert!(!bench.is_lost());
}

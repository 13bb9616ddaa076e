//! Claims about many runs.

use super::{
    Plan, run,
    variant::{ALL, Variant},
    world::Outcome,
};
use std::{collections::BTreeMap, fmt::Write, thread};

/// Seeds of the short form.
const SEEDS: u64 = 2_000;
const SEEDS_ON_SQLITE: u64 = 50;
/// A mistake that so many runs do not show is not caught.
const SEEDS_PER_VARIANT: u64 = 2_000;
/// Steps of a trace that are shown, the last ones.
const STEPS_SHOWN: u64 = 150;

#[expect(clippy::disallowed_methods, reason = "how long the long form is")]
fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().unwrap())
}

fn first_seed() -> u64 {
    number("PENSTOCK_TEST_SEED", 1)
}

fn plan(seed: u64) -> Plan {
    Plan { seed, on_sqlite: false, variant: None, traced: false }
}

/// Runs it again, with its steps.
fn explain(plan: Plan, outcome: &Outcome) -> String {
    let again = run(Plan { traced: true, ..plan });
    let mut text = format!("{plan:?}\n{:?}\n", outcome.violation);
    let shown = usize::try_from(number("PENSTOCK_TEST_STEPS", STEPS_SHOWN)).unwrap();
    let from = again.trace.len().saturating_sub(shown);
    for line in &again.trace[from..] {
        writeln!(text, "{line}").unwrap();
    }
    let seed = plan.seed;
    writeln!(text, "replay: PENSTOCK_TEST_SEED={seed} PENSTOCK_TEST_SEEDS=1").unwrap();
    if again.violation != outcome.violation {
        writeln!(text, "it went another way the second time: {:?}", again.violation).unwrap();
    }
    text
}

/// All plans, two at a time; the sums of what they counted.
fn all_hold(plans: &[Plan]) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    thread::scope(|scope| {
        let halves = plans.chunks(plans.len().div_ceil(2).max(1));
        let halves = halves.map(|half| {
            scope.spawn(move || {
                half.iter()
                    .map(|plan| (*plan, run(*plan)))
                    .inspect(|(plan, outcome)| {
                        assert!(outcome.violation.is_none(), "{}", explain(*plan, outcome));
                    })
                    .map(|(_, outcome)| outcome.counts)
                    .collect::<Vec<_>>()
            })
        });
        for half in halves.collect::<Vec<_>>() {
            for (what, count) in half.join().unwrap().into_iter().flatten() {
                *counts.entry(what).or_insert(0) += count;
            }
        }
    });
    counts
}

#[test]
fn no_schedule_breaks_a_sum_or_refuses_falsely() {
    let (first, seeds) = (first_seed(), number("PENSTOCK_TEST_SEEDS", SEEDS));
    let plans: Vec<_> = (first..first + seeds).map(plan).collect();

    let counts = all_hold(&plans);

    println!("{seeds} seeds from {first}: {counts:?}");
    if SEEDS <= seeds {
        for what in [
            "exhausted",
            "budget held",
            "unsettled",
            "given up",
            "begun anew",
            "drained",
            "resolved",
            "released",
            "something left",
        ] {
            assert!(counts.contains_key(what), "it never came to `{what}`");
        }
    }
}

#[test]
fn no_schedule_breaks_a_sum_of_the_embedded_engine() {
    let (first, seeds) = (first_seed(), number("PENSTOCK_TEST_SEEDS", SEEDS_ON_SQLITE * 40) / 40);
    let plans: Vec<_> =
        (first..first + seeds.max(1)).map(|seed| Plan { on_sqlite: true, ..plan(seed) }).collect();

    let counts = all_hold(&plans);

    println!("{seeds} seeds from {first} on SQLite: {counts:?}");
}

#[test]
fn the_same_seed_goes_the_same_way() {
    for on_sqlite in [false, true] {
        let plan = Plan { on_sqlite, traced: true, ..plan(77) };

        assert_eq!(run(plan), run(plan));
    }
}

#[test]
fn every_mistake_is_caught() {
    let caught = |variant: Variant| {
        let seeds = (1..=SEEDS_PER_VARIANT).find_map(|seed| {
            let outcome = run(Plan { variant: Some(variant), ..plan(seed) });
            outcome.violation.map(|violation| (seed, violation))
        });
        (variant, seeds)
    };
    let found: Vec<_> = thread::scope(|scope| {
        let halves = ALL.chunks(ALL.len().div_ceil(2));
        let halves = halves.map(|half| {
            scope.spawn(move || half.iter().map(|variant| caught(*variant)).collect::<Vec<_>>())
        });
        halves.collect::<Vec<_>>().into_iter().flat_map(|half| half.join().unwrap()).collect()
    });

    for (variant, seeds) in &found {
        println!("{variant:?}: {seeds:?}");
    }
    for (variant, seeds) in found {
        assert!(seeds.is_some(), "{variant:?} is not caught");
    }
}

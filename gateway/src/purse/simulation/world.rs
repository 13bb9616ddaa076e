//! One run: what all gateways share, and what is seen of it.

use super::{
    dice::Dice,
    disk::Disk,
    engine::{self, Engine},
    gate::Gate,
    gateway::Gateway,
    tamper::Memory,
    truth::{Finding, Truth, View},
    variant::Variant,
};
use policies::{
    budget::Pot,
    document::{Document, Object},
    ids::{BudgetId, OrgId},
    money::NanoUsd,
    refusal::Place,
    tenant::BudgetRule,
    time::{Period, Span, Timestamp},
    usage::UsageRecord,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use store::{Cursor, Lent, contract::Seed};

pub(super) const ORG: OrgId = OrgId::from_bytes([0xa; 16]);
pub(super) const TEAM: [u8; 16] = [0x21; 16];
pub(super) const APP: [u8; 16] = [0x22; 16];
pub(super) const ADA: [u8; 16] = [0x23; 16];
/// One key for each of the two budgets of keys.
pub(super) const KEYS: [[u8; 16]; 2] = [[0x25; 16], [0x26; 16]];
const WHOLE: [u8; 16] = [0x11; 16];
const OF_TEAM: [u8; 16] = [0x12; 16];
const OF_KEYS: [[u8; 16]; 2] = [[0x13; 16], [0x14; 16]];

/// Lines of a trace that are kept, at most.
const TRACE_LINES_MAX: usize = 4_000;

/// What this run is like.
pub(super) struct Weather {
    pub(super) gateways: usize,
    pub(super) scale: i64,
    /// Per mille of messages.
    pub(super) loss: u16,
    pub(super) copies: u16,
    pub(super) slow: u16,
    /// Per mille of the moments at which something may break.
    pub(super) breaks: u16,
    /// How long the faults go on.
    pub(super) millis: i64,
    /// Milliseconds between two requests of one gateway, at most.
    pub(super) pause: i64,
}

impl Weather {
    pub(super) fn new(dice: &Dice) -> Self {
        Self {
            gateways: dice.pick(&[2, 3, 3]),
            scale: dice.pick(&[40, 100, 400, 2_000]),
            loss: dice.pick(&[0, 0, 30, 150]),
            copies: dice.pick(&[0, 100]),
            slow: dice.pick(&[0, 20, 100]),
            breaks: dice.pick(&[0, 150, 400]),
            millis: dice.between(4_000, 16_000),
            pause: dice.pick(&[150, 400, 900]),
        }
    }
}

/// A budget, and how long a period of it is; none: it has one for ever.
pub(super) struct Purpose {
    pub(super) rule: Arc<BudgetRule>,
    period: Option<i64>,
}

impl Purpose {
    fn new(id: [u8; 16], period: Option<i64>) -> Self {
        let place = Place { level: "org", own: false };
        let (id, limit) = (BudgetId::from_bytes(id), NanoUsd::ZERO);
        let rule = Arc::new(BudgetRule { id, place, period: Period::Lifetime, limit });
        Self { rule, period }
    }

    pub(super) fn pot(&self, at: Timestamp) -> Pot {
        let span = self.period.map_or(Span::LIFETIME, |millis| {
            let starts = Timestamp(at.0 - at.0.rem_euclid(millis));
            Span { starts, ends: starts.plus_millis(millis) }
        });
        Pot { budget: self.rule.id, span }
    }
}

pub(super) struct World {
    pub(super) engine: Engine,
    pub(super) dice: Dice,
    pub(super) weather: Weather,
    pub(super) variant: Option<Variant>,
    /// Whole, team, and one for each key.
    pub(super) purposes: [Purpose; 4],
    /// The store answers nobody.
    pub(super) frozen: Gate,
    /// Which gateways reach nothing.
    pub(super) cut: Vec<Gate>,
    /// No faults any more.
    calm: AtomicBool,
    truth: Mutex<Truth>,
    pub(super) gateways: Mutex<Vec<Option<Arc<Gateway>>>>,
    disks: Mutex<Vec<Arc<Disk>>>,
    notes: Mutex<Notes>,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Notes {
    traced: bool,
    trace: Vec<String>,
    counts: BTreeMap<&'static str, u64>,
    violation: Option<String>,
}

/// What a run came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) violation: Option<String>,
    pub(super) trace: Vec<String>,
    pub(super) counts: BTreeMap<&'static str, u64>,
}

impl World {
    pub(super) fn new(
        engine: Engine,
        dice: Dice,
        variant: Option<Variant>,
        traced: bool,
    ) -> Arc<Self> {
        let weather = Weather::new(&dice);
        let period = || dice.pick(&[None, Some(7_000), Some(20_000)]);
        let purposes = [
            Purpose::new(WHOLE, None),
            Purpose::new(OF_TEAM, period()),
            Purpose::new(OF_KEYS[0], period()),
            Purpose::new(OF_KEYS[1], None),
        ];
        let cut = (0..weather.gateways).map(|_| Gate::default()).collect();
        let gateways = Mutex::new((0..weather.gateways).map(|_| None).collect());
        let disks = (0..weather.gateways).map(|_| Arc::new(Disk::new(&dice)));
        let disks = Mutex::new(disks.collect());
        let notes = Mutex::new(Notes { traced, ..Notes::default() });
        let (frozen, calm) = (Gate::default(), AtomicBool::new(false));
        let (truth, memory) = (Mutex::default(), Mutex::default());
        Arc::new(Self {
            engine,
            dice,
            weather,
            variant,
            purposes,
            frozen,
            cut,
            calm,
            truth,
            gateways,
            disks,
            notes,
            memory,
        })
    }

    pub(super) fn is(&self, variant: Variant) -> bool {
        self.variant == Some(variant)
    }

    pub(super) fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    pub(super) fn calm_down(&self) {
        self.calm.store(true, Ordering::Relaxed);
        self.frozen.open();
        self.cut.iter().for_each(Gate::open);
    }

    pub(super) fn truth(&self) -> MutexGuard<'_, Truth> {
        self.truth.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn live(&self) -> Vec<Arc<Gateway>> {
        let gateways = self.gateways.lock().unwrap_or_else(PoisonError::into_inner);
        gateways.iter().flatten().cloned().collect()
    }

    pub(super) fn disk(&self, slot: usize) -> Arc<Disk> {
        let disks = self.disks.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&disks[slot])
    }

    pub(super) fn replace_disk(&self, slot: usize) {
        let mut disks = self.disks.lock().unwrap_or_else(PoisonError::into_inner);
        disks[slot] = Arc::new(Disk::new(&self.dice));
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tell(&self, line: impl FnOnce() -> String) {
        let mut notes = self.notes();
        if notes.traced && notes.trace.len() < TRACE_LINES_MAX {
            let line = format!("{:>8} {}", engine::elapsed().as_millis() - 86_400_000, line());
            notes.trace.push(line);
        }
    }

    pub(super) fn count(&self, what: &'static str) {
        *self.notes().counts.entry(what).or_default() += 1;
    }

    /// Only the first one counts: the others follow from it.
    pub(super) fn find(&self, finding: Finding) {
        let Err(found) = finding else { return };
        self.tell(|| format!("VIOLATION: {found}"));
        self.notes().violation.get_or_insert(found);
    }

    pub(super) fn is_over(&self) -> bool {
        self.notes().violation.is_some()
    }

    pub(super) fn outcome(&self) -> Outcome {
        let notes = std::mem::take(&mut *self.notes());
        let Notes { trace, counts, violation, .. } = notes;
        Outcome { violation, trace, counts }
    }

    pub(super) fn lent(&self) -> Vec<Lent> {
        self.engine.call(self.engine.store().lent(&ORG, Timestamp(0))).unwrap()
    }

    pub(super) fn views(&self, pots: &[Pot]) -> Vec<View> {
        self.live().iter().filter_map(|gateway| gateway.view(pots)).collect()
    }

    /// After each message: everything adds up.
    pub(super) fn check(&self, granted: &BTreeSet<Pot>) {
        if self.is_over() {
            return;
        }
        let store = self.engine.store();
        let pots = self.engine.call(store.pots(&ORG, Timestamp(0))).unwrap();
        let lent = self.lent();
        let named: Vec<Pot> = pots.iter().map(|state| state.pot).collect();
        let views = self.views(&named);
        let finding = self.truth().check((&pots, &lent), granted, &views);
        self.find(finding);
    }

    /// At the end: the records in the store are what happened.
    pub(super) fn audit(&self) {
        const PAGE: u32 = 100_000;
        let store = self.engine.store();
        let page = store.page(&ORG, Span::LIFETIME, Cursor(0), PAGE);
        let records: Vec<UsageRecord> =
            self.engine.call(page).unwrap().into_iter().map(|(_, record)| record).collect();
        let lent = self.lent();
        let finding = self.truth().audit(&records, &lent);
        self.find(finding);
    }

    fn put(&self, objects: Vec<Object>) {
        let seeded = match &self.engine {
            Engine::Model(store) => self.engine.call(store.seed(&ORG, objects)),
            Engine::Sqlite { store, .. } => self.engine.call(store.seed(&ORG, objects)),
        };
        seeded.unwrap();
    }

    pub(super) fn found(&self) {
        let keys = KEYS.iter().enumerate().map(|(index, id)| {
            let (name, hash) = (format!("key-{index}"), hex::encode([0x40 + id[0]; 32]));
            let owner = json!({"user": "ada"});
            object(
                *id,
                json!({"kind": "Key", "org": "acme", "name": name, "project": "app",
                "owner": owner, "sha256": hash}),
            )
        });
        let fixed = [
            object(*ORG.as_bytes(), json!({"kind": "Org", "name": "acme"})),
            object(TEAM, json!({"kind": "Unit", "org": "acme", "name": "team"})),
            object(APP, json!({"kind": "Project", "org": "acme", "name": "app", "unit": "team"})),
            object(ADA, json!({"kind": "User", "org": "acme", "name": "ada"})),
        ];
        self.put(fixed.into_iter().chain(keys).collect());
        let poor = self.dice.pick(&[1, 1, 2, 3]);
        for (index, parts) in [6, 4, 2, 2].into_iter().enumerate() {
            self.set_limit(index, self.weather.scale * parts / 2 / poor);
        }
    }

    /// A limit rises or falls. Gateways learn of it later.
    pub(super) fn set_limit(&self, index: usize, limit: i64) {
        let on = match index {
            0 => json!("org"),
            1 => json!({"unit": "team"}),
            key => json!({"key": format!("key-{}", key - 2)}),
        };
        let (id, name) = (self.purposes[index].rule.id, format!("budget-{index}"));
        let amount = NanoUsd(limit).to_string();
        let budget = object(
            *id.as_bytes(),
            json!({"kind": "Budget", "org": "acme", "name": name, "on": on,
            "limit": amount, "period": "lifetime"}),
        );
        self.put(vec![budget]);
        self.truth().set_limit(id, limit);
        self.tell(|| format!("limit of {name} is {limit}"));
        self.check(&BTreeSet::new());
    }
}

fn object(id: [u8; 16], document: Value) -> Object {
    let document: Document = serde_json::from_value(document).unwrap();
    Object { id, document }
}

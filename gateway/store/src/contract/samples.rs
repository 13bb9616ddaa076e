//! Settings and records to try an engine with. Amounts are nano-USD.

use crate::{Answer, Fault, Need, SyncAsk, SyncReply};
use policies::{
    budget::{Balance, Chain, Pot},
    data::{Flow, Level},
    document::{Document, Object},
    ids::{
        BootId, BudgetId, DeploymentId, JournalId, KeyId, OrgId, PriceId, ProjectId, RequestId,
        Revision, ServiceAccountId, UnitId, UserId,
    },
    money::NanoUsd,
    time::{Span, Timestamp},
    usage::{
        Decision, Ending, Leg, Outcome, Principal, Source, Stamp, Surface, Tokens, UsageRecord,
        Verdict,
    },
};
use serde_json::{Value, json};

pub(super) const ACME: OrgId = OrgId::from_bytes([0xa; 16]);
pub(super) const OTHER: OrgId = OrgId::from_bytes([0xb; 16]);
pub(super) const ORGS: [OrgId; 2] = [ACME, OTHER];

/// The same budgets, by id, in both orgs: what is mixed up is seen.
pub(super) const WHOLE: [u8; 16] = [0x11; 16];
pub(super) const TEAM: [u8; 16] = [0x12; 16];
pub(super) const TEAM_UNIT: [u8; 16] = [0x21; 16];
pub(super) const APP: [u8; 16] = [0x22; 16];
pub(super) const ADA: [u8; 16] = [0x23; 16];
pub(super) const BOT: [u8; 16] = [0x24; 16];
pub(super) const ADA_KEY: [u8; 16] = [0x25; 16];
pub(super) const LIMIT: i64 = 1_000;
pub(super) const TEAM_LIMIT: i64 = 400;

/// A document from its JSON: what is left out has its default.
pub(super) fn object(id: [u8; 16], document: Value) -> Result<Object, Fault> {
    let document: Document = serde_json::from_value(document)
        .map_err(|cause| Fault::Unreadable { what: "sample", cause: cause.to_string() })?;
    Ok(Object { id, document })
}

pub(super) fn org_object(org: OrgId, name: &str) -> Result<Object, Fault> {
    object(*org.as_bytes(), json!({"kind": "Org", "name": name}))
}

pub(super) fn project(id: [u8; 16], org: &str, name: &str) -> Result<Object, Fault> {
    object(id, json!({"kind": "Project", "org": org, "name": name}))
}

pub(super) fn key(id: [u8; 16], org: &str, name: &str, sha256: u8) -> Result<Object, Fault> {
    let sha256 = hex::encode([sha256; 32]);
    object(
        id,
        json!({"kind": "Key", "org": org, "name": name, "project": "app",
            "owner": {"user": "ada"}, "sha256": sha256}),
    )
}

pub(super) fn budget(id: [u8; 16], org: &str, on: &Value, limit: i64) -> Result<Object, Fault> {
    let (name, limit) = (format!("budget-{}", hex::encode(id)), NanoUsd(limit).to_string());
    object(
        id,
        json!({"kind": "Budget", "org": org, "name": name, "on": on, "limit": limit,
            "period": "lifetime"}),
    )
}

/// An org with a unit, a project, a user in a group, a service account, a key and two budgets.
pub(super) fn house(org: OrgId) -> Result<Vec<Object>, Fault> {
    let name = if org == ACME { "acme" } else { "other" };
    Ok(vec![
        org_object(org, name)?,
        object(TEAM_UNIT, json!({"kind": "Unit", "org": name, "name": "team"}))?,
        object(APP, json!({"kind": "Project", "org": name, "name": "app", "unit": "team"}))?,
        object(ADA, json!({"kind": "User", "org": name, "name": "ada"}))?,
        object(
            [0x26; 16],
            json!({"kind": "Group", "org": name, "name": "all",
            "members": ["ada"]}),
        )?,
        object(BOT, json!({"kind": "ServiceAccount", "org": name, "name": "bot"}))?,
        key(ADA_KEY, name, "ada-key", if org == ACME { 1 } else { 2 })?,
        budget(WHOLE, name, &json!("org"), LIMIT)?,
        budget(TEAM, name, &json!({"unit": "team"}), TEAM_LIMIT)?,
    ])
}

pub(super) fn pot(budget: [u8; 16]) -> Pot {
    Pot { budget: BudgetId::from_bytes(budget), span: Span::LIFETIME }
}

pub(super) fn chain() -> Chain {
    vec![pot(WHOLE), pot(TEAM)]
}

pub(super) fn boot(number: u8) -> BootId {
    BootId::from_bytes([number; 16])
}

pub(super) fn journal(number: u8) -> JournalId {
    JournalId::from_bytes([number; 16])
}

pub(super) fn request(number: u64) -> RequestId {
    RequestId::from_bytes(u128::from(number).to_be_bytes())
}

pub(super) fn need(chain: &[Pot], amount: i64) -> SyncAsk {
    let needs = vec![Need { chain: chain.to_vec(), amount: NanoUsd(amount) }];
    SyncAsk { needs, returned: Vec::new() }
}

pub(super) fn give(pot: Pot, total: i64) -> SyncAsk {
    SyncAsk { needs: Vec::new(), returned: vec![(pot, NanoUsd(total))] }
}

/// The one answer of a reply to one need.
pub(super) fn answer(reply: &SyncReply) -> Result<Answer, Fault> {
    let SyncReply::Open { answers, .. } = reply else {
        return Err(Fault::Broken("the boot is closed".to_owned()));
    };
    let answer = answers.first().copied();
    answer.ok_or_else(|| Fault::Broken("no answer".to_owned()))
}

/// A record that spent `counted` of the lease of `by`, and that is billed `cost`.
pub(super) fn record(org: OrgId, number: u64, by: BootId, cost: i64, counted: i64) -> UsageRecord {
    let stamp = Stamp {
        org,
        request: request(number),
        attempt: 1,
        logical_request: request(number),
        leg: Leg::Primary,
        unit_path: vec![UnitId::from_bytes(TEAM_UNIT)],
        project: ProjectId::from_bytes(APP),
        cost_centre: None,
        tags: [("purpose".to_owned(), "test".to_owned())].into(),
        principal: Principal::User(UserId::from_bytes(ADA)),
        acted_for: None,
        key: KeyId::from_bytes(ADA_KEY),
        end_user_hash: None,
        session_hash: None,
        task_hash: None,
        request_class: None,
        client_request_id: None,
        surface: Surface::Chat,
        stream: true,
        model: "house-large".to_owned(),
        tier: None,
        deployment: DeploymentId::from_bytes([0x31; 16]),
        upstream_model: "large-1".to_owned(),
        price: None,
        revision: Revision(1),
        boot: by,
        chain: chain(),
        hold: NanoUsd(counted),
        admitted_at: Timestamp(1_700_000_000_000),
        queue_millis: 0,
    };
    let ending = Ending {
        outcome: Outcome::Finished,
        source: Source::Reported,
        tokens: Tokens { input: 10, output: 20, ..Tokens::default() },
        cost: Some(NanoUsd(cost)),
        lines: [("output".to_owned(), NanoUsd(cost))].into(),
        counted: NanoUsd(counted),
        overrun: NanoUsd(cost - counted).at_least_zero(),
        finish_reason: Some("stop".to_owned()),
        flaw: None,
        first_byte_millis: Some(12),
        total_millis: 34,
        ended_at: Timestamp(1_700_000_000_034),
    };
    UsageRecord { stamp, part: 0, ending }
}

/// An attempt of which only `cost` of its hold was seen.
pub(super) fn unknown(org: OrgId, number: u64, by: BootId, cost: i64, hold: i64) -> UsageRecord {
    let mut record = record(org, number, by, cost, hold);
    record.ending.outcome = Outcome::Indeterminate;
    record
}

/// What resolves `record` once its `actual` cost is known.
pub(super) fn resolution(record: &UsageRecord, actual: i64) -> UsageRecord {
    let mut correction = record.clone();
    let (seen, held) = (record.ending.cost.unwrap_or_default(), record.ending.counted);
    correction.part = 1;
    correction.ending.outcome = Outcome::Finished;
    correction.ending.tokens = Tokens::default();
    correction.ending.cost = Some(NanoUsd(actual).minus(seen));
    correction.ending.counted = NanoUsd(actual).min(held).minus(held);
    correction.ending.overrun = NanoUsd(actual).minus(held).at_least_zero();
    correction
}

/// A record with something in every field, none of it twice.
pub(super) fn full_record(org: OrgId, by: BootId) -> UsageRecord {
    let mut it = record(org, 77, by, 0, 0);
    it.stamp.attempt = 3;
    it.stamp.logical_request = request(76);
    it.stamp.leg = Leg::Fallback;
    it.stamp.unit_path = vec![UnitId::from_bytes([1; 16]), UnitId::from_bytes(TEAM_UNIT)];
    it.stamp.cost_centre = Some("cc-1".to_owned());
    it.stamp.tags.insert("ümlaut \"quoted\"".to_owned(), String::new());
    it.stamp.principal = Principal::ServiceAccount(ServiceAccountId::from_bytes(BOT));
    it.stamp.acted_for = Some(UserId::from_bytes(ADA));
    it.stamp.end_user_hash = Some("eu".to_owned());
    it.stamp.session_hash = Some("se".to_owned());
    it.stamp.task_hash = Some("ta".to_owned());
    it.stamp.request_class = Some("interactive".to_owned());
    it.stamp.client_request_id = Some("theirs".to_owned());
    it.stamp.surface = Surface::Embeddings;
    it.stamp.stream = false;
    it.stamp.tier = Some("frontier".to_owned());
    it.stamp.price = Some(PriceId::from_bytes([0x41; 16]));
    it.stamp.revision = Revision(9);
    it.stamp.hold = NanoUsd(8);
    it.stamp.queue_millis = 7;
    it.ending.outcome = Outcome::HungUp;
    it.ending.source = Source::Estimated;
    it.ending.tokens = Tokens {
        input: 1,
        cache_read: 2,
        cache_write: 3,
        output: 4,
        reasoning: 5,
        audio_in: 6,
        audio_out: 7,
        image: 8,
    };
    it.ending.flaw = Some("total below its parts".to_owned());
    it
}

pub(super) fn decision(org: OrgId, number: u64) -> Decision {
    Decision {
        org,
        request: request(number),
        at: Timestamp(1_700_000_000_000),
        project: ProjectId::from_bytes(APP),
        principal: Principal::User(UserId::from_bytes(ADA)),
        key: KeyId::from_bytes(ADA_KEY),
        surface: Surface::Chat,
        model: "house-large".to_owned(),
        verdict: Verdict::Masked,
        refusal: None,
        flow: Flow {
            caller: Some(Level::Restricted),
            labels: ["pci.card".to_owned()].into(),
            ..Flow::new(Level::Internal)
        },
        candidates: vec![(DeploymentId::from_bytes([0x31; 16]), "kept".to_owned())],
        masked: vec!["pci.card".to_owned()],
        revision: Revision(1),
    }
}

/// `settled`, `held`, `leased`, `unattributed` and `overrun`, in this order.
pub(super) fn sums(balance: &Balance) -> [i64; 5] {
    [balance.settled, balance.held, balance.leased, balance.unattributed, balance.overrun]
        .map(|sum| sum.0)
}

//! What is billed is what the provider counted, however an answer ends.

mod shown;
mod unsent;

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tests::{
    house::House,
    json::At,
    ledger::Ledger,
    oracle::Seen,
    record::{Record, true_cost},
    settings::Settings,
    sse::{Event, Events},
    wait::{self, LONG},
};

/// Of each case of the mixed run.
const TIMES: usize = 50;
const AT_ONCE: usize = 24;
/// Tokens of a lockstep answer.
const LOCKSTEP: u32 = 12;
/// Words of a prompt that is long enough for 2 % to be more than its overheads.
const PROMPT_WORDS: usize = 400;

/// How a caller takes an answer.
#[derive(Clone, Copy, Debug)]
enum Taking {
    Whole,
    Stream,
    StreamWithUsage,
    /// Hangs up after so many pieces of text.
    HangUp(u32),
    Embedding,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bill {
    /// The provider's report, to the token.
    Reported,
    /// Our own count, within 2 % of the provider's.
    Estimated,
    /// Broken off without a report: billed as far as it was seen, counted at the hold.
    BrokenOff,
    /// Between what the caller read and what the provider sent.
    Between,
    /// Ours, because the report cannot be.
    Doubted,
    /// The report, ten times the truth.
    Overstated,
    /// Nobody knows: counted at the hold.
    Unknown,
    /// Nothing was begun: no record.
    Nothing,
}

/// A model of the simulated provider, how its answer is taken, and how that is billed.
const CASES: &[(&str, Taking, Bill)] = &[
    ("sim-economy-out20-delay0-gap0", Taking::Whole, Bill::Reported),
    ("sim-economy-out20-delay0-gap0", Taking::Stream, Bill::Reported),
    ("sim-economy-out20-delay0-gap0", Taking::StreamWithUsage, Bill::Reported),
    ("sim-economy-out7-cached9-delay0-gap0", Taking::Whole, Bill::Reported),
    ("sim-economy-out7-cached9-delay0-gap0", Taking::Stream, Bill::Reported),
    ("sim-reasoner-out9-delay0-gap0", Taking::Whole, Bill::Reported),
    ("sim-reasoner-out9-delay0-gap0", Taking::StreamWithUsage, Bill::Reported),
    ("sim-embed-delay0", Taking::Embedding, Bill::Reported),
    ("sim-economy-out9-utwice-delay0-gap0", Taking::Stream, Bill::Reported),
    ("sim-economy-out9-uearly-delay0-gap0", Taking::Stream, Bill::Reported),
    ("sim-economy-out9-ualways-delay0-gap0", Taking::Stream, Bill::Reported),
    ("sim-economy-out9-uover-delay0-gap0", Taking::Whole, Bill::Overstated),
    ("sim-economy-out9-uover-delay0-gap0", Taking::Stream, Bill::Overstated),
    ("sim-economy-out50-nousage-delay0-gap0", Taking::Whole, Bill::Estimated),
    ("sim-economy-out50-nousage-delay0-gap0", Taking::Stream, Bill::Estimated),
    ("sim-economy-out50-uneg-delay0-gap0", Taking::Stream, Bill::Doubted),
    ("sim-economy-out50-unan-delay0-gap0", Taking::Stream, Bill::BrokenOff),
    ("sim-economy-out50-uhuge-delay0-gap0", Taking::Whole, Bill::Doubted),
    ("sim-economy-out50-uzero-delay0-gap0", Taking::Stream, Bill::Doubted),
    ("sim-economy-out50-uzeros-delay0-gap0", Taking::Stream, Bill::Doubted),
    ("sim-economy-out50-uodd-delay0-gap0", Taking::Stream, Bill::Doubted),
    ("sim-economy-out50-uodd-delay0-gap0", Taking::Whole, Bill::Doubted),
    ("sim-economy-out50-uhalf-delay0-gap0", Taking::Stream, Bill::Doubted),
    ("sim-economy-out50-uhalf-delay0-gap0", Taking::Whole, Bill::Doubted),
    ("sim-economy-out50-uvast-delay0-gap0", Taking::Stream, Bill::Doubted),
    ("sim-economy-out50-uvast-delay0-gap0", Taking::Whole, Bill::Doubted),
    ("sim-embed-uzero-delay0", Taking::Embedding, Bill::Doubted),
    ("sim-embed-uodd-delay0", Taking::Embedding, Bill::Doubted),
    ("sim-embed-uvast-delay0", Taking::Embedding, Bill::Doubted),
    ("sim-economy-out50-ustring-delay0-gap0", Taking::Whole, Bill::Doubted),
    ("sim-economy-out50-trunc30-delay0-gap0", Taking::Stream, Bill::BrokenOff),
    ("sim-economy-out50-eof30-delay0-gap0", Taking::Stream, Bill::BrokenOff),
    ("sim-economy-out50-err30-delay0-gap0", Taking::Stream, Bill::BrokenOff),
    ("sim-economy-out200-delay0-gap5", Taking::HangUp(1), Bill::Between),
    ("sim-economy-out200-delay0-gap5", Taking::HangUp(9), Bill::Between),
    ("sim-economy-status500", Taking::Stream, Bill::Unknown),
    ("sim-economy-reset", Taking::Whole, Bill::Unknown),
    ("sim-economy-status400", Taking::Whole, Bill::Nothing),
    ("sim-economy-status429-ra1", Taking::Stream, Bill::Nothing),
    ("sim-economy-status503", Taking::Whole, Bill::Nothing),
];

/// What one caller saw of its request.
#[derive(Debug)]
struct Got {
    request: String,
    bill: Bill,
    /// Pieces of text that were read.
    read: i64,
    case: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bills_agree_with_the_provider_after_a_mixed_run_of_two_thousand_requests() {
    let mut house = House::open(market()).await;
    let prompt = prompt();

    let asked = (0..CASES.len() * TIMES).map(|number| {
        let (model, taking, bill) = CASES[number % CASES.len()];
        ask(&house, model, taking, bill, &prompt)
    });
    let run = stream::iter(asked).buffer_unordered(AT_ONCE).collect::<Vec<Got>>();
    let got = wait::within(LONG, "the mixed run", run).await;
    let seen = house.oracle().at_rest().await;
    assert!(house.terminate().await.success());

    assert!(2_000 <= got.len());
    let records = Record::all(&house.usage("acme").await);
    let faults = audit(&got, &seen, &records);
    assert!(
        faults.is_empty(),
        "{} faults, such as\n{}",
        faults.len(),
        faults[..faults.len().min(20)].join("\n")
    );
    balanced(&house, &records).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_hangs_up_after_any_chunk_pays_exactly_for_what_was_sent() {
    let house = House::open(market()).await;
    let model = format!("sim-lockstep-out{LOCKSTEP}");

    for tokens in 0..LOCKSTEP {
        let before = house.oracle().all().await.last().map_or(0, |row| row.seq);
        let lead = async {
            let row = house.oracle().once("the attempt", |row| before < row.seq).await;
            house.oracle().step(row.seq, tokens.into()).await;
            row
        };
        let (mut events, row) = tokio::join!(house.stream("ada", &model, json!({})), lead);
        let read = read_pieces(&mut events, tokens).await;
        drop(events);

        let of_this = |record: &Record| record.key() == row.joins();
        let rows = house
            .usage_once("acme", "the record of a hang-up", |rows| {
                Record::all(rows).iter().any(of_this)
            })
            .await;
        let record = Record::all(&rows).into_iter().find(of_this).unwrap();
        assert_eq!(read, i64::from(tokens));
        assert_eq!((record.output, record.source.as_str()), (read, "estimated"), "{record:?}");
        assert_eq!(record.outcome, "hung_up");
    }
}

#[tokio::test]
async fn an_attempt_that_failed_before_another_answered_is_never_billed_as_the_answer() {
    let settings = market()
        .model("steps-aside", &["sim-economy-status503", "sim-economy-out5-delay0-gap0"])
        .model("breaks-first", &["sim-economy-status500", "sim-economy-out6-delay0-gap0"]);
    let house = House::open(settings).await;

    let aside = house.chat("ada", "steps-aside", json!({})).await.request_id();
    let broken = house.chat("ada", "breaks-first", json!({})).await.request_id();

    let rows = house.usage_once("acme", "three records", |rows| rows.len() == 3).await;
    let mut told: Vec<_> = Record::all(&rows)
        .into_iter()
        .map(|it| (it.request, it.attempt, it.leg, it.outcome, it.output))
        .collect();
    told.sort();
    let text = |text: &str| text.to_owned();
    let mut expected = vec![
        (aside, 2, text("fallback"), text("finished"), 5),
        (broken.clone(), 1, text("primary"), text("indeterminate"), 0),
        (broken, 2, text("fallback"), text("finished"), 6),
    ];
    expected.sort();
    assert_eq!(told, expected);
}

/// One org with every model of the cases, under one large budget.
fn market() -> Settings {
    let mut names: BTreeSet<String> = CASES.iter().map(|(name, ..)| (*name).to_owned()).collect();
    names.insert(format!("sim-lockstep-out{LOCKSTEP}"));
    // By month: the budget by which `penstock usage` checks its total.
    let budget = json!({ "on": "org", "limit": "1000", "period": "month" });
    let settings = Settings::of("acme").key("ada").and("Budget", "all", budget);
    names.iter().fold(settings, |settings, name| settings.model(name, &[name]))
}

fn prompt() -> String {
    ["river", "light", "stone", "house"].repeat(PROMPT_WORDS / 4).join(" ")
}

async fn ask(house: &House, model: &str, taking: Taking, bill: Bill, prompt: &str) -> Got {
    let message = json!({ "messages": [{ "role": "user", "content": prompt }] });
    let case = format!("{model} {taking:?}");
    let got = |request, read| Got { request, bill, read, case };
    match taking {
        Taking::Whole => {
            let answer = house.chat("ada", model, message).await;
            let request = answer.request_id();
            answer.bytes().await;
            got(request, 0)
        }
        Taking::Embedding => {
            let body = json!({ "model": model, "input": prompt });
            let answer = house.post("ada", "/v1/embeddings", &body).await;
            let request = answer.request_id();
            answer.bytes().await;
            got(request, 0)
        }
        Taking::Stream | Taking::StreamWithUsage | Taking::HangUp(_) => {
            let mut body = message;
            if matches!(taking, Taking::StreamWithUsage) {
                body = tests::house::merged(
                    body,
                    json!({ "stream_options": { "include_usage": true } }),
                );
            }
            let mut events = house.stream("ada", model, body).await;
            let request = events.answer().request_id();
            let most = if let Taking::HangUp(most) = taking { most } else { u32::MAX };
            let read = read_pieces(&mut events, most).await;
            got(request, read)
        }
    }
}

/// Reads until so many pieces of text have come, or to the end; how many came.
async fn read_pieces(events: &mut Events, most: u32) -> i64 {
    let mut read = 0;
    while read < most {
        match events.next().await {
            Some(Event::Data(value)) if !value.text("choices.0.delta.content").is_empty() => {
                read += 1;
            }
            Some(_) => (),
            None => break,
        }
    }
    read.into()
}

/// Everything in which the records differ from what the provider saw.
fn audit(got: &[Got], seen: &[Seen], records: &[Record]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut by_key: BTreeMap<String, Vec<&Record>> = BTreeMap::new();
    for record in records {
        by_key.entry(record.key()).or_default().push(record);
    }
    let mut rows: BTreeMap<&str, Vec<&Seen>> = BTreeMap::new();
    for row in seen {
        rows.entry(row.joins().split('/').next().unwrap_or_default()).or_default().push(row);
    }
    let mut known = BTreeSet::new();
    for got in got {
        let attempts = rows.get(got.request.as_str()).map_or(&[][..], Vec::as_slice);
        if attempts.is_empty() {
            faults.push(format!("{}: nothing was asked of the provider", got.case));
        }
        for row in attempts {
            known.insert(row.joins().to_owned());
            let of_row = by_key.get(row.joins()).map_or(&[][..], Vec::as_slice);
            if let Err(why) = hold_against(got, row, of_row) {
                faults.push(format!("{}: {why}\n  {row:?}\n  {of_row:?}", got.case));
            }
        }
    }
    let strays = by_key.keys().filter(|key| !known.contains(*key));
    faults.extend(strays.map(|key| format!("{key}: a record of what the provider never saw")));
    faults
}

fn hold_against(got: &Got, row: &Seen, records: &[&Record]) -> Result<(), String> {
    let record = match (records, got.bill) {
        ([], Bill::Nothing) => return Ok(()),
        ([record], bill) if bill != Bill::Nothing => *record,
        _ => return Err(format!("{} records", records.len())),
    };
    let must = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
    let (input, output) = (row.prompt_tokens, row.output_tokens_written);
    match got.bill {
        Bill::Reported => {
            must(record.source == "reported", "not as reported")?;
            must(record.outcome == "finished", "not finished")?;
            must(record.all_input() == input, "input differs")?;
            must(record.output == output, "output differs")?;
            must(record.reasoning == row.reasoning_tokens, "reasoning differs")?;
            must(record.cost <= true_cost(row), "it costs more than its tokens")?;
        }
        Bill::Overstated => {
            must(record.output == 10 * output, "the report is not what is billed")?;
            must(record.source != "estimated", "estimated")?;
        }
        Bill::Estimated | Bill::Doubted => {
            let doubted = got.bill == Bill::Doubted;
            must(record.source == if doubted { "capped" } else { "estimated" }, "source")?;
            must(!doubted || !record.flaw.is_empty(), "what is wrong with the report is not told")?;
            must(near(record.all_input(), input), "input is not within 2 %")?;
            must(near(record.output, output), "output is not within 2 %")?;
        }
        Bill::Between => {
            must(record.source == "estimated" && record.outcome == "hung_up", "not a hang-up")?;
            must(near(record.all_input(), input), "input is not within 2 %")?;
            must(got.read <= record.output && record.output <= output, "not between")?;
        }
        Bill::BrokenOff => {
            must(record.outcome == "indeterminate", "it is not indeterminate")?;
            must(record.counted == record.hold, "it is not counted at its hold")?;
            must(record.output == output, "output is not what was sent")?;
        }
        Bill::Unknown => {
            must(record.outcome == "indeterminate", "it is not indeterminate")?;
            must(record.counted == record.hold, "it is not counted at its hold")?;
        }
        Bill::Nothing => (),
    }
    must(0 <= record.cost && record.counted <= record.hold, "counted above the hold")?;
    must(record.source == "reported" || record.cost <= record.hold, "billed above the hold")
}

fn near(ours: i64, theirs: i64) -> bool {
    (ours - theirs).abs() * 50 <= theirs
}

/// The export, the table and the ledger say the same sum.
async fn balanced(house: &House, records: &[Record]) {
    let sum: i64 = records.iter().map(|record| record.cost).sum();
    let (pot, ledger) = (Ledger::open(house.folder()).pot(), Ledger::open(house.folder()));
    assert_eq!(pot.settled + pot.overrun, sum, "{pot:?}");
    assert_eq!(pot.leased + pot.unattributed, 0, "{pot:?}");
    assert_eq!(pot.held, ledger.number("SELECT coalesce(sum(amount), 0) FROM hold"));
    assert_eq!(ledger.stray_holds() + ledger.stray_leases(), 0);
    assert_eq!(ledger.number("SELECT coalesce(sum(cost), 0) FROM usage"), sum);
    let csv = ["export", "usage", "--config", "penstock.toml", "--org", "acme", "--format", "csv"];
    let lines = house.run(&csv).await.ok().lines().count();
    assert_eq!(lines, records.len() + 1, "one line for each record, and the heading");
    let table = "usage --config penstock.toml --by unit,project,model --format json";
    let table = house.run(&table.split(' ').collect::<Vec<_>>()).await.ok();
    let table: Value = serde_json::from_str(&table).expect("JSON");
    assert_eq!(table.int("total.cost_nano_usd"), sum);
    assert_eq!(table.at("check.agrees"), &json!(true), "the table checks itself by the ledger");
}

//! What a killed gateway has promised is still true when it is back.

use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tests::{
    client::Answer,
    house::{House, Plan},
    ledger::Ledger,
    record::{Record, true_cost},
    settings::Settings,
    wait::{self, LONG},
};
use tokio::task::JoinSet;

const KILLS: usize = 100;
const CLIENTS: usize = 8;
/// A kill comes so many milliseconds after the start, at most.
const LIFE_MILLIS_MAX: u64 = 120;
const RECOVERY_MILLIS_MAX: u128 = 1_000;
/// The same kills every time; another seed is another run.
const SEED: u64 = 0x5eed_0003;

const MODELS: [&str; 4] = [
    "sim-economy-out8-delay0-gap0",
    "sim-economy-out8-delay0-gap2",
    "sim-reasoner-out8-delay5-gap1",
    "sim-economy-out8-nousage-delay0-gap1",
];

/// A request whose answer came whole, or of which at least the head came.
struct Got {
    request: String,
    whole: bool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_settled_record_is_lost_and_every_intent_is_accounted_for_through_kills() {
    let settings = Settings::of("acme").key("ada").budget("all", &json!("org"), "1000");
    let settings = MODELS.iter().fold(settings, |settings, model| settings.model(model, &[model]));
    let mut house = Plan::new(settings).open().await;
    let mut dice = SEED;
    let (mut got, mut recoveries) = (Vec::new(), Vec::new());

    let run = async {
        for _ in 0..kills() {
            let shared = Arc::new(house);
            let clients = load(&shared);
            // The moment of death is the point of this test; nothing waits for it.
            tokio::time::sleep(Duration::from_millis(roll(&mut dice) % LIFE_MILLIS_MAX)).await;
            shared.gateway_signal("KILL");
            got.extend(clients.join_all().await.into_iter().flatten());
            house = Arc::into_inner(shared).expect("every client has ended");
            house.kill9();
            recoveries.push(house.start().await);
        }
        house
    };
    let mut house = wait::within(2 * LONG, "all kills", run).await;
    let seen = house.oracle().at_rest().await;
    assert!(house.terminate().await.success());

    let records = Record::all(&house.usage("acme").await);
    let whole = got.iter().filter(|got| got.whole).count();
    recoveries.sort_unstable();
    let slowest = recoveries.last().copied().unwrap_or_default();
    println!(
        "{} kills, {whole} answers whole, {} records, slowest recovery {slowest:?}",
        kills(),
        records.len()
    );
    assert!(kills() < whole, "the load was too thin to prove anything");
    let mut by_key: BTreeMap<String, &Record> = BTreeMap::new();
    for record in &records {
        assert!(by_key.insert(record.key(), record).is_none(), "doubled: {record:?}");
    }
    let finished: BTreeSet<&str> = records
        .iter()
        .filter(|record| record.outcome == "finished")
        .map(|record| record.request.as_str())
        .collect();
    for got in got.iter().filter(|got| got.whole) {
        assert!(finished.contains(got.request.as_str()), "{} is lost", got.request);
    }
    for row in &seen {
        let record = by_key.get(row.joins()).unwrap_or_else(|| panic!("no record of {row:?}"));
        let covers = true_cost(row) <= record.counted + record.counted / 50;
        assert!(covers, "{record:?} counts less than {row:?}");
    }
    let ledger = Ledger::open(house.folder());
    let pot = ledger.pot();
    assert_eq!(pot.settled + pot.overrun, records.iter().map(|record| record.cost).sum::<i64>());
    assert_eq!((pot.leased, pot.unattributed), (0, 0), "{pot:?}");
    assert_eq!((ledger.stray_holds(), ledger.stray_leases()), (0, 0));
    // The machine may be busy with something else now and then; the gateway is not.
    let usual = recoveries[recoveries.len() * 9 / 10];
    assert!(usual.as_millis() < RECOVERY_MILLIS_MAX, "a recovery took {usual:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_told_to_end_lets_its_streams_end_first() {
    let model = "sim-economy-out40-delay0-gap10";
    let settings = Settings::of("acme").key("ada").model(model, &[model]);
    let mut house = House::open(settings).await;

    let mut events = house.stream("ada", model, json!({})).await;
    let request = events.answer().request_id();
    events.next().await;
    let status = house.terminate().await;
    let rest = events.rest().await;

    assert!(status.success());
    assert_eq!(rest.last(), Some(&tests::sse::Event::Done), "the stream was cut");
    let records = Record::all(&house.usage("acme").await);
    assert_eq!(records.len(), 1);
    assert_eq!((records[0].request.as_str(), records[0].output), (request.as_str(), 40));
}

/// Clients that ask until the gateway is gone.
fn load(house: &Arc<House>) -> JoinSet<Vec<Got>> {
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let house = Arc::clone(house);
        clients.spawn(async move {
            let mut got = Vec::new();
            for (turn, model) in MODELS.iter().cycle().enumerate().skip(client) {
                let stream = turn % 3 != 0;
                let asked = house.try_chat("ada", model, json!({ "stream": stream })).await;
                let Ok(answer) = asked else { break };
                assert_eq!(answer.status, 200);
                let request = answer.request_id();
                let whole = came_whole(answer, stream).await;
                got.push(Got { request, whole });
                if !whole {
                    break;
                }
            }
            got
        });
    }
    clients
}

/// True if the last byte came: of a stream, that is its `[DONE]`.
async fn came_whole(answer: Answer, stream: bool) -> bool {
    let Ok(bytes) = answer.try_bytes().await else { return false };
    !stream || bytes.ends_with(b"[DONE]\n\n")
}

/// How often: as many times as the caller of the suite says.
fn kills() -> usize {
    #[expect(clippy::disallowed_methods, reason = "`tests/run crash N` has no other way to say N")]
    let told = std::env::var("PENSTOCK_TEST_CRASHES");
    told.ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS)
}

/// The next of a sequence that looks arbitrary (xorshift).
const fn roll(dice: &mut u64) -> u64 {
    *dice ^= *dice << 13;
    *dice ^= *dice >> 7;
    *dice ^= *dice << 17;
    *dice
}

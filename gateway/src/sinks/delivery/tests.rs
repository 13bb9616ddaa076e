//! Every row reaches a sink, whatever fails on the way.

use super::*;
use admin::outbound::{Fetch, Fetched, Outbound, OutboundFault};
use http::StatusCode;
use policies::ids::OrgId;
use std::sync::Mutex;
use store::{
    audit::{Act, Actor, ActorKind, Outcome},
    model::Model,
};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Fails every other request, and keeps the ids of those that it took.
#[derive(Default)]
struct Moody {
    asked: Mutex<Vec<(String, bool)>>,
}

impl Moody {
    fn taken(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(_, taken)| *taken).map(|(id, _)| id.clone()).collect()
    }
}

#[async_trait::async_trait]
impl Outbound for Moody {
    async fn fetch(&self, fetch: Fetch) -> Result<Fetched, OutboundFault> {
        let id = fetch.headers["webhook-id"].to_str().unwrap().to_owned();
        let mut asked = self.asked.lock().unwrap();
        let takes = asked.len() % 2 == 1;
        asked.push((id, takes));
        let status = if takes { StatusCode::NO_CONTENT } else { StatusCode::BAD_GATEWAY };
        Ok(Fetched { status, headers: http::HeaderMap::new(), body: bytes::Bytes::new() })
    }
}

async fn grow(log: &Model, org: u8, rows: usize) {
    for _ in 0..rows {
        let act = Act {
            at: Timestamp(7),
            actor: Actor { kind: ActorKind::System, id: String::new(), name: String::new() },
            address: None,
            action: "unit.created".to_owned(),
            outcome: Outcome::Done,
            target: None,
            before: None,
            after: None,
            reason: None,
            request: None,
            via: "system".to_owned(),
            revision: None,
        };
        log.append(&OrgId::from_bytes([org; 16]), vec![act]).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_fails_is_asked_again_and_gets_every_row_in_order() {
    let (log, moody) = (Arc::new(Model::default()), Arc::new(Moody::default()));
    grow(&log, 1, 3).await;
    grow(&log, 2, 2).await;
    let outbound: Arc<dyn Outbound> = Arc::clone(&moody) as Arc<dyn Outbound>;
    let webhook = Webhook::new("https://example.com", SECRET, outbound).unwrap();
    let status = Arc::new(Status::default());
    let audit = Arc::clone(&log) as Arc<dyn AuditLog>;
    let way = Way::Webhook(Box::new(webhook));
    let delivery = Delivery::new("siem".to_owned(), way, audit, Arc::clone(&status));
    let stop = CancellationToken::new();

    let running = delivery.run(&stop, Duration::from_secs(1));
    let all = async {
        while moody.taken().len() < 5 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(0 < status.sinks()["siem"].failures || 0 < status.sinks()["siem"].position);
        }
        stop.cancel();
    };
    tokio::join!(running, all);

    let ids: Vec<String> = moody.taken();
    let expected = [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2)];
    let expected = expected.map(|(org, seq)| format!("{}-{seq}", OrgId::from_bytes([org; 16])));
    assert_eq!(ids, expected);
    assert_eq!(log.sink_position("siem").await.unwrap(), status.sinks()["siem"].position);
    assert_eq!(status.sinks()["siem"].failures, 0);
}

#[tokio::test]
async fn the_end_does_not_come_before_the_last_row() {
    let log = Arc::new(Model::default());
    grow(&log, 1, 250).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events");
    let audit = Arc::clone(&log) as Arc<dyn AuditLog>;
    let way = Way::File(path.clone());
    let delivery = Delivery::new("file".to_owned(), way, audit, Arc::default());
    let stop = CancellationToken::new();
    stop.cancel();

    delivery.run(&stop, Duration::from_secs(5)).await;

    assert_eq!(std::fs::read_to_string(path).unwrap().lines().count(), 250);
}

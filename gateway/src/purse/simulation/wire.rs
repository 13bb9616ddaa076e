//! The way to the ledger: messages are late, lost, repeated and overtaken by others.

use super::{
    engine, tamper,
    variant::Variant,
    world::{ORG, World},
};
use async_trait::async_trait;
use policies::{
    ids::{BootId, JournalId, OrgId},
    time::Timestamp,
    usage::UsageRecord,
};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use store::{Claimed, Fault, JournalClaim, Ledger, Recalls, Shipment, SyncAsk, SyncReply};
use tokio::{
    runtime::Handle,
    sync::oneshot,
    time::{sleep, timeout},
};

/// How far ahead of its period a need may be: clocks jump a little.
const EARLY_MILLIS_MAX: i64 = 2_000;

/// One process's way. What was sent goes on when the process is gone.
pub(super) struct Wire {
    pub(super) world: Arc<World>,
    pub(super) slot: usize,
    gone: AtomicBool,
}

#[derive(Clone, Debug)]
pub(super) enum Message {
    Open(BootId, JournalId),
    Renew(BootId),
    Sync(BootId, SyncAsk),
    Ship(Vec<Arc<UsageRecord>>),
    Close(BootId, bool),
    Recalls(BootId, Timestamp),
    Unheard(i64),
}

#[derive(Clone, Debug)]
pub(super) enum Reply {
    Done,
    Renewed(Option<Timestamp>),
    Synced(SyncReply),
    Recalls(Recalls),
    Unheard(Vec<BootId>),
}

/// What becomes of one message.
struct Fate {
    there: Duration,
    back: Duration,
    lost: bool,
    reply_lost: bool,
    /// When the sender gives it up.
    patience: Duration,
}

impl Wire {
    pub(super) fn new(world: &Arc<World>, slot: usize) -> Self {
        Self { world: Arc::clone(world), slot, gone: AtomicBool::new(false) }
    }

    /// The process is gone, and sends nothing more. True: it was gone before.
    pub(super) fn end(&self) -> bool {
        self.gone.swap(true, Ordering::Relaxed)
    }

    fn fate(&self) -> Fate {
        let (dice, weather) = (&self.world.dice, &self.world.weather);
        if self.world.is_calm() {
            let (there, back) = (dice.millis(1, 3), dice.millis(1, 3));
            let patience = Duration::from_secs(10);
            return Fate { there, back, lost: false, reply_lost: false, patience };
        }
        let slow = |most| {
            if dice.happens(weather.slow) { dice.millis(0, most) } else { dice.millis(0, 8) }
        };
        Fate {
            there: slow(5_000),
            back: slow(1_500),
            lost: dice.happens(weather.loss),
            reply_lost: dice.happens(weather.loss),
            patience: dice.millis(1_000, 4_000),
        }
    }

    async fn post(&self, message: Message) -> Result<Reply, Fault> {
        if self.gone.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        self.world.tell(|| format!("{} sends {}", self.slot, told(&message)));
        let fate = self.fate();
        if !self.world.is_calm() && self.world.dice.happens(self.world.weather.copies) {
            let (world, slot, copy) = (Arc::clone(&self.world), self.slot, message.clone());
            let wait = self.world.dice.millis(0, 3_000);
            Handle::current().spawn(async move {
                sleep(wait).await;
                world.reach(slot).await;
                let _ = world.execute(slot, &copy, true);
            });
        }
        let patience = fate.patience;
        if self.world.is(Variant::ShippedWhenSent) && matches!(message, Message::Ship(_)) {
            Handle::current().spawn(Arc::clone(&self.world).carry(self.slot, message, fate, None));
            return Ok(Reply::Done);
        }
        let (answer, reply) = oneshot::channel();
        let carried = Arc::clone(&self.world).carry(self.slot, message, fate, Some(answer));
        Handle::current().spawn(carried);
        match timeout(patience, reply).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) | Err(_) => Err(Fault::Away("nobody answers".to_owned())),
        }
    }
}

impl World {
    /// Until the gateway in this slot reaches the store, and the store is awake.
    async fn reach(&self, slot: usize) {
        while self.cut[slot].is_shut() || self.frozen.is_shut() {
            self.cut[slot].pass().await;
            self.frozen.pass().await;
        }
    }

    async fn carry(
        self: Arc<Self>,
        slot: usize,
        message: Message,
        fate: Fate,
        answer: Option<oneshot::Sender<Result<Reply, Fault>>>,
    ) {
        sleep(fate.there).await;
        // What is on its way when the line is cut may be lost, or only late.
        if fate.lost || (self.cut[slot].is_shut() && self.dice.happens(500)) {
            return;
        }
        self.reach(slot).await;
        let reply = self.execute(slot, &message, false);
        sleep(fate.back).await;
        if fate.reply_lost || self.cut[slot].is_shut() {
            return;
        }
        if let Some(answer) = answer {
            // Whoever asked may have given it up.
            let _ = answer.send(reply);
        }
    }

    /// The store's part, in one step; then everything is looked at.
    fn execute(&self, slot: usize, message: &Message, copy: bool) -> Result<Reply, Fault> {
        if self.is_over() {
            return Err(Fault::Away("it is over".to_owned()));
        }
        self.count("messages");
        let changed = tamper::message(self, message);
        let reply = self.apply(&changed);
        let reply = tamper::reply(self, &changed, reply);
        if !matches!(message, Message::Recalls(..) | Message::Unheard(_) | Message::Renew(_)) {
            self.tell(|| format!("store: from {slot} {} -> {reply:?}", told(&changed)));
        }
        if let Err(Fault::Broken(cause)) = &reply {
            self.find(Err(format!("the store refuses {}: {cause}", told(message))));
        }
        let mut granted = BTreeSet::new();
        match (message, &reply) {
            (Message::Sync(boot, ask), Ok(Reply::Synced(reply))) => {
                self.check_periods(ask);
                let learnt = self.truth().learn(*boot, ask, reply);
                match learnt {
                    Ok(pots) => granted = pots,
                    Err(found) => self.find(Err(found)),
                }
            }
            (Message::Ship(records), Ok(_)) => {
                for record in records {
                    let finding = self.truth().record(record);
                    self.find(finding);
                }
            }
            _ => {}
        }
        if matches!(message, Message::Sync(..) | Message::Ship(_) | Message::Close(..)) {
            self.check(&granted);
        }
        tamper::on_its_way(self, message, reply, copy)
    }

    fn apply(&self, message: &Message) -> Result<Reply, Fault> {
        let (engine, store) = (&self.engine, self.engine.store());
        match message {
            Message::Open(boot, journal) => {
                engine.call(store.open_boot(boot, journal)).map(|()| Reply::Done)
            }
            Message::Renew(boot) => engine.call(store.renew(boot)).map(Reply::Renewed),
            Message::Sync(boot, ask) => {
                engine.call(store.sync(&ORG, boot, ask.clone())).map(Reply::Synced)
            }
            Message::Ship(records) => {
                let rows = Shipment { records: records.clone(), decisions: Vec::new() };
                engine.call(store.ship(&ORG, rows)).map(|()| Reply::Done)
            }
            Message::Close(boot, complete) => {
                engine.call(store.close(boot, *complete)).map(|()| Reply::Done)
            }
            Message::Recalls(boot, since) => {
                engine.call(store.recalls(boot, *since)).map(Reply::Recalls)
            }
            Message::Unheard(millis) => engine.call(store.unheard(*millis)).map(Reply::Unheard),
        }
    }

    fn check_periods(&self, ask: &SyncAsk) {
        let latest = Timestamp(engine::ledger_now() + EARLY_MILLIS_MAX);
        for pot in ask.needs.iter().flat_map(|need| &need.chain) {
            if latest < pot.span.starts {
                self.find(Err(format!("a need of a period that has not begun: {pot:?}")));
            }
        }
    }
}

/// In few words.
fn told(message: &Message) -> String {
    let short = |boot: &BootId| hex::encode(&boot.as_bytes()[..2]);
    match message {
        Message::Open(boot, _) => format!("open {}", short(boot)),
        Message::Renew(boot) => format!("renew {}", short(boot)),
        Message::Recalls(boot, since) => format!("recalls {} since {}", short(boot), since.0),
        Message::Unheard(millis) => format!("unheard {millis}"),
        Message::Close(boot, complete) => format!("close {} complete={complete}", short(boot)),
        Message::Sync(boot, ask) => {
            let mut returned: Vec<String> = ask
                .returned
                .iter()
                .map(|(pot, told)| {
                    format!(
                        "{:x}@{}:{}",
                        pot.budget.as_bytes()[0],
                        pot.span.starts.0 % 10_000_000,
                        told.0
                    )
                })
                .collect();
            returned.sort();
            let needs: Vec<_> =
                ask.needs.iter().map(|need| (need.chain.len(), need.amount.0)).collect();
            format!("sync {} needs {needs:?} returned {returned:?}", short(boot))
        }
        Message::Ship(records) => {
            let rows: Vec<_> = records
                .iter()
                .map(|it| {
                    let (stamp, ending) = (&it.stamp, &it.ending);
                    let request = hex::encode(&stamp.request.as_bytes()[..2]);
                    let cost = ending.cost.unwrap_or_default().0;
                    let (attempt, counted) = (stamp.attempt, ending.counted.0);
                    format!("{request}.{attempt} {} {cost}/{counted}", ending.outcome)
                })
                .collect();
            format!("ship {rows:?}")
        }
    }
}

#[async_trait]
impl Ledger for Wire {
    async fn claim_journal(
        &self,
        _journal: &JournalId,
        _claim: &JournalClaim,
    ) -> Result<Claimed, Fault> {
        Ok(Claimed::Yours)
    }

    async fn open_boot(&self, boot: &BootId, journal: &JournalId) -> Result<(), Fault> {
        self.post(Message::Open(*boot, *journal)).await.map(drop)
    }

    async fn renew(&self, boot: &BootId) -> Result<Option<Timestamp>, Fault> {
        let reply = self.post(Message::Renew(*boot)).await?;
        let Reply::Renewed(now) = reply else { unreachable!("{reply:?}") };
        Ok(now)
    }

    async fn sync(&self, _org: &OrgId, boot: &BootId, ask: SyncAsk) -> Result<SyncReply, Fault> {
        let ask = tamper::ask(&self.world, *boot, ask);
        let reply = self.post(Message::Sync(*boot, ask)).await?;
        let Reply::Synced(reply) = reply else { unreachable!("{reply:?}") };
        Ok(reply)
    }

    async fn ship(&self, _org: &OrgId, rows: Shipment) -> Result<(), Fault> {
        self.post(Message::Ship(rows.records)).await.map(drop)
    }

    async fn close(&self, boot: &BootId, complete: bool) -> Result<(), Fault> {
        self.post(Message::Close(*boot, complete)).await.map(drop)
    }

    async fn recalls(&self, boot: &BootId, since: Timestamp) -> Result<Recalls, Fault> {
        let reply = self.post(Message::Recalls(*boot, since)).await?;
        let Reply::Recalls(recalls) = reply else { unreachable!("{reply:?}") };
        Ok(recalls)
    }

    async fn unheard(&self, millis: i64) -> Result<Vec<BootId>, Fault> {
        let reply = self.post(Message::Unheard(millis)).await?;
        let Reply::Unheard(boots) = reply else { unreachable!("{reply:?}") };
        Ok(boots)
    }
}

//! From settings to a running gateway and back to nothing: the only place that starts tasks.

mod housekeeping;
mod listening;
mod master_keys;
mod recovery;
mod shared_limits;

use self::{
    housekeeping::{keep_house, renew_keys},
    listening::Open,
    master_keys::MasterKeys,
};
use crate::{
    app::App,
    config::{self, Config, Engine},
    contact::Contact,
    counter::Counter,
    doorman::Doorman,
    edge::{listener, proxies::Proxies},
    health::Health,
    journal::{self, Journal},
    last_use::Uses,
    outbound::Ways,
    pipeline::identity::Identities,
    purse::{Patience, Purse},
    ready::Ready,
    rung::Rung,
    shipper::{Outbox, Quarantine, Shipper},
    sinks::{self, Lookout, Sinks},
    snapshot::Snapshot,
    sweeper,
    upstream::Upstream,
};
use admin::{
    identity::{
        Issuers,
        credential::{self, Mint},
    },
    outbound::Outbound,
    probe::Probe,
    service::sign_in::SignIn,
    services::Services,
};
use anyhow::Context;
use policies::{authority, data::detect::Detectors, ids::BootId};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use store::{
    Directory, Ledger, Store,
    audit::AuditLog,
    entropy,
    postgres::{self, Postgres},
    seal::{Keeper, KeyWrapper},
    sqlite::{Flushed, Sqlite},
    vault::Vault,
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long answers are read on, and endings written, once the callers have gone.
const LAST_BILLS: Duration = Duration::from_secs(10);
const ADMIN_DEADLINE: Duration = Duration::from_secs(1);
/// How long the shipper may take at the end of a drain.
const LAST_SHIPMENT: Duration = Duration::from_secs(10);

/// A gateway that serves until it is drained.
pub struct Gateway {
    pub client: SocketAddr,
    pub admin: SocketAddr,
    app: Arc<App>,
    contact: Arc<Contact>,
    client_listener: JoinHandle<()>,
    admin_listener: JoinHandle<()>,
    drain: CancellationToken,
    background: TaskTracker,
    stop: CancellationToken,
}

/// Opens the store of `config`, and brings its tables up to date.
pub async fn store(config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    let url = &config.store.url;
    let opened = match url.engine().context("there is no such store")? {
        Engine::Sqlite(path) => {
            // Bills that are in the store leave the journal.
            let flushed = match config.journal.durability {
                config::Durability::ProcessCrash => Flushed::Settings,
                config::Durability::PowerLoss => Flushed::Everything,
            };
            Sqlite::open_with(path, flushed).await.map(shared)
        }
        Engine::Postgres(url) => match postgres::migrate(url).await {
            Ok(()) => Postgres::open(url).await.map(shared),
            Err(fault) => Err(fault),
        },
    };
    opened.with_context(|| format!("opening the store `{url}`"))
}

fn shared(store: impl Store + 'static) -> Arc<dyn Store> {
    Arc::new(store)
}

/// The keeper of the secrets in `store`, which opens what is in it. With SQLite and nothing
/// configured, the first call makes the master key.
pub async fn keeper(config: &Config, store: Arc<dyn Store>) -> anyhow::Result<Arc<Keeper>> {
    let vault: Arc<dyn Vault> = store;
    let MasterKeys { current, older } = master_keys::read(config, vault.as_ref()).await?;
    let older = older.into_iter().map(|key| Arc::new(key) as Arc<dyn KeyWrapper>).collect();
    let keeper = Keeper::new(vault, Arc::new(current), older);
    keeper.check().await.context("the secrets in the store cannot be opened")?;
    Ok(Arc::new(keeper))
}

/// Starts everything: recovery first, then the listeners.
pub async fn start(config: &Config, store: Arc<dyn Store>) -> anyhow::Result<Gateway> {
    // A fifth of a second of work that nothing else has to wait for.
    let detectors = tokio::task::spawn_blocking(Detectors::builtin);
    let ledger: Arc<dyn Ledger> = Arc::clone(&store) as Arc<dyn Ledger>;
    let keeper = keeper(config, Arc::clone(&store)).await?;
    let (sinks, lookout) = watchers(config, &store, &keeper).await?;
    let file = journal::File::open(&config.journal.path, config.journal.durability)?;
    let quarantine = Arc::new(Quarantine::beside(&config.journal.path));
    recovery::recover(&file, ledger.as_ref(), &quarantine).await?;
    let (boot, journal_id) = (BootId::from_bytes(entropy::id()?), file.id());
    ledger.open_boot(&boot, &journal_id).await?;

    let outbox = Arc::new(Outbox::default());
    let places = config.journal.requests_in_flight_max;
    let journal = Arc::new(Journal::start(file, boot, places, Arc::clone(&outbox))?);
    let shipper = Arc::new(Shipper::new(outbox, quarantine));
    let fence = i64::from(config.budget.self_fence_secs) * 1_000;
    let purse = Purse::new(boot, Arc::clone(&ledger), Arc::clone(&shipper)).fenced_after(fence);
    let purse = Arc::new(purse.sharing(shared_limits::open(config, boot).await?));
    let silence = i64::from(config.budget.silence_secs) * 1_000;
    let own = (Arc::clone(&purse), Arc::clone(&journal), Arc::clone(&shipper));
    let contact = Arc::new(Contact::new(Arc::clone(&ledger), own, journal_id, silence));
    let snapshot = Arc::new(Snapshot::new(Arc::clone(&keeper)));
    snapshot.refresh(store.as_ref()).await?;
    let out = Arc::new(Ways::new(config.identity.private_networks));
    let mint = Mint::new(keeper.signing_key(credential::SIGNING_PURPOSE).await?);
    let app = Arc::new(App {
        identities: Identities::new(Arc::new(Issuers::new(out)), mint),
        snapshot: Arc::clone(&snapshot),
        doorman: Doorman::new(&config.edge),
        lookout,
        detectors: Arc::new(detectors.await??),
        health: Health::default(),
        uses: Uses::default(),
        purse: Arc::clone(&purse),
        patience: Patience(config::millis(config.budget.wait_millis)),
        counter: Counter::start(Arc::clone(&journal), places)?,
        journal,
        upstream: Upstream::new(&config.upstream),
        deadlines: config.upstream.clone(),
        edge: config.edge.clone(),
        shipper: Arc::clone(&shipper),
        usage: Arc::clone(&store) as Arc<dyn store::UsageLog>,
        reading_on: TaskTracker::new(),
    });

    let (background, stop, drain) =
        (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());
    let parts = Parts { store, keeper, contact, background, stop, drain };
    spawn(config, &app, &parts);
    parts.background.spawn(sinks.run(parts.stop.clone()));
    listen(config, app, parts).await
}

/// What runs on until the drain, or until everything else has ended.
fn spawn(config: &Config, app: &Arc<App>, parts: &Parts) {
    let Parts { store, contact, background, stop, drain, .. } = parts;
    let rung = Arc::new(Rung::default());
    background.spawn({
        let (snapshot, purse) = (Arc::clone(&app.snapshot), Arc::clone(&app.purse));
        let directory: Arc<dyn Directory> = Arc::clone(store) as Arc<dyn Directory>;
        let look = (config::millis(config.snapshot.poll_millis), Arc::clone(&rung));
        let drain = drain.clone();
        async move { snapshot.watch(directory, purse, look, drain).await }
    });
    background.spawn({
        let (contact, watch) = (Arc::clone(contact), Arc::clone(store) as Arc<dyn store::Watch>);
        let stop = stop.clone();
        async move { contact.run(watch, rung, stop).await }
    });
    background.spawn({
        let (shipper, ledger) = (Arc::clone(&app.shipper), Arc::clone(store) as Arc<dyn Ledger>);
        let stop = stop.clone();
        async move { shipper.run(ledger, stop).await }
    });
    background.spawn({
        let (purse, stop) = (Arc::clone(&app.purse), stop.clone());
        async move { purse.share_limits(stop).await }
    });
    background.spawn(keep_house(Arc::clone(app), Arc::clone(store), drain.clone()));
    background.spawn(renew_keys(Arc::clone(app), drain.clone()));
    background.spawn(sweeper::run(Arc::clone(store), drain.clone()));
}

/// Those who are told what happens, and how the request path tells it.
async fn watchers(
    config: &Config,
    store: &Arc<dyn Store>,
    keeper: &Keeper,
) -> anyhow::Result<(Sinks, Lookout)> {
    let log: Arc<dyn AuditLog> = Arc::clone(store) as Arc<dyn AuditLog>;
    // Sinks are named by the operator, whose own networks they may be in.
    let outbound: Arc<dyn Outbound> = Arc::new(Ways::new(true));
    let key = keeper.signing_key(sinks::SIGNING_PURPOSE).await?;
    Sinks::new(&config.audit, &log, key, &outbound)
}

struct Parts {
    store: Arc<dyn Store>,
    keeper: Arc<Keeper>,
    contact: Arc<Contact>,
    background: TaskTracker,
    stop: CancellationToken,
    drain: CancellationToken,
}

async fn listen(config: &Config, app: Arc<App>, parts: Parts) -> anyhow::Result<Gateway> {
    let Parts { store, keeper, contact, background, stop, drain } = parts;
    let bind = async |address: SocketAddr, what: &str| {
        TcpListener::bind(address).await.with_context(|| format!("{what} listener on {address}"))
    };
    let client_listener = bind(config.client.listen, "client").await?;
    let admin_listener = bind(config.admin.listen, "admin").await?;
    let (client, admin) = (client_listener.local_addr()?, admin_listener.local_addr()?);
    let deadline = config::millis(config.edge.drain_millis);

    let ready = Ready { app: Arc::clone(&app), store, keeper, drain: drain.clone() };
    let services = services(config, admin, ready)?;
    let (limits, proxies) = (limits(config), proxies(config));
    let until = drain.clone();
    let theirs = proxies.clone();
    let open = Open { listener: client_listener, limits, proxies: theirs, until, deadline };
    let also = config.admin.also_on_client_listener;
    let serving = open.serve_callers(Arc::clone(&app), Arc::clone(&services), also);
    let client_listener = background.spawn(serving);
    // The admin listener outlives the client's, so that readiness can be asked while it drains.
    let (until, deadline) = (stop.clone(), ADMIN_DEADLINE);
    let open = Open { listener: admin_listener, limits, proxies, until, deadline };
    let admin_listener = background.spawn(open.serve_administrators(services));
    Ok(Gateway {
        client,
        admin,
        app,
        contact,
        client_listener,
        admin_listener,
        drain,
        background,
        stop,
    })
}

/// What administrative requests may reach; the admin listener is bound to `admin`.
fn services(config: &Config, admin: SocketAddr, ready: Ready) -> anyhow::Result<Arc<Services>> {
    let (store, issuers) = (Arc::clone(&ready.store), Arc::clone(ready.app.identities.issuers()));
    let sign_in = SignIn {
        public_url: config.admin.public_url(admin).map_err(anyhow::Error::msg)?,
        session_hours: config.admin.session_hours,
        environment: config::environment,
        keeper: Some(Arc::clone(&ready.keeper)),
        ..SignIn::default()
    };
    let probe: Arc<dyn Probe> = Arc::new(ready);
    Ok(Arc::new(Services::new(store, probe).signing_in(sign_in).believing(issuers)))
}

fn limits(config: &Config) -> listener::Limits {
    let edge = &config.edge;
    listener::Limits {
        first_byte: config::millis(edge.first_byte_millis),
        header: config::millis(edge.header_millis),
        idle: config::millis(edge.idle_millis),
        body_grace: config::millis(edge.body_grace_millis),
        body_bytes_per_second_min: edge.body_bytes_per_second_min,
        write_stall: config::millis(edge.write_stall_millis),
        connections_max: edge.connections_max,
        connections_per_address_max: edge.connections_per_address_max,
    }
}

fn proxies(config: &Config) -> Proxies {
    Proxies::new(&authority::networks(&config.edge.trusted_proxies))
}

impl Gateway {
    /// Ends: no new connection, open answers to their end, every row to the store. False: rows
    /// are left in the journal, for the next start.
    pub async fn drain(self) -> bool {
        tracing::info!("draining");
        self.drain.cancel();
        // It returns when its last connection has ended or was cut off, and so has every bill. A
        // listener that panicked has no connections left either.
        let _ = self.client_listener.await;
        let app = self.app;
        app.reading_on.close();
        // What is not read to its end by then closes its bill as hung up.
        let _ = tokio::time::timeout(LAST_BILLS, app.reading_on.wait()).await;
        if tokio::time::timeout(LAST_BILLS, app.journal.all_places()).await.is_err() {
            tracing::warn!("some requests are still open at the end of the drain");
        }
        let shipped = app.shipper.flush(None, LAST_SHIPMENT).await;
        self.stop.cancel();
        // As above.
        let _ = self.admin_listener.await;
        self.background.close();
        self.background.wait().await;
        let clean = shipped && close(app, &self.contact).await;
        tracing::info!(clean, "drained");
        clean
    }
}

/// Gives back what the leases still have, and marks the journal clean. A boot of which a row is
/// missing in the store stays open: the next start ships it and closes it.
async fn close(app: Arc<App>, contact: &Contact) -> bool {
    if !app.journal.is_shipped() {
        return false;
    }
    if let Err(fault) = contact.close().await {
        tracing::error!(%fault, "the leases of this start are still open");
        return false;
    }
    let stopped = tokio::task::spawn_blocking(move || app.journal.stop());
    stopped.await.unwrap_or(false)
}

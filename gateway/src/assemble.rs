//! From settings to a running gateway and back to nothing: the only place that starts tasks.

mod master_keys;

use self::master_keys::MasterKeys;
use crate::{
    app::App,
    config::{self, Config, Engine},
    counter::Counter,
    doorman::Doorman,
    edge::{self, listener},
    health::Health,
    journal::{self, Journal},
    last_use::Uses,
    outbound::Ways,
    pipeline::identity::Identities,
    purse::{Patience, Purse},
    ready::Ready,
    shipper::{Outbox, Shipper},
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
use hyper::service::service_fn;
use policies::{data::detect::Detectors, ids::BootId};
use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};
use store::{
    Directory, Ledger, Store,
    audit::AuditLog,
    clock, entropy,
    postgres::{self, Postgres},
    seal::{Keeper, KeyWrapper},
    sqlite::Sqlite,
    vault::Vault,
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How often quiet keys and ended periods are forgotten.
const HOUSEKEEPING: Duration = Duration::from_secs(10);
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
    ledger: Arc<dyn Ledger>,
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
        Engine::Sqlite(path) => Sqlite::open(path).await.map(shared),
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
    let recovered = journal::recover(&file, ledger.as_ref(), clock::now()).await?;
    if recovered != journal::Recovered::default() {
        tracing::info!(?recovered, "what an earlier start left is in the store");
    }
    let boot = BootId::from_bytes(entropy::id()?);
    ledger.open_boot(&boot, &file.id()).await?;

    let outbox = Arc::new(Outbox::default());
    let places = config.journal.requests_in_flight_max;
    let journal = Arc::new(Journal::start(file, boot, places, Arc::clone(&outbox))?);
    let shipper = Arc::new(Shipper::new(outbox));
    let purse = Arc::new(Purse::new(boot, Arc::clone(&ledger), Arc::clone(&shipper)));
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

    let (background, stop) = (TaskTracker::new(), CancellationToken::new());
    let directory: Arc<dyn Directory> = Arc::clone(&store) as Arc<dyn Directory>;
    let poll = config::millis(config.snapshot.poll_millis);
    let watching = stop.clone();
    let drain = CancellationToken::new();
    background.spawn({
        let (watching, purse) = (drain.clone(), Arc::clone(&purse));
        async move { snapshot.watch(directory, purse, poll, watching).await }
    });
    let shipping = Arc::clone(&ledger);
    background.spawn(async move { shipper.run(shipping, watching).await });
    background.spawn(keep_house(Arc::clone(&app), Arc::clone(&store), drain.clone()));
    background.spawn(sinks.run(stop.clone()));
    background.spawn(sweeper::run(Arc::clone(&store), drain.clone()));
    listen(config, app, Parts { store, keeper, ledger, background, stop, drain }).await
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
    ledger: Arc<dyn Ledger>,
    background: TaskTracker,
    stop: CancellationToken,
    drain: CancellationToken,
}

async fn listen(config: &Config, app: Arc<App>, parts: Parts) -> anyhow::Result<Gateway> {
    let Parts { store, keeper, ledger, background, stop, drain } = parts;
    let bind = async |address: SocketAddr, what: &str| {
        TcpListener::bind(address).await.with_context(|| format!("{what} listener on {address}"))
    };
    let client_listener = bind(config.client.listen, "client").await?;
    let admin_listener = bind(config.admin.listen, "admin").await?;
    let (client, admin) = (client_listener.local_addr()?, admin_listener.local_addr()?);
    let deadline = config::millis(config.edge.drain_millis);

    let ready = Ready { app: Arc::clone(&app), store, keeper, drain: drain.clone() };
    let services = services(config, admin, ready)?;
    let limits = limits(config);
    let open = Open { listener: client_listener, limits, until: drain.clone(), deadline };
    let also = config.admin.also_on_client_listener;
    let serving = open.serve_callers(Arc::clone(&app), Arc::clone(&services), also);
    let client_listener = background.spawn(serving);
    // The admin listener outlives the client's, so that readiness can be asked while it drains.
    let (until, deadline) = (stop.clone(), ADMIN_DEADLINE);
    let open = Open { listener: admin_listener, limits, until, deadline };
    let admin_listener = background.spawn(open.serve_administrators(services));
    Ok(Gateway {
        client,
        admin,
        app,
        ledger,
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

/// A listener with how it is served.
struct Open {
    listener: TcpListener,
    limits: listener::Limits,
    until: CancellationToken,
    deadline: Duration,
}

impl Open {
    /// `also`: with the part of the administration API that stock SDKs know.
    async fn serve_callers(self, app: Arc<App>, services: Arc<Services>, also: bool) {
        let make = move |address: SocketAddr| {
            let (app, services) = (Arc::clone(&app), Arc::clone(&services));
            service_fn(move |request| {
                let (app, services) = (Arc::clone(&app), Arc::clone(&services));
                async move {
                    let answer = if also && edge::is_administration(&request) {
                        edge::administer(&services, address, request).await
                    } else {
                        edge::serve(app, &services, address, request).await
                    };
                    Ok::<_, Infallible>(answer)
                }
            })
        };
        let Self { listener, limits, until, deadline } = self;
        listener::serve(listener, limits, make, until, deadline).await;
    }

    async fn serve_administrators(self, services: Arc<Services>) {
        let make = move |address: SocketAddr| {
            let services = Arc::clone(&services);
            service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let services = Arc::clone(&services);
                async move {
                    let answer = admin::gate::serve(&services, address.ip(), request).await;
                    Ok::<_, Infallible>(answer)
                }
            })
        };
        let Self { listener, limits, until, deadline } = self;
        listener::serve(listener, limits, make, until, deadline).await;
    }
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

async fn keep_house(app: Arc<App>, store: Arc<dyn Store>, stop: CancellationToken) {
    let write = async || {
        if let Err(fault) = app.uses.write(store.as_ref()).await {
            tracing::warn!(%fault, "the last use of keys is not written down");
        }
    };
    while stop.run_until_cancelled(tokio::time::sleep(HOUSEKEEPING)).await.is_some() {
        write().await;
        app.doorman.forget_quiet();
        app.purse.close_periods().await;
        app.identities.issuers().refresh_ahead().await;
    }
    write().await;
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
        let shipped = app.shipper.flush(LAST_SHIPMENT).await;
        self.stop.cancel();
        // As above.
        let _ = self.admin_listener.await;
        self.background.close();
        self.background.wait().await;
        let clean = shipped && close(app, self.ledger.as_ref()).await;
        tracing::info!(clean, "drained");
        clean
    }
}

/// Gives back what the leases still have, and marks the journal clean. A boot of which a row is
/// missing in the store stays open: the next start ships it and closes it.
async fn close(app: Arc<App>, ledger: &dyn Ledger) -> bool {
    if !app.journal.is_shipped() {
        return false;
    }
    if let Err(fault) = ledger.close(&app.purse.boot(), true).await {
        tracing::error!(%fault, "the leases of this start are still open");
        return false;
    }
    let stopped = tokio::task::spawn_blocking(move || app.journal.stop());
    stopped.await.unwrap_or(false)
}

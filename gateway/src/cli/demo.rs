//! `penstock demo`: everything in one process, and a tour of requests through the real endpoint.

mod guide;
mod tour;

use super::{
    holder::explained,
    serve::{end, until_told},
    start_log,
};
use crate::{
    assemble,
    config::{self, Config, StoreUrl},
    journal,
    simulate::Simulator,
};
use admin::service::apply::{self, Absent, Credentials, File};
use anyhow::Context;
use clap::Args;
use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};
use store::Store;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The settings that the demo applies.
pub const EXAMPLE: &str = include_str!("../../example.yaml");

/// Start a gateway with a simulated provider and two example orgs, and show what it does
///
/// Nothing else is needed: SQLite in a folder, limits in memory, a provider on loopback that
/// costs nothing. A short tour goes through the real endpoint; then the gateway keeps serving
/// until Ctrl-C, so that you can try it with any OpenAI client.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  penstock demo                       in ./penstock-demo, which is kept
  penstock demo --fresh               start over
  penstock demo --exit                end after the tour; fails if any step did not go as stated")]
pub struct DemoArgs {
    /// The folder of its data
    #[arg(long, default_value = "penstock-demo")]
    dir: PathBuf,
    /// Throw earlier data of the demo away first
    #[arg(long)]
    fresh: bool,
    /// End after the tour
    #[arg(long)]
    exit: bool,
    /// Where callers connect; if it is taken, a free port is used
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

/// Keys by org and name.
type Keys = BTreeMap<(String, String), String>;

/// What the names of the demo's own files begin with; `journal.db` has segments beside it.
const FILES: [&str; 4] = ["penstock.db", "journal.db", "keys.ndjson", "master.key"];

pub async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let config = prepare(&args).await?;
    start_log(&config.log);
    let simulator = Simulator::new();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let provider = format!("http://{}/v1", listener.local_addr()?);
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    tasks.spawn({
        let (simulator, stop) = (simulator.clone(), stop.clone());
        async move { simulator.serve(listener, stop).await }
    });

    let store = assemble::store(&config).await?;
    let keys = settings(&args.dir, store.as_ref(), &provider).await?;
    let gateway = assemble::start(&config, Arc::clone(&store)).await?;
    println!("Penstock demo: data in {}, provider simulated on loopback\n", args.dir.display());
    let tour = tour::Tour::new(gateway.client, &keys, &simulator, store.as_ref());
    let as_stated = tour.run().await?;

    if !args.exit {
        guide::print(&gateway, &keys);
        until_told().await?;
    }
    let drained = end(gateway).await;
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    Ok(if as_stated { drained } else { ExitCode::FAILURE })
}

fn start_over(folder: &Path) -> io::Result<()> {
    let files = match fs::read_dir(folder) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(()),
        files => files?,
    };
    for file in files {
        let file = file?;
        let name = file.file_name();
        let name = name.to_string_lossy();
        if FILES.iter().any(|begin| name.starts_with(begin)) {
            fs::remove_file(file.path())?;
        }
    }
    Ok(())
}

async fn prepare(args: &DemoArgs) -> anyhow::Result<Config> {
    let inside = |name: &str| args.dir.join(name);
    // Before anything is changed: another demo may be running in this folder.
    if args.dir.exists() {
        let free = journal::File::check_free(&inside("journal.db"));
        free.map_err(|fault| explained(fault.into()))?;
    }
    if args.fresh {
        start_over(&args.dir).with_context(|| args.dir.display().to_string())?;
    }
    fs::create_dir_all(&args.dir).with_context(|| args.dir.display().to_string())?;
    let mut config = config::read("[log]\nlevel = 'error'\nformat = 'text'\n", &args.dir)?;
    config.store.url = StoreUrl::sqlite(&inside("penstock.db"));
    config.journal.path = inside("journal.db");
    config.client.listen = free(args.listen).await?;
    config.admin.listen.set_port(0);
    // A trial needs but one address: the Administration API is there too.
    config.admin.also_on_client_listener = true;
    Ok(config)
}

/// `wanted`, or the same address with a free port.
async fn free(mut wanted: SocketAddr) -> anyhow::Result<SocketAddr> {
    match TcpListener::bind(wanted).await {
        Ok(_free) => {}
        Err(fault) if fault.kind() == io::ErrorKind::AddrInUse => wanted.set_port(0),
        Err(fault) => return Err(fault).with_context(|| format!("listening on {wanted}")),
    }
    Ok(wanted)
}

/// Applies the example. Keys are shown once, so the demo keeps them in a file of its folder.
async fn settings(dir: &Path, store: &dyn Store, provider: &str) -> anyhow::Result<Keys> {
    let text = EXAMPLE.replace("${SIMULATED_URL}", provider);
    let file = File { name: "example.yaml".to_owned(), text };
    let documents = apply::read(&[file]);
    let plan = apply::plan(store, documents, Absent::Kept, Credentials::Kept).await?;
    let issued = plan.commit(store).await?;
    let path = dir.join("keys.ndjson");
    let mut keys = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
    for key in &issued {
        let (org, name, secret) = (&key.org, &key.key, key.reveal());
        writeln!(keys, "{}", serde_json::json!({ "org": org, "key": name, "secret": secret }))?;
    }
    read_keys(&path)
}

fn read_keys(path: &Path) -> anyhow::Result<Keys> {
    #[derive(serde::Deserialize)]
    struct Line {
        org: String,
        key: String,
        secret: String,
    }
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let lines = text.lines().map(serde_json::from_str::<Line>);
    lines.map(|line| line.map(|it| ((it.org, it.key), it.secret)).map_err(Into::into)).collect()
}

//! The programs of a run: the simulated provider, nginx and Penstock, each on its core.

use crate::{latency, tree, wire::Ask};
use anyhow::{Context as _, bail, ensure};
use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};
use store::clock;

/// Where what is measured runs; the load and the simulated provider have [`LOAD_CORE`].
pub(crate) const TESTED_CORE: usize = 0;
pub(crate) const LOAD_CORE: usize = 1;

/// How long a program may take to answer after its start, and to end when it is told to.
const START_MAX: Duration = Duration::from_secs(20);
const END_MAX: Duration = Duration::from_secs(90);
/// The same for a program whose end nothing hangs on.
const DROP_MAX: Duration = Duration::from_secs(2);
/// How often it is looked.
const LOOK: Duration = Duration::from_micros(500);

const SETTINGS: &str = include_str!("settings.yaml");
const NGINX: &str = include_str!("nginx.conf");
const PENSTOCK: &str = include_str!("penstock.toml");
/// What nginx compares a caller's key with.
const NGINX_KEY: &str = "sk-bench-0123456789abcdef0123456789abcdef";

pub(crate) struct Programs {
    pub(crate) penstock: PathBuf,
    pub(crate) nginx: PathBuf,
}

/// Something that answers requests.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) path: &'static str,
    pub(crate) stream_path: &'static str,
    pub(crate) key: String,
}

/// A program that runs. Dropped, it is killed.
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
}

/// All programs of a run, with ways to them.
pub(crate) struct Stand<'a> {
    programs: &'a Programs,
    folder: PathBuf,
    pub(crate) simulated: Running,
    pub(crate) nginx: Running,
    pub(crate) penstock: Running,
    pub(crate) direct: Target,
    pub(crate) proxied: Target,
    /// The key with everything on.
    pub(crate) governed: Target,
    /// The key without limits, budgets and rules.
    pub(crate) plain: Target,
    pub(crate) started: Started,
}

/// From the start of a program to its first answer to a request, in milliseconds.
pub(crate) struct Started {
    pub(crate) nginx: f64,
    pub(crate) penstock: Vec<f64>,
}

impl<'a> Stand<'a> {
    /// Starts everything; Penstock `starts` times, on a store that is migrated and filled.
    pub(crate) fn start(
        programs: &'a Programs,
        folder: &Path,
        starts: usize,
    ) -> anyhow::Result<Self> {
        let (provider, proxy) = (free()?, free()?);
        let listen = provider.to_string();
        let mut simulated =
            penstock(programs, folder, LOAD_CORE, &["simulate", "--listen", &listen])?;
        let direct = target(provider, "/v1/chat/completions", "none");
        first_answer(&direct, &mut simulated)?;

        let conf = folder.join("nginx.conf");
        let text = NGINX
            .replace("${FOLDER}", &folder.display().to_string())
            .replace("${KEY}", NGINX_KEY)
            .replace("${SIMULATED}", &listen)
            .replace("${LISTEN}", &proxy.to_string());
        fs::write(&conf, text)?;
        let proxied = Target {
            stream_path: "/stream/v1/chat/completions",
            ..target(proxy, "/v1/chat/completions", NGINX_KEY)
        };
        let begun = clock::monotonic();
        let mut command = on_core(TESTED_CORE, &programs.nginx);
        command.arg("-e").arg(folder.join("nginx.err")).arg("-c").arg(&conf);
        let mut nginx = launch(&mut command, folder, "nginx")?;
        first_answer(&proxied, &mut nginx)?;
        let nginx_millis = begun.elapsed().as_secs_f64() * 1e3;

        let (client, keys) = set_up(programs, folder, provider)?;
        let governed = target(client, "/v1/chat/completions", &keys.governed);
        let plain = target(client, "/v1/chat/completions", &keys.plain);
        let mut times = Vec::new();
        let penstock = loop {
            let begun = clock::monotonic();
            let mut running = penstock(programs, folder, TESTED_CORE, &["serve"])?;
            first_answer(&governed, &mut running)?;
            times.push(begun.elapsed().as_secs_f64() * 1e3);
            if starts <= times.len() {
                break running;
            }
            running.terminate()?;
        };
        let started = Started { nginx: nginx_millis, penstock: times };
        let (programs, folder) = (programs, folder.to_owned());
        Ok(Self {
            programs,
            folder,
            simulated,
            nginx,
            penstock,
            direct,
            proxied,
            governed,
            plain,
            started,
        })
    }

    /// Drains Penstock, and counts the usage records that are in its store.
    pub(crate) fn drained_rows(self) -> anyhow::Result<u64> {
        let Self { programs, folder, penstock, .. } = self;
        penstock.terminate()?;
        let mut rows = 0;
        for org in ["governed", "plain"] {
            let text = penstock_output(
                programs,
                &folder,
                &["export", "usage", "--org", org, "--format", "ndjson"],
            )?;
            rows += u64::try_from(text.lines().filter(|line| !line.is_empty()).count())?;
        }
        Ok(rows)
    }
}

struct Keys {
    governed: String,
    plain: String,
}

/// Writes the settings into a store: where Penstock will listen, and its callers' keys.
fn set_up(
    programs: &Programs,
    folder: &Path,
    provider: SocketAddr,
) -> anyhow::Result<(SocketAddr, Keys)> {
    let client = free()?;
    let toml = PENSTOCK
        .replace("${CLIENT}", &client.to_string())
        .replace("${ADMIN}", &free()?.to_string());
    fs::write(folder.join("penstock.toml"), toml)?;
    let url = format!("http://{provider}/v1");
    fs::write(folder.join("settings.yaml"), SETTINGS.replace("${SIMULATED_URL}", &url))?;
    penstock_output(
        programs,
        folder,
        &["apply", "-f", "settings.yaml", "--yes", "--keys-out", "keys"],
    )?;
    let lines = fs::read_to_string(folder.join("keys"))?;
    let of = |org: &str| {
        lines
            .lines()
            .find_map(|line| {
                let key: serde_json::Value = serde_json::from_str(line).ok()?;
                let of_org = key.get("org")? == org;
                of_org.then(|| Some(key.get("secret")?.as_str()?.to_owned()))?
            })
            .with_context(|| format!("no key of {org}"))
    };
    Ok((client, Keys { governed: of("governed")?, plain: of("plain")? }))
}

fn target(address: SocketAddr, path: &'static str, key: &str) -> Target {
    Target { address, path, stream_path: path, key: key.to_owned() }
}

/// An address of loopback that nobody listens on.
fn free() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn on_core(core: usize, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.arg("-c").arg(core.to_string()).arg(program);
    command
}

fn penstock(
    programs: &Programs,
    folder: &Path,
    core: usize,
    args: &[&str],
) -> anyhow::Result<Running> {
    let mut command = on_core(core, &programs.penstock);
    launch(command.args(args), folder, "penstock")
}

/// What it prints goes to a file in the folder; taskset becomes the program, so its id stays.
fn launch(command: &mut Command, folder: &Path, name: &str) -> anyhow::Result<Running> {
    let log = folder.join(format!("{name}.log"));
    let file = File::options().create(true).append(true).open(&log)?;
    command.current_dir(folder).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    let child = command.spawn().with_context(|| format!("starting {name}"))?;
    Ok(Running { child, log })
}

/// Runs a command of Penstock to its end.
fn penstock_output(programs: &Programs, folder: &Path, args: &[&str]) -> anyhow::Result<String> {
    let mut command = on_core(LOAD_CORE, &programs.penstock);
    let output = command.current_dir(folder).args(args).stdin(Stdio::null()).output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "penstock {}: {told}", args.join(" "));
    Ok(String::from_utf8(output.stdout)?)
}

/// Asks until `running` answers.
fn first_answer(target: &Target, running: &mut Running) -> anyhow::Result<()> {
    let over = clock::monotonic() + START_MAX;
    loop {
        if let Ok(stream) = TcpStream::connect(target.address) {
            return latency::one(target, stream, Ask::Whole);
        }
        if over < clock::monotonic() || running.child.try_wait()?.is_some() {
            let log = fs::read_to_string(&running.log).unwrap_or_default();
            bail!("{} does not listen: {log}", running.log.display());
        }
        sleep(LOOK);
    }
}

impl Running {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn memory(&self) -> anyhow::Result<u64> {
        tree::memory(self.id())
    }

    /// SIGTERM, and a clean end.
    fn terminate(mut self) -> anyhow::Result<()> {
        let sent = Command::new("kill").args(["-s", "TERM", &self.id().to_string()]).status()?;
        ensure!(sent.success(), "no process to signal");
        let over = clock::monotonic() + END_MAX;
        while clock::monotonic() < over {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "it ended with {status}");
                return Ok(());
            }
            sleep(Duration::from_millis(10));
        }
        bail!("it does not end")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // nginx ends its worker only when it is asked; a worker that lives on would keep the port.
        let id = self.id().to_string();
        let _ = Command::new("kill").args(["-s", "TERM", &id]).stderr(Stdio::null()).status();
        let over = clock::monotonic() + DROP_MAX;
        while clock::monotonic() < over && matches!(self.child.try_wait(), Ok(None)) {
            sleep(Duration::from_millis(5));
        }
        // It may have ended by itself: then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

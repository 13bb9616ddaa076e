//! A PostgreSQL server that lives as long as the tests that use it.

use crate::wait::SOON;
use anyhow::{Context, ensure};
use std::{
    fs,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
};
use tempfile::TempDir;

/// Where distributions put the programs of each version.
const INSTALLED: &str = "/usr/lib/postgresql";
/// The role that owns the databases. It is not a superuser: row level security binds it.
const OWNER: &str = "owner";
const NOBODY: u32 = 65_534;
/// Tries to start a server again, whose processes may not all have gone yet.
const STARTS_MAX: u32 = 100;

/// A throwaway server, reached through a socket in its own folder. Nothing of it survives.
#[derive(Debug)]
pub struct Server {
    folder: TempDir,
    programs: Option<PathBuf>,
    /// Whom it runs as, if we are root: PostgreSQL refuses to.
    user: Option<u32>,
    databases: AtomicU32,
}

static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());

impl Server {
    /// The server of this process: started for the first who asks, stopped after the last.
    ///
    /// # Errors
    /// PostgreSQL is not installed, or does not start. Nothing is skipped for want of it.
    pub fn shared() -> anyhow::Result<Arc<Self>> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return Ok(server);
        }
        let server = Arc::new(Self::start()?);
        *shared = Arc::downgrade(&server);
        Ok(server)
    }

    /// A server of a test's own, which it may freeze and kill.
    ///
    /// # Errors
    /// As [`Server::shared`].
    pub fn own() -> anyhow::Result<Self> {
        Self::start()
    }

    /// Stops every process of it where it is: connections stay open, nobody answers.
    pub fn freeze(&self) {
        self.signal_all("STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal_all("CONT");
    }

    /// Kills every process of it at once.
    pub fn kill9(&self) {
        self.signal_all("KILL");
    }

    /// Starts it again after [`Server::kill9`]; it recovers by itself, once everything that it was
    /// is gone.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_again(&self) -> anyhow::Result<()> {
        for _ in 1..STARTS_MAX {
            if self.launch().is_ok() {
                return Ok(());
            }
            std::thread::sleep(SOON / STARTS_MAX);
        }
        self.launch()
    }

    fn signal_all(&self, name: &str) {
        let file = self.path().join("data/postmaster.pid");
        let text = fs::read_to_string(file).unwrap_or_default();
        let Some(id) = text.lines().next() else { return };
        let run = |program: &str, args: &[&str]| {
            // A process that has ended meanwhile needs no signal.
            let _ = Command::new(program).args(args).status();
        };
        let signal = format!("-{name}");
        // The children of the first one, and then itself, so that none is started in between.
        if name == "CONT" {
            run("pkill", &[&signal, "-P", id]);
            run("kill", &[&signal, id]);
        } else {
            run("kill", &[if name == "KILL" { "-STOP" } else { &signal }, id]);
            run("pkill", &[&signal, "-P", id]);
            run("kill", &[&signal, id]);
        }
    }

    fn start() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("pg-").tempdir()?;
        let root = fs::metadata(folder.path())?.uid() == 0;
        let user = root.then(unprivileged);
        if let Some(user) = user {
            std::os::unix::fs::chown(folder.path(), Some(user), Some(user))?;
        }
        let databases = AtomicU32::new(0);
        let server = Self { folder, programs: installed(), user, databases };
        let data = server.path().join("data");
        server
            .run("initdb", |it| {
                it.args(["--auth=trust", "--no-sync", "--username=postgres", "--encoding=UTF8"]);
                it.args(["--locale=C", "--pgdata"]).arg(&data)
            })
            .context("these tests need PostgreSQL: install `postgresql`")?;
        server.launch()?;
        server.run("createuser", |it| {
            it.arg("--host").arg(server.path());
            it.args(["--username=postgres", "--createrole", OWNER])
        })?;
        Ok(server)
    }

    fn launch(&self) -> anyhow::Result<()> {
        let data = self.path().join("data");
        let options = format!(
            "-c listen_addresses= -c unix_socket_directories={} -c fsync=off \
             -c full_page_writes=off -c synchronous_commit=off -c max_connections=200",
            self.path().display()
        );
        self.run("pg_ctl", |it| {
            it.args(["start", "--wait", "--silent", "--options", &options]);
            it.arg("--log").arg(self.path().join("log")).arg("--pgdata").arg(&data)
        })
    }

    /// The URL of a new, empty database, as its owner.
    pub fn database(&self) -> anyhow::Result<String> {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.run("createdb", |it| {
            it.arg("--host").arg(self.path());
            it.args(["--username=postgres", "--owner", OWNER, &name])
        })?;
        Ok(format!("postgres://{OWNER}@localhost/{name}?host={}", self.path().display()))
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn run(
        &self,
        program: &str,
        with: impl FnOnce(&mut Command) -> &mut Command,
    ) -> anyhow::Result<()> {
        let path = match &self.programs {
            Some(folder) => folder.join(program),
            None => PathBuf::from(program),
        };
        let mut command = Command::new(&path);
        // The server outlives the command that starts it, and must not keep our pipes open.
        let output = self.path().join(format!("{program}.out"));
        let file = fs::File::create(&output)?;
        with(&mut command).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        command.current_dir(self.path()).env("LC_ALL", "C");
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        let status = command.status().with_context(|| format!("`{}`", path.display()))?;
        let told = fs::read_to_string(&output).unwrap_or_default();
        ensure!(status.success(), "`{program}`: {status}: {told}");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let data = self.path().join("data");
        // A server that never came up cannot be stopped, and its folder goes away with us.
        let _ = self.run("pg_ctl", |it| {
            it.args(["stop", "--mode=immediate", "--silent", "--pgdata"]).arg(&data)
        });
    }
}

/// The newest version that a distribution installed; none: whatever is in the search path.
fn installed() -> Option<PathBuf> {
    let versions = fs::read_dir(INSTALLED).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.max_by_key(number)?.join("bin");
    newest.join("initdb").is_file().then_some(newest)
}

/// `initdb` wants a user that has a name.
fn unprivileged() -> u32 {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let id = users.lines().find_map(|line| line.strip_prefix("postgres:x:")?.split(':').next());
    id.and_then(|id| id.parse().ok()).unwrap_or(NOBODY)
}

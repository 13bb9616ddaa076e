//! The product's binary as a child process: its output in files, its end never awaited for ever.

use crate::wait::{self, SOON};
use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};
use tokio::sync::watch;

/// The binary under test: it lies beside the folder of the test binary.
pub fn binary() -> PathBuf {
    let own = std::env::current_exe().expect("the test binary knows itself");
    let profile = own.parent().and_then(Path::parent).expect("target/<profile>/deps/<test>");
    let path = profile.join("penstock");
    assert!(path.exists(), "{} is not built: run `tests/run`", path.display());
    path
}

/// A command that ran to its end.
#[derive(Debug)]
pub struct Ran {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// What it printed, once it has succeeded.
    pub fn ok(self) -> String {
        assert!(self.status.success(), "{}\n{}\n{}", self.status, self.stdout, self.stderr);
        self.stdout
    }

    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }
}

/// Runs `penstock` with `args` to its end.
pub async fn run(folder: &Path, args: &[&str]) -> Ran {
    let mut command = tokio::process::Command::new(binary());
    command.current_dir(folder).args(args).stdin(Stdio::null()).kill_on_drop(true);
    let what = format!("the end of `penstock {}`", args.join(" "));
    let output = wait::within(3 * SOON, &what, command.output()).await.expect("it can be run");
    Ran {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A process that serves until it is told to end. Dropped, it is killed.
pub struct Running {
    child: Child,
    lines: watch::Receiver<Vec<String>>,
    stderr: PathBuf,
}

impl Running {
    /// Starts it; what it prints is added to `folder/<name>.out` and `folder/<name>.err`.
    pub fn start(folder: &Path, name: &str, args: &[&str]) -> Self {
        let stderr = folder.join(format!("{name}.err"));
        let mut child = Command::new(binary())
            .current_dir(folder)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(append(&stderr))
            .spawn()
            .expect("the binary starts");
        let stdout = child.stdout.take().expect("it is piped");
        let mut copy = append(&folder.join(format!("{name}.out")));
        let (seen, lines) = watch::channel(Vec::new());
        // Ends with the process: its pipe is closed then.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // A disk that is full fails the test by other means.
                let _ = writeln!(copy, "{line}");
                seen.send_modify(|lines| lines.push(line));
            }
        });
        Self { child, lines, stderr }
    }

    /// What follows `prefix` on the first line of standard output that begins with it.
    pub async fn said(&mut self, prefix: &str) -> String {
        let found = |lines: &Vec<String>| {
            lines.iter().find_map(|line| line.strip_prefix(prefix).map(str::to_owned))
        };
        let (mut lines, what) = (self.lines.clone(), format!("`{prefix}..` on standard output"));
        let waiting = lines.wait_for(|lines| found(lines).is_some());
        match wait::within(SOON, &what, waiting).await {
            Ok(lines) => found(&lines).unwrap_or_default(),
            Err(_) => wait::fail(&format!("{what}: it ended first:\n{}", self.stderr())),
        }
    }

    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, and its end.
    pub fn kill9(&mut self) {
        // It may have ended by itself: then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends a signal by the name that `kill` knows.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().expect("kill runs");
        assert!(sent.success(), "no process {id} to signal");
    }

    /// SIGTERM, and the status with which it ends.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.ends(SOON).await
    }

    /// The status with which it ends.
    pub async fn ends(&mut self, limit: Duration) -> ExitStatus {
        wait::until(limit, "the end of the process", || {
            let state = self.child.try_wait().expect("a child can be asked");
            std::future::ready(state.ok_or_else(|| "it runs".to_owned()))
        })
        .await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill9();
    }
}

fn append(path: &Path) -> File {
    File::options().create(true).append(true).open(path).expect("a file in the test's folder")
}

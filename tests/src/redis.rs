//! A Redis server of a test's own: it can be killed, frozen and emptied.

use crate::wait::{self, SOON};
use anyhow::Context;
use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// What is read of one answer, at most.
const ANSWER_BYTES_MAX: usize = 4_096;

/// Nothing of it survives.
pub struct RedisServer {
    folder: TempDir,
    port: u16,
    password: Option<String>,
    role: Role,
    child: Option<Child>,
}

enum Role {
    Alone,
    /// A cluster of one, which has all slots.
    Cluster,
    /// It tells where the master `main` is: at this port.
    Sentinel(u16),
}

impl RedisServer {
    /// # Errors
    /// Redis is not installed, or does not start. Nothing is skipped for want of it.
    pub async fn start() -> anyhow::Result<Self> {
        let mut server = Self::unstarted(None)?;
        server.begin().await?;
        Ok(server)
    }

    /// One that lets in whoever knows the password.
    ///
    /// # Errors
    /// As [`RedisServer::start`].
    pub async fn with_password(password: &str) -> anyhow::Result<Self> {
        let mut server = Self::unstarted(Some(password.to_owned()))?;
        server.begin().await?;
        Ok(server)
    }

    /// A cluster.
    ///
    /// # Errors
    /// As [`RedisServer::start`].
    pub async fn cluster() -> anyhow::Result<Self> {
        let mut server = Self::unstarted(None)?;
        server.role = Role::Cluster;
        server.begin().await?;
        server.command("CLUSTER ADDSLOTSRANGE 0 16383").await?;
        wait::until(SOON, "the cluster", || async {
            let state = server.command("CLUSTER INFO").await.unwrap_or_default();
            if state.contains("cluster_state:ok") { Ok(()) } else { Err(state) }
        })
        .await;
        Ok(server)
    }

    /// A sentinel that calls this server `main`.
    ///
    /// # Errors
    /// As [`RedisServer::start`].
    pub async fn sentinel(&self) -> anyhow::Result<Self> {
        let mut server = Self::unstarted(None)?;
        server.role = Role::Sentinel(self.port);
        server.begin().await?;
        Ok(server)
    }

    /// One that does not run yet; its address is known.
    ///
    /// # Errors
    /// No port or no folder can be had.
    pub fn unstarted(password: Option<String>) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("redis-").tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        Ok(Self { folder, port, password, role: Role::Alone, child: None })
    }

    /// Starts it, empty, where it was before.
    ///
    /// # Errors
    /// As [`RedisServer::start`].
    pub async fn begin(&mut self) -> anyhow::Result<()> {
        let log = std::fs::File::create(self.folder.path().join("log"))?;
        let mut command = Command::new("redis-server");
        command.current_dir(self.folder.path()).stdin(Stdio::null()).stdout(log);
        let port = self.port.to_string();
        match &self.role {
            Role::Sentinel(master) => {
                let text = format!("port {port}\nsentinel monitor main 127.0.0.1 {master} 1\n");
                std::fs::write(self.folder.path().join("sentinel.conf"), text)?;
                command.args(["sentinel.conf", "--sentinel"]);
            }
            Role::Alone | Role::Cluster => {
                command.args(["--port", &port, "--bind", "127.0.0.1"]);
                command.args(["--save", "", "--appendonly", "no"]);
            }
        }
        if let Role::Cluster = &self.role {
            command.args(["--cluster-enabled", "yes"]);
        }
        if let Some(password) = &self.password {
            command.args(["--requirepass", password]);
        }
        let child = command.spawn().context("these tests need Redis: install `redis-server`")?;
        self.child = Some(child);
        wait::until(SOON, "Redis", || async {
            self.command("PING").await.map_err(|fault| fault.to_string())
        })
        .await;
        Ok(())
    }

    pub fn url(&self) -> String {
        let password = self.password.as_ref().map_or_else(String::new, |it| format!(":{it}@"));
        format!("redis://{password}{}", self.place())
    }

    /// Host and port.
    pub fn place(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// SIGKILL, and its end.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// It takes connections and answers none.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let id = self.child.as_ref().expect("it was started").id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().expect("kill runs");
        assert!(sent.success(), "no process {id} to signal");
    }

    /// Forgets everything.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn flush(&self) -> anyhow::Result<()> {
        self.command("FLUSHALL").await.map(drop)
    }

    /// The answer to an inline command.
    ///
    /// # Errors
    /// No answer.
    pub async fn command(&self, command: &str) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        if let Some(password) = &self.password {
            ask(&mut stream, &format!("AUTH {password}")).await?;
        }
        ask(&mut stream, command).await
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn ask(stream: &mut TcpStream, command: &str) -> anyhow::Result<String> {
    stream.write_all(format!("{command}\r\n").as_bytes()).await?;
    let mut answer = vec![0; ANSWER_BYTES_MAX];
    let length = stream.read(&mut answer).await?;
    answer.truncate(length);
    anyhow::ensure!(!answer.is_empty(), "it closed the connection");
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

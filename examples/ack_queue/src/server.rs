//! A server of our own: on a loopback port, with its storage in a scratch folder, killed when it is dropped.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::time::sleep;

use crate::refused::Refused;

const PROGRAM: &str = "nats-server";
const STARTS_WITHIN: Duration = Duration::from_secs(10);

pub struct Server {
    folder: PathBuf,
    port: u16,
    process: Child,
}

impl Server {
    pub async fn start(folder: &Path) -> Result<Self> {
        // Free when it was asked for. Should another take it meanwhile, the server says so and ends.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let mut server = Self {
            folder: folder.to_owned(),
            port,
            process: spawn(folder, port)?,
        };
        server.answers().await?;
        Ok(server)
    }

    pub fn url(&self) -> String {
        format!("nats://{}:{}", Ipv4Addr::LOCALHOST, self.port)
    }

    /// As when its machine loses power, but for what is in the operating system's cache.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// On the same port, with what is stored.
    pub async fn start_again(&mut self) -> Result<()> {
        self.process = spawn(&self.folder, self.port)?;
        self.answers().await
    }

    async fn answers(&mut self) -> Result<()> {
        let started = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            if let Some(status) = self.process.try_wait()? {
                bail!(
                    "{PROGRAM} ended at once, with {status}: {}",
                    self.last_words()
                );
            }
            if started.elapsed() > STARTS_WITHIN {
                bail!("{PROGRAM} does not answer: {}", self.last_words());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(log(&self.folder)).unwrap_or_default();
        log.lines().next_back().unwrap_or("no log").to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.kill();
    }
}

fn spawn(folder: &Path, port: u16) -> Result<Child> {
    let spawned = Command::new(PROGRAM)
        .args(["--addr", "127.0.0.1", "--port", &port.to_string()])
        .arg("--jetstream")
        .arg("--store_dir")
        .arg(folder.join("storage"))
        .arg("--log")
        .arg(log(folder))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    match spawned {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Refused(format!(
            "{PROGRAM} is not on the PATH: `apt-get install {PROGRAM}` (Debian, Ubuntu; installed in /usr/sbin) or \
             `brew install {PROGRAM}` (macOS), or name a running one with --url"
        ))
        .into()),
        spawned => spawned.with_context(|| format!("cannot start {PROGRAM}")),
    }
}

fn log(folder: &Path) -> PathBuf {
    folder.join("server.log")
}

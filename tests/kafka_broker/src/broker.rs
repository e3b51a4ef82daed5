//! Broker: one of our own, that can be stopped and started again.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/broker");

/// A broker on a port of its own. It is stopped when it is dropped, and its data is removed.
#[derive(Debug)]
pub struct Broker {
    port: u16,
    folder: TempDir,
}

impl Broker {
    /// Starts a new one.
    ///
    /// # Errors
    ///
    /// If Java or Maven is missing, or the broker does not start. The error says what to do.
    pub fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("kafka-broker-").tempdir()?;
        let port = free_port()?;
        let broker = Self { port, folder };
        broker.run("start")?;
        Ok(broker)
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        format!("{}:{}", Ipv4Addr::LOCALHOST, self.port)
    }

    /// Stops it. Its data stays.
    pub fn stop(&self) -> Result<()> {
        self.run("stop")
    }

    /// Starts it again, with its data.
    pub fn start_again(&self) -> Result<()> {
        self.run("start")
    }

    fn run(&self, command: &str) -> Result<()> {
        let output = log(self.folder.path())?;
        let status = Command::new(PROGRAM)
            .arg(command)
            .arg(self.folder.path())
            .env("KAFKA_PORT", self.port.to_string())
            .stdout(output.try_clone()?)
            .stderr(output)
            .status()
            .with_context(|| format!("{PROGRAM} cannot be started"))?;
        if !status.success() {
            let output = std::fs::read_to_string(self.folder.path().join(LOG))?;
            bail!("{PROGRAM} {command} ended with {status}: {output}");
        }
        Ok(())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // If it has stopped already, the program says so and does nothing.
        let _ = self.stop();
    }
}

const LOG: &str = "output.log";

/// A file and not a pipe, because the broker outlives the command and would keep the pipe open.
fn log(folder: &Path) -> Result<std::fs::File> {
    Ok(std::fs::File::create(folder.join(LOG))?)
}

/// Free when it was asked for, and so is the next one. Should another take it meanwhile, the start fails and says so.
///
/// Not one that the system gives to outgoing connections: one of those could have it while the broker is away.
fn free_port() -> Result<u16> {
    let first = 20_000 + (std::process::id() % 5_000) as u16 * 2;
    let is_free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    (first..first + 1_000)
        .step_by(2)
        .find(|port| is_free(*port) && is_free(port + 1))
        .context("no two free ports in a row were found")
}

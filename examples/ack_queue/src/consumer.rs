//! The consuming process as seen from outside: started, killed, asked to end.

use std::env;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::time::sleep;

use crate::args::Settings;
use crate::broker::Broker;

const ENDS_WITHIN: Duration = Duration::from_secs(10);

pub struct Consumer {
    process: Child,
}

impl Consumer {
    pub fn start(settings: &Settings, broker: &Broker) -> Result<Self> {
        let process = Command::new(env::current_exe()?)
            .arg("consume")
            .args(["--url", &broker.url])
            .args(["--queue", &broker.queue])
            .arg("--journal")
            .arg(broker.journal())
            .args(["--mode", settings.mode.name()])
            .args(["--max-parallel", &settings.max_parallel.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Self { process })
    }

    pub fn check(&mut self) -> Result<()> {
        match self.process.try_wait()? {
            Some(status) => bail!("the consumer ended by itself, with {status}"),
            None => Ok(()),
        }
    }

    /// Without a warning: what is in work is cut off, what is received is forgotten.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Finishes what it has received.
    pub async fn end(mut self) -> Result<()> {
        drop(self.process.stdin.take());
        let asked = Instant::now();
        loop {
            match self.process.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("the consumer ended with {status}"),
                None if asked.elapsed() > ENDS_WITHIN => bail!("the consumer does not end"),
                None => sleep(Duration::from_millis(10)).await,
            }
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.kill();
    }
}

//! The broker of a run: a server, either ours or a running one, and a queue of its own that is deleted afterwards.

use std::path::PathBuf;
use std::process;
use std::time::Duration;

use anyhow::{Result, anyhow};
use async_nats::jetstream::{self, Context};
use tempfile::TempDir;

use crate::queue::{connect, create};
use crate::refused::Refused;
use crate::server::Server;

/// Fields are dropped in this order: the server is gone before its folder.
pub struct Broker {
    pub server: Option<Server>,
    pub url: String,
    pub queue: String,
    pub context: Context,
    scratch: TempDir,
}

impl Broker {
    pub async fn prepare(url: Option<&str>) -> Result<Self> {
        let scratch = tempfile::Builder::new().prefix("ack_queue-").tempdir()?;
        let server = match url {
            Some(_) => None,
            None => Some(Server::start(scratch.path()).await?),
        };
        let url = match (&server, url) {
            (Some(server), _) => server.url(),
            (None, url) => url.unwrap_or_default().to_owned(),
        };
        let client = connect(&url)
            .await
            .map_err(|error| Refused(format!("cannot connect to {url}: {error}")))?;
        let mut context = jetstream::new(client);
        context.set_timeout(Duration::from_secs(1));
        let queue = format!("ack_queue_{}", process::id());
        create(&context, &queue)
            .await
            .map_err(|error| Refused(format!("no JetStream at {url}: {error:#}")))?;
        Ok(Self {
            server,
            url,
            queue,
            context,
            scratch,
        })
    }

    pub fn journal(&self) -> PathBuf {
        self.scratch.path().join("journal")
    }

    /// Whether every message is acknowledged.
    pub async fn is_empty(&self) -> Result<bool> {
        let stream = self.context.get_stream(&self.queue).await?;
        Ok(stream.cached_info().state.messages == 0)
    }

    /// Leaves a server that is not ours as it was.
    pub async fn clean_up(&self) -> Result<()> {
        if self.server.is_none() {
            let deleted = self.context.delete_stream(&self.queue).await;
            deleted.map_err(|error| anyhow!("cannot delete the stream {}: {error}", self.queue))?;
        }
        Ok(())
    }
}

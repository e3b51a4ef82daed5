//! The consumer of a queue: one message at a time within a group, many groups at once.

use std::sync::Arc;

use anyhow::{Result, bail};
use ordered_by_group::prelude::*;
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;

use crate::ledger::Ledger;
use crate::load::Message;
use crate::queue::Reader;

/// What all consumers have in common.
pub struct Consumer {
    pub max_parallel: usize,
    pub fail_at: Option<u32>,
    pub ledger: Arc<Ledger>,
}

impl Consumer {
    /// Ends when the queue is closed and all that was in it is committed, or with the first failure.
    pub async fn consume(self: Arc<Self>, queue: Reader) -> Result<()> {
        ReceiverStream::new(queue.messages)
            .ordered_by_group(|queued| queued.message.group, self.max_parallel)
            .offsets(|queued| queued.offset)
            .try_then(|queued| self.handle(queued.message))
            .try_drive(|((), offset)| {
                // Here a service would make its position durable, and the publisher would ask for it.
                queue.position.send_replace(offset + 1);
                async { Ok(()) }
            })
            .await
    }

    async fn handle(&self, message: Message) -> Result<()> {
        self.ledger.begun(message);
        sleep(message.remote_call).await;
        if self.fail_at == Some(message.number) {
            bail!(
                "message {} of group {} failed",
                message.number,
                message.group
            );
        }
        self.ledger.done(message);
        Ok(())
    }
}

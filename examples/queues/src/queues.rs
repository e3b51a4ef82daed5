//! The existing queues, each with its consumer.

use std::sync::Arc;

use anyhow::Result;
use tokio::task::JoinSet;

use crate::consumer::Consumer;
use crate::load::Message;
use crate::queue::{Backlog, Queue};

pub struct Queues {
    open: Vec<Queue>,
    consumer: Arc<Consumer>,
    /// Those of closed queues are among them until they end.
    consumers: JoinSet<Result<()>>,
}

impl Queues {
    pub fn open(number: u32, consumer: Consumer) -> Self {
        let mut queues = Self {
            open: Vec::new(),
            consumer: Arc::new(consumer),
            consumers: JoinSet::new(),
        };
        queues.resize(number);
        queues
    }

    /// Opens the queues that are missing, or closes the last ones. What a closed queue holds is handled all the same; when
    /// its number comes back, that is a new queue.
    pub fn resize(&mut self, number: u32) {
        let number = number as usize;
        self.open.truncate(number);
        while self.open.len() < number {
            let (queue, reader) = Queue::open();
            self.open.push(queue);
            self.consumers.spawn(self.consumer.clone().consume(reader));
        }
    }

    pub async fn write(&self, queue: usize, message: Message) -> Result<()> {
        self.open[queue].write(message).await
    }

    pub fn backlogs(&self) -> Vec<Backlog> {
        self.open.iter().map(Queue::backlog).collect()
    }

    /// Closes all queues, and waits until all that is in them is handled or until a consumer fails.
    pub async fn close(mut self) -> Result<()> {
        self.open.clear();
        while let Some(end) = self.consumers.join_next().await {
            end??;
        }
        Ok(())
    }
}

//! A queue: a bounded channel with offsets, and the position up to which its consumer is done.

use std::cell::Cell;
use std::rc::Rc;

use anyhow::{Context as _, Result};
use tokio::sync::{mpsc, watch};

use crate::load::Message;

/// How many messages may wait to be read.
const CAPACITY: usize = 1_024;

/// Where a queue is written to. It is closed by dropping this, and its consumer then ends with the last message.
pub struct Queue {
    messages: mpsc::Sender<Queued>,
    backlog: Backlog,
}

/// Where a queue is read.
pub struct Reader {
    pub messages: mpsc::Receiver<Queued>,
    pub position: watch::Sender<u64>,
}

#[derive(Clone, Copy)]
pub struct Queued {
    pub offset: u64,
    pub message: Message,
}

/// What of a queue is written and not yet committed.
#[derive(Clone)]
pub struct Backlog {
    written: Rc<Cell<u64>>,
    /// Everything before this offset is done.
    position: watch::Receiver<u64>,
}

impl Queue {
    pub fn open() -> (Self, Reader) {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        let (position, committed) = watch::channel(0);
        let queue = Self {
            messages: sender,
            backlog: Backlog {
                written: Rc::default(),
                position: committed,
            },
        };
        let reader = Reader {
            messages: receiver,
            position,
        };
        (queue, reader)
    }

    /// Waits while the queue is full, and fails if it has lost its consumer.
    pub async fn write(&self, message: Message) -> Result<()> {
        let room = self.messages.reserve().await;
        let room = room.context("a queue lost its consumer")?;
        let offset = self.backlog.written.get();
        self.backlog.written.set(offset + 1);
        room.send(Queued { offset, message });
        Ok(())
    }

    pub fn backlog(&self) -> Backlog {
        self.backlog.clone()
    }
}

impl Backlog {
    pub fn len(&self) -> u64 {
        self.written.get() - *self.position.borrow()
    }

    /// Waits until all that is written by the time of the call is committed, and fails if the consumer is gone before.
    pub fn drained(mut self) -> impl Future<Output = Result<()>> {
        let mark = self.written.get();
        async move {
            let drained = self.position.wait_for(|position| *position >= mark).await;
            drained.context("a queue lost its consumer before it was drained")?;
            Ok(())
        }
    }
}

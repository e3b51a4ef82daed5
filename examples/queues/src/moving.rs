//! A change of the number of queues while it is under way: *drain, then move*.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::future::LocalBoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};

use crate::load::Message;
use crate::queue::Backlog;
use crate::ring::Ring;

/// A group that moves may have messages in its old queue that are not done. So its next ones are held back until that
/// queue has committed all that was written to it before the change, and then go to the new queue in their order. At no
/// time are messages of one group unfinished in two queues.
///
/// ```text
///  old queue   a1 b1 a2 │ b2 b3 │ b4
///  held back            │ a3 a4 │
///  new queue            │       │ a3 a4 a5
///                       │       ╰ the old queue has drained: a1, b1 and a2 are committed
///                       ╰ the change: a moves, b stays
/// ```
///
/// Since it waits for commits, and not for handlers, this would hold also if a consumer died meanwhile and another went on
/// from its last commit. It keeps no list of groups, and takes nothing for granted of where they go: any two rings will do.
pub struct Moving {
    old: Ring,
    draining: FuturesUnordered<LocalBoxFuture<'static, Result<usize>>>,
    /// By old queue; each that has not drained has an entry.
    held: BTreeMap<usize, Vec<Held>>,
    most: usize,
    number: usize,
    figures: Figures,
}

/// A message that is held back, and since when.
pub struct Held {
    pub message: Message,
    pub since: Instant,
}

#[derive(Clone, Copy, Default)]
pub struct Figures {
    /// How many messages went to their queues as if there were no change.
    pub passed: u64,
    pub held_at_most: usize,
    /// How long a message was held back at most.
    pub longest: Duration,
}

impl Moving {
    /// Away from queues with these backlogs: all that is written by now is to be done first. It holds back `most` messages
    /// at most.
    pub fn begin(old: Ring, backlogs: Vec<Backlog>, most: usize) -> Self {
        let held = (0..backlogs.len()).map(|queue| (queue, Vec::new()));
        let held = held.collect();
        let draining = backlogs.into_iter().enumerate().map(|(queue, backlog)| {
            let drained = backlog.drained();
            Box::pin(async move { drained.await.map(|()| queue) }) as LocalBoxFuture<'_, _>
        });
        Self {
            old,
            draining: draining.collect(),
            held,
            most,
            number: 0,
            figures: Figures::default(),
        }
    }

    /// Takes a message that is on its way to a new queue, or gives it back if it may go there.
    pub fn hold(&mut self, message: Message, new_queue: usize) -> Option<Message> {
        let old_queue = self.old.queue(message.group);
        match self.held.get_mut(&old_queue) {
            Some(held) if old_queue != new_queue => {
                let since = Instant::now();
                held.push(Held { message, since });
                self.number += 1;
                self.figures.held_at_most = self.figures.held_at_most.max(self.number);
                None
            }
            _ => {
                self.figures.passed += 1;
                Some(message)
            }
        }
    }

    /// Whether another message can be held back.
    pub fn has_room(&self) -> bool {
        self.number < self.most
    }

    /// Waits until one more of the old queues has drained, and gives what was held back for it: to be written before any
    /// other message is. `None` if all have drained.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any time, and nothing is lost.
    pub async fn drained(&mut self) -> Option<Result<Vec<Held>>> {
        let queue = match self.draining.next().await? {
            Ok(queue) => queue,
            Err(error) => return Some(Err(error)),
        };
        let held = self.held.remove(&queue).unwrap_or_default();
        self.number -= held.len();
        Some(Ok(held))
    }

    /// Notes that a message was written to its new queue.
    pub fn released(&mut self, since: Instant) {
        self.figures.longest = self.figures.longest.max(since.elapsed());
    }

    pub fn is_over(&self) -> bool {
        self.held.is_empty()
    }

    pub fn figures(&self) -> Figures {
        self.figures
    }
}

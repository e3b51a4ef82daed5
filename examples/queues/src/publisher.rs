//! The publisher: writes each message to the queue of its group, even while the number of queues changes.

use std::mem;

use anyhow::Result;
use futures::stream::{self, StreamExt as _};

use crate::args::Args;
use crate::gauge::Gauge;
use crate::load::Message;
use crate::moving::{Figures, Held, Moving};
use crate::queues::Queues;
use crate::ring::Ring;

/// While a change is under way, messages of groups that stay are written as ever, and those of groups that move may be
/// held back. It waits as a whole only while the queue of the next message is full, as at any other time, and while no
/// more can be held back. Neither is for ever, since the consumers wait for nobody.
pub struct Publisher<'a> {
    args: &'a Args,
    gauge: &'a Gauge,
    published: u32,
    ring: Ring,
    queues: Queues,
    /// One at a time: the next change begins when this is over, and messages go on meanwhile.
    moving: Option<Moving>,
    /// The changes that are over.
    changes: Vec<Figures>,
}

impl<'a> Publisher<'a> {
    pub fn new(args: &'a Args, queues: Queues, gauge: &'a Gauge) -> Self {
        gauge.queues_are(queues.backlogs());
        Self {
            args,
            gauge,
            published: 0,
            ring: Ring::of(args.queues[0], args.virtual_nodes),
            queues,
            moving: None,
            changes: Vec::new(),
        }
    }

    /// Publishes the load and makes the changes, then closes the queues and waits until all is handled.
    ///
    /// # Errors
    ///
    /// That of a consumer: the rest of the load is not published.
    pub async fn run(mut self) -> Result<Vec<Figures>> {
        let published = self.publish().await;
        // If a consumer has failed, it knows better why nothing can be published.
        self.queues.close().await?;
        published?;
        Ok(self.changes)
    }

    async fn publish(&mut self) -> Result<()> {
        let mut messages = stream::iter(self.args.load().messages()).fuse();
        loop {
            self.make_changes_that_are_due();
            let has_room = self.moving.as_ref().is_none_or(Moving::has_room);
            tokio::select! {
                // What is held back came before what is to come.
                biased;
                Some(held) = drained(&mut self.moving) => self.release(held?).await?,
                Some(message) = messages.next(), if has_room => self.route(message).await?,
                else => return Ok(()),
            }
        }
    }

    fn make_changes_that_are_due(&mut self) {
        while self.moving.is_none() {
            match self.args.changes().nth(self.changes.len()) {
                Some(change) if change.after <= self.published => self.change_to(change.to),
                _ => return,
            }
        }
    }

    fn change_to(&mut self, number: u32) {
        let new = Ring::of(number, self.args.virtual_nodes);
        let old = mem::replace(&mut self.ring, new);
        if self.args.no_drain {
            self.changes.push(Figures::default());
        } else {
            let most = self.args.hold as usize;
            self.moving = Some(Moving::begin(old, self.queues.backlogs(), most));
        }
        self.queues.resize(number);
        self.gauge.queues_are(self.queues.backlogs());
        self.gauge
            .say(&format!("the number of queues is now {number}"));
    }

    async fn route(&mut self, message: Message) -> Result<()> {
        self.published += 1;
        let queue = self.ring.queue(message.group);
        let may_go = match &mut self.moving {
            Some(moving) => moving.hold(message, queue),
            None => Some(message),
        };
        match may_go {
            Some(message) => self.queues.write(queue, message).await,
            None => Ok(()),
        }
    }

    /// Writes what was held back, in the order in which it came.
    async fn release(&mut self, held: Vec<Held>) -> Result<()> {
        for Held { message, since } in held {
            let queue = self.ring.queue(message.group);
            self.queues.write(queue, message).await?;
            if let Some(moving) = &mut self.moving {
                moving.released(since);
            }
        }
        if let Some(over) = self.moving.take_if(|moving| moving.is_over()) {
            self.gauge.say("all groups that move have moved");
            self.changes.push(over.figures());
        }
        Ok(())
    }
}

/// What was held back for the next old queue that drains, if any is to drain.
async fn drained(moving: &mut Option<Moving>) -> Option<Result<Vec<Held>>> {
    moving.as_mut()?.drained().await
}

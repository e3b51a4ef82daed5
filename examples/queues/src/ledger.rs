//! Records what was handled, and in which order, by whichever consumer.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering::Relaxed};

use crate::load::{Load, Message};

/// It needs no ordering of its own: what orders the handlers of a group also orders what they write here.
pub struct Ledger {
    /// Of each group, the place of the message that was done last.
    last: Vec<AtomicU32>,
    /// How often each message was done.
    times: Vec<AtomicU8>,
    done: AtomicU32,
    out_of_order: AtomicU32,
}

/// The ledger beside the load.
pub struct Counts {
    pub published: u32,
    pub handled: u32,
    /// Messages that were begun when the last of their group to be done was not the one before them.
    pub out_of_order: u32,
    pub lost: u32,
    pub twice: u32,
}

impl Ledger {
    pub fn of(load: Load) -> Self {
        Self {
            last: zeros(load.groups),
            times: zeros(load.messages),
            done: AtomicU32::new(0),
            out_of_order: AtomicU32::new(0),
        }
    }

    pub fn begun(&self, message: Message) {
        let last = self.last[message.group as usize].load(Relaxed);
        if last != message.place - 1 {
            self.out_of_order.fetch_add(1, Relaxed);
        }
    }

    pub fn done(&self, message: Message) {
        self.last[message.group as usize].store(message.place, Relaxed);
        self.times[message.number as usize - 1].fetch_add(1, Relaxed);
        self.done.fetch_add(1, Relaxed);
    }

    pub fn handled(&self) -> u32 {
        self.done.load(Relaxed)
    }

    /// Makes the load anew, and looks for each of its messages.
    pub fn compare(&self, load: Load) -> Counts {
        let mut counts = Counts {
            published: 0,
            handled: self.handled(),
            out_of_order: self.out_of_order.load(Relaxed),
            lost: 0,
            twice: 0,
        };
        for message in load.messages() {
            counts.published += 1;
            match self.times[message.number as usize - 1].load(Relaxed) {
                0 => counts.lost += 1,
                1 => {}
                2.. => counts.twice += 1,
            }
        }
        counts
    }
}

fn zeros<T: Default>(number: u32) -> Vec<T> {
    (0..number).map(|_| T::default()).collect()
}

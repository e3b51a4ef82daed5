//! Records what happens in a run and when, in the handler and the commit that all four ways share.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::item::Item;

/// How many handlers may run at once.
pub const SLOTS: usize = 4;

pub struct Recorder {
    start: Instant,
    read: RefCell<HashMap<u64, u64>>,
    busy: Cell<[bool; SLOTS]>,
    timeline: RefCell<Timeline>,
}

/// A run. All times are in seconds from its start.
#[derive(Default)]
pub struct Timeline {
    /// In the order in which the handlers finished.
    pub runs: Vec<Run>,
    /// The second of each commit, and how many items it covers.
    pub commits: Vec<(u64, u64)>,
}

pub struct Run {
    pub item: Item,
    pub slot: usize,
    pub read: u64,
    pub start: u64,
    pub end: u64,
}

impl Recorder {
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            read: RefCell::default(),
            busy: Cell::default(),
            timeline: RefCell::default(),
        }
    }

    pub fn read(&self, item: &Item) {
        self.read.borrow_mut().insert(item.offset, self.now());
    }

    /// The handler: it takes as long as the item says.
    pub async fn handle(&self, item: Item) -> Item {
        let mut busy = self.busy.get();
        let slot = busy.iter().position(|busy| !busy);
        let slot = slot.expect("no way runs more handlers than there are slots");
        busy[slot] = true;
        self.busy.set(busy);
        let start = self.now();

        sleep(Duration::from_secs(item.seconds)).await;

        let mut busy = self.busy.get();
        busy[slot] = false;
        self.busy.set(busy);
        self.timeline.borrow_mut().runs.push(Run {
            item,
            slot,
            read: self.read.borrow()[&item.offset],
            start,
            end: self.now(),
        });
        item
    }

    /// The item at this offset and everything before it are done.
    pub async fn commit(&self, offset: u64) {
        let commit = (self.now(), offset + 1);
        self.timeline.borrow_mut().commits.push(commit);
    }

    pub fn into_timeline(self) -> Timeline {
        self.timeline.into_inner()
    }

    /// tokio's timer may be late by a millisecond.
    fn now(&self) -> u64 {
        self.start.elapsed().as_secs_f64().round() as u64
    }
}

impl Timeline {
    pub fn makespan(&self) -> u64 {
        self.runs.iter().map(|run| run.end).max().unwrap_or(0)
    }

    /// The share of the time that the slots spend in handlers.
    pub fn percent_busy(&self) -> u64 {
        let busy: u64 = self.runs.iter().map(|run| run.end - run.start).sum();
        let available = SLOTS as u64 * self.makespan();
        (100 * busy + available / 2) / available
    }
}

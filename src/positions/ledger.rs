//! The ledger: which offsets were read, and what became of each. It knows no locks and no wakers.

use std::collections::VecDeque;

use crate::positions::Done;
use crate::positions::runs::{Run, Runs};
use crate::spare::shrink_queue;

pub(super) struct Ledger {
    /// The position, once there is one.
    next: Option<i64>,
    last_read: Option<i64>,
    /// What was read, from the oldest item in flight on.
    items: VecDeque<Item>,
    /// The number of the first of them.
    first: u64,
    /// Done past the position and before all items. There is some only if the position cannot move.
    past: Runs,
    /// An item that was left is before all items: the position cannot move.
    is_held: bool,
    /// Done by an earlier lease, and not read yet.
    before: VecDeque<Run>,
    in_flight: usize,
    left: usize,
    /// How often what there is to commit has changed.
    changes: u64,
    confirmed: u64,
}

struct Item {
    offset: i64,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    InFlight,
    Done,
    Left,
}

impl Ledger {
    pub(super) fn new(next: Option<i64>, done: Done) -> Self {
        Self {
            next,
            last_read: None,
            items: VecDeque::new(),
            first: 0,
            past: Runs::default(),
            is_held: false,
            before: done.into_runs().into(),
            in_flight: 0,
            left: 0,
            changes: 0,
            confirmed: 0,
        }
    }

    /// The number under which the offset is to be settled, unless it is done or was read before.
    pub(super) fn read(&mut self, offset: i64) -> Option<u64> {
        if self.is_behind(offset) {
            return None;
        }
        self.last_read = Some(offset);
        if self.next.is_none() {
            self.next = Some(offset);
            self.changes += 1;
        }
        if self.was_done_before(offset) {
            self.skip(offset);
            return None;
        }
        self.push(offset, State::InFlight);
        self.in_flight += 1;
        Some(self.first + self.items.len() as u64 - 1)
    }

    /// Whether an offset is before the position, or not above the last one that was read.
    pub(super) fn is_behind(&self, offset: i64) -> bool {
        self.next.is_some_and(|next| offset < next)
            || self.last_read.is_some_and(|last| offset <= last)
    }

    /// Settles an item in flight.
    pub(super) fn settle(&mut self, number: u64, done: bool) {
        let item = &mut self.items[(number - self.first) as usize];
        debug_assert!(item.state == State::InFlight);
        if done {
            item.state = State::Done;
            self.changes += 1;
        } else {
            item.state = State::Left;
            self.left += 1;
        }
        self.in_flight -= 1;
        if number == self.first {
            self.advance();
        }
    }

    pub(super) fn next(&self) -> Option<i64> {
        self.next
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// How many items were read from the oldest one in flight on.
    #[cfg(feature = "rdkafka")]
    pub(super) fn span(&self) -> usize {
        self.items.len()
    }

    /// How many items were read and are not in flight any more.
    #[cfg(feature = "rdkafka")]
    pub(super) fn settled(&self) -> u64 {
        self.first + (self.items.len() - self.in_flight) as u64
    }

    pub(super) fn left(&self) -> usize {
        self.left
    }

    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// What there is to commit, if it has changed since the last commit that was confirmed.
    pub(super) fn to_commit(&self) -> Option<Done> {
        let next = self.next.filter(|_| self.changes > self.confirmed)?;
        let mut runs = self.past.clone();
        for item in &self.items {
            match item.state {
                State::Done => runs.add(item.offset),
                State::InFlight | State::Left => runs.break_off(),
            }
        }
        for run in &self.before {
            runs.add_run(*run);
        }
        Some(Done::new(next, runs.into_vec()))
    }

    /// The position is worth a commit, though nothing was read.
    #[cfg(feature = "rdkafka")]
    pub(super) fn touch(&mut self) {
        self.changes += 1;
    }

    pub(super) fn confirm(&mut self, changes: u64) {
        self.confirmed = self.confirmed.max(changes);
    }

    /// Whether an earlier lease has done the offset, which is the last one read.
    fn was_done_before(&mut self, offset: i64) -> bool {
        while let Some(run) = self.before.front_mut() {
            if offset < run.first {
                return false;
            }
            if offset < run.last {
                run.first = offset + 1;
                return true;
            }
            let last = run.last;
            self.before.pop_front();
            if offset == last {
                return true;
            }
        }
        false
    }

    fn skip(&mut self, offset: i64) {
        if self.items.is_empty() {
            self.pass(offset);
            self.changes += 1;
        } else {
            self.push(offset, State::Done);
        }
    }

    fn push(&mut self, offset: i64, state: State) {
        self.items.push_back(Item { offset, state });
    }

    /// Takes out what is before the oldest item in flight.
    fn advance(&mut self) {
        while let Some(&Item { offset, state }) = self.items.front() {
            match state {
                State::InFlight => break,
                State::Done => self.pass(offset),
                State::Left => {
                    self.is_held = true;
                    self.past.break_off();
                }
            }
            self.items.pop_front();
            self.first += 1;
        }
        shrink_queue(&mut self.items);
    }

    /// The offset is done, and is before all items.
    fn pass(&mut self, offset: i64) {
        if !self.is_held {
            self.next = Some(offset.saturating_add(1));
        }
        // The highest offset that there can be has no position past it, and is kept as done.
        if self.is_held || offset == i64::MAX {
            self.past.add(offset);
        }
    }
}

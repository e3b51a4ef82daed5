//! Items that may run, and items that do: what the orders of several keys and of any relation have in common.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::known::at_mut;
use crate::spare::{is_far_too_large, shrink_heap, shrink_queue};

/// Items that wait for nothing but a slot, by the order in which they arrived.
pub(super) struct ReadyItems {
    /// Those that became ready in that order, which costs O(1) each, and the others.
    in_order: VecDeque<ReadyItem>,
    others: BinaryHeap<Reverse<ReadyItem>>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct ReadyItem {
    arrival: u64,
    item: usize,
}

/// What is known of the item that runs in each place.
pub(super) struct ByPlace<Known>(Vec<Known>);

impl ReadyItems {
    pub(super) fn new() -> Self {
        Self {
            in_order: VecDeque::new(),
            others: BinaryHeap::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.in_order.is_empty() && self.others.is_empty()
    }

    pub(super) fn push(&mut self, arrival: u64, item: usize) {
        let ready = ReadyItem { arrival, item };
        if self.in_order.back().is_none_or(|last| *last < ready) {
            self.in_order.push_back(ready);
        } else {
            self.others.push(Reverse(ready));
        }
    }

    pub(super) fn oldest(&self) -> Option<usize> {
        let other = self.others.peek().map(|Reverse(other)| other);
        let oldest = match self.in_order.front() {
            Some(first) if other.is_none_or(|other| first < other) => Some(first),
            _ => other,
        };
        oldest.map(|ready| ready.item)
    }

    pub(super) fn pop(&mut self) -> Option<usize> {
        let other = self.others.peek().map(|Reverse(other)| other);
        let ready = match self.in_order.front() {
            Some(first) if other.is_none_or(|other| first < other) => self.in_order.pop_front(),
            _ => self.others.pop().map(|Reverse(other)| other),
        };
        ready.map(|ready| ready.item)
    }

    pub(super) fn shrink(&mut self) {
        shrink_queue(&mut self.in_order);
        shrink_heap(&mut self.others);
    }

    pub(super) fn clear(&mut self) {
        self.in_order.clear();
        self.others.clear();
    }
}

impl<Known: Copy + Default> ByPlace<Known> {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    #[inline(always)] // as each handler comes here
    pub(super) fn set(&mut self, place: usize, item: Known) {
        if place >= self.0.len() {
            self.grow(place + 1);
        }
        *at_mut(&mut self.0, place) = item;
    }

    /// What is known of the item there: nothing, if the storage was given back while it ran.
    pub(super) fn get(&self, place: usize) -> Known {
        self.0.get(place).copied().unwrap_or_default()
    }

    /// Gives back the storage while there is nothing to be known.
    pub(super) fn give_back(&mut self) {
        if is_far_too_large(self.0.len(), 0) {
            self.0 = Vec::new();
        }
    }

    #[cold]
    fn grow(&mut self, places: usize) {
        self.0.resize(places, Known::default());
    }
}

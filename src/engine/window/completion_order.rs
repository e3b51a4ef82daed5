//! Results as each item finishes, and the frontier: up to where everything has been handed over.

use std::collections::VecDeque;
use std::fmt;

use super::ring::{Entry, Ring};
use super::{SPAN, Window};
use crate::engine::window::Unordered;
use crate::known::known;
use crate::spare::shrink_queue;

/// Emits each result as it finishes.
///
/// Holds the items past the frontier, and the arrival numbers of the results that were kept, the first to finish first.
pub struct CompletionOrder<O, R> {
    ring: Ring<Entry<O, State<R>>>,
    kept: VecDeque<u64>,
    frontier: Option<O>,
    admitted: usize,
    failed: usize,
}

enum State<R> {
    Unfinished,
    Finished(R),
    HandedOver,
    Failed,
}

impl<O, R> CompletionOrder<O, R> {
    pub(crate) fn new() -> Self {
        Self {
            ring: Ring::new(),
            kept: VecDeque::new(),
            frontier: None,
            admitted: 0,
            failed: 0,
        }
    }
}

impl<O: Clone, R> CompletionOrder<O, R> {
    /// Hands over the item at `ticket`, which has come to this result.
    #[inline(always)] // or what comes out is copied on its way
    fn hand_over(&mut self, ticket: u64, result: R) -> (R, Unordered<O>) {
        self.admitted -= 1;
        let offset = if ticket == self.ring.head() {
            let Entry { offset, .. } = known(self.ring.pop_if(|_| true));
            self.move_frontier(offset.clone());
            offset
        } else {
            let entry = self.ring.entry(ticket);
            entry.state = State::HandedOver;
            entry.offset.clone()
        };
        (result, Unordered::new(offset, self.frontier.clone()))
    }

    /// Moves the frontier to this offset, and over all that were handed over behind it without a gap.
    #[inline(always)]
    fn move_frontier(&mut self, offset: O) {
        self.frontier = Some(offset);
        let is_handed_over =
            |entry: &mut Entry<O, State<R>>| matches!(entry.state, State::HandedOver);
        while let Some(Entry { offset, .. }) = self.ring.pop_if(is_handed_over) {
            self.frontier = Some(offset);
        }
    }
}

impl<O: Clone, R> Window<()> for CompletionOrder<O, R> {
    type Offset = O;
    type Result = R;
    type Emitted = (R, Unordered<O>);

    fn has_room(&self, look_ahead: usize) -> bool {
        self.admitted < look_ahead && self.ring.len() / SPAN < look_ahead
    }

    fn next_ticket(&self) -> u64 {
        self.ring.end()
    }

    fn arrival(&self, ticket: u64) -> u64 {
        ticket
    }

    fn admit(&mut self, offset: O, (): ()) {
        let state = State::Unfinished;
        self.ring.push(Entry { offset, state });
        self.admitted += 1;
    }

    #[inline(always)] // or what comes out is copied on its way
    fn pass(&mut self, offset: O, (): (), result: R) -> Option<(R, Unordered<O>)> {
        if self.ring.is_empty() {
            self.frontier = Some(offset.clone());
            return Some((result, Unordered::new(offset, self.frontier.clone())));
        }
        if self.kept.is_empty() {
            self.ring.push(Entry {
                offset: offset.clone(),
                state: State::HandedOver,
            });
            return Some((result, Unordered::new(offset, self.frontier.clone())));
        }
        self.kept.push_back(self.ring.end());
        let state = State::Finished(result);
        self.ring.push(Entry { offset, state });
        self.admitted += 1;
        self.emit()
    }

    #[inline(always)] // or what comes out is copied on its way
    fn finish(&mut self, ticket: u64, result: R) -> Option<(R, Unordered<O>)> {
        if !self.kept.is_empty() {
            self.keep(ticket, result);
            return self.emit();
        }
        Some(self.hand_over(ticket, result))
    }

    fn keep(&mut self, ticket: u64, result: R) {
        self.ring.entry(ticket).state = State::Finished(result);
        self.kept.push_back(ticket);
    }

    fn fail(&mut self, ticket: u64) {
        self.ring.entry(ticket).state = State::Failed;
        self.failed += 1;
    }

    fn emit(&mut self) -> Option<(R, Unordered<O>)> {
        let ticket = self.kept.pop_front()?;
        let state = &mut self.ring.entry(ticket).state;
        match std::mem::replace(state, State::HandedOver) {
            State::Finished(result) => Some(self.hand_over(ticket, result)),
            _ => unreachable!("what is kept is finished"),
        }
    }

    fn has_reached(&self, arrival: u64) -> bool {
        self.ring.head() == arrival && self.kept.is_empty()
    }

    fn admitted(&self) -> usize {
        self.admitted
    }

    fn finished(&self) -> usize {
        self.kept.len() + self.failed
    }

    fn unfinished<'a>(&'a self) -> impl Iterator<Item = &'a O>
    where
        O: 'a,
    {
        self.ring.iter().filter_map(|entry| match entry.state {
            State::Unfinished => Some(&entry.offset),
            State::Finished(_) | State::HandedOver | State::Failed => None,
        })
    }

    fn shrink(&mut self) {
        self.ring.shrink();
        shrink_queue(&mut self.kept);
    }

    fn clear(&mut self) {
        self.ring.clear();
        self.kept.clear();
        self.frontier = None;
        self.admitted = 0;
        self.failed = 0;
    }
}

impl<O, R> fmt::Debug for CompletionOrder<O, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompletionOrder").finish_non_exhaustive()
    }
}

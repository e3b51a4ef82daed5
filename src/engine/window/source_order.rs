//! Results in source order: each waits until everything before it has come out.

use std::fmt;

use super::Window;
use super::ring::{Entry, Ring};
use crate::known::known;

/// Emits results in source order.
///
/// Holds the admitted items, and what became of them.
pub struct SourceOrder<O, R> {
    ring: Ring<Entry<O, State<R>>>,
    finished: usize,
}

enum State<R> {
    Unfinished,
    Finished(R),
    Failed,
}

impl<O, R> SourceOrder<O, R> {
    pub(crate) fn new() -> Self {
        Self {
            ring: Ring::new(),
            finished: 0,
        }
    }
}

impl<O, R> Window<()> for SourceOrder<O, R> {
    type Offset = O;
    type Result = R;
    type Emitted = (R, O);

    fn has_room(&self, look_ahead: usize) -> bool {
        self.ring.len() < look_ahead
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
    }

    #[inline(always)] // or what comes out is copied on its way
    fn pass(&mut self, offset: O, (): (), result: R) -> Option<(R, O)> {
        if self.ring.is_empty() {
            return Some((result, offset));
        }
        let state = State::Finished(result);
        self.ring.push(Entry { offset, state });
        self.finished += 1;
        self.emit()
    }

    #[inline(always)] // or what comes out is copied on its way
    fn finish(&mut self, ticket: u64, result: R) -> Option<(R, O)> {
        if ticket != self.ring.head() {
            self.keep(ticket, result);
            return self.emit();
        }
        let is_unfinished =
            |entry: &mut Entry<O, State<R>>| matches!(entry.state, State::Unfinished);
        let Entry { offset, .. } = known(self.ring.pop_if(is_unfinished));
        Some((result, offset))
    }

    fn keep(&mut self, ticket: u64, result: R) {
        self.ring.entry(ticket).state = State::Finished(result);
        self.finished += 1;
    }

    fn fail(&mut self, ticket: u64) {
        self.ring.entry(ticket).state = State::Failed;
        self.finished += 1;
    }

    #[inline(always)] // the same
    fn emit(&mut self) -> Option<(R, O)> {
        let is_finished =
            |entry: &mut Entry<O, State<R>>| matches!(entry.state, State::Finished(_));
        let Entry { offset, state } = self.ring.pop_if(is_finished)?;
        let State::Finished(result) = state else {
            unreachable!("it was looked at");
        };
        self.finished -= 1;
        Some((result, offset))
    }

    fn has_reached(&self, arrival: u64) -> bool {
        self.ring.head() == arrival
    }

    fn admitted(&self) -> usize {
        self.ring.len()
    }

    fn finished(&self) -> usize {
        self.finished
    }

    fn unfinished<'a>(&'a self) -> impl Iterator<Item = &'a O>
    where
        O: 'a,
    {
        self.ring.iter().filter_map(|entry| match entry.state {
            State::Unfinished => Some(&entry.offset),
            State::Finished(_) | State::Failed => None,
        })
    }

    fn shrink(&mut self) {
        self.ring.shrink();
    }

    fn clear(&mut self) {
        self.ring.clear();
        self.finished = 0;
    }
}

impl<O, R> fmt::Debug for SourceOrder<O, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceOrder").finish_non_exhaustive()
    }
}

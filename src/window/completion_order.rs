//! Results as each item finishes, and the frontier: up to where everything has been handed over.

use std::collections::VecDeque;
use std::fmt;

use super::ring::Ring;
use super::{SPAN, Window};
use crate::unordered::Unordered;

/// The items past the frontier, and the arrival numbers of the results that were kept, the first to finish first.
pub struct CompletionOrder<O, R> {
    ring: Ring<Entry<O, R>>,
    kept: VecDeque<u64>,
    frontier: Option<O>,
    admitted: usize,
    failed: usize,
}

enum Entry<O, R> {
    Unfinished(O),
    Finished(O, R),
    HandedOver(O),
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
    /// Hands over the item at `ticket`; the frontier moves over all that were handed over without a gap.
    #[inline(always)]
    fn hand_over(&mut self, ticket: u64, offset: O, result: R) -> (R, Unordered<O>) {
        self.admitted -= 1;
        if ticket == self.ring.head() {
            self.ring.pop();
            self.frontier = Some(offset.clone());
            while let Some(Entry::HandedOver(_)) = self.ring.first() {
                if let Some(Entry::HandedOver(offset)) = self.ring.pop() {
                    self.frontier = Some(offset);
                }
            }
        } else {
            *self.ring.entry(ticket) = Entry::HandedOver(offset.clone());
        }
        (result, Unordered::new(offset, self.frontier.clone()))
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
        self.ring.push(Entry::Unfinished(offset));
        self.admitted += 1;
    }

    fn pass(&mut self, offset: O, (): (), result: R) -> Option<(R, Unordered<O>)> {
        if self.ring.is_empty() {
            self.ring.skip();
            self.frontier = Some(offset.clone());
            return Some((result, Unordered::new(offset, self.frontier.clone())));
        }
        if self.kept.is_empty() {
            self.ring.push(Entry::HandedOver(offset.clone()));
            return Some((result, Unordered::new(offset, self.frontier.clone())));
        }
        self.kept.push_back(self.ring.end());
        self.ring.push(Entry::Finished(offset, result));
        self.admitted += 1;
        self.emit()
    }

    #[inline(always)] // or what comes out is copied on its way
    fn finish(&mut self, ticket: u64, result: R) -> Option<(R, Unordered<O>)> {
        if !self.kept.is_empty() {
            self.keep(ticket, result);
            return self.emit();
        }
        match std::mem::replace(self.ring.entry(ticket), Entry::Failed) {
            Entry::Unfinished(offset) => Some(self.hand_over(ticket, offset, result)),
            _ => unreachable!("an item finishes once"),
        }
    }

    fn keep(&mut self, ticket: u64, result: R) {
        let entry = self.ring.entry(ticket);
        if let Entry::Unfinished(offset) = std::mem::replace(entry, Entry::Failed) {
            *entry = Entry::Finished(offset, result);
            self.kept.push_back(ticket);
        }
    }

    fn fail(&mut self, ticket: u64) {
        *self.ring.entry(ticket) = Entry::Failed;
        self.failed += 1;
    }

    fn emit(&mut self) -> Option<(R, Unordered<O>)> {
        let ticket = self.kept.pop_front()?;
        match std::mem::replace(self.ring.entry(ticket), Entry::Failed) {
            Entry::Finished(offset, result) => Some(self.hand_over(ticket, offset, result)),
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
        self.ring.iter().filter_map(|entry| match entry {
            Entry::Unfinished(offset) => Some(offset),
            Entry::Finished(..) | Entry::HandedOver(_) | Entry::Failed => None,
        })
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

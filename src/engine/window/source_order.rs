//! Results in source order: each waits until everything before it has come out.

use std::fmt;

use super::Window;
use super::ring::Ring;

/// Emits results in source order.
///
/// Holds the admitted items, and what became of them.
pub struct SourceOrder<O, R> {
    ring: Ring<Entry<O, R>>,
    finished: usize,
}

enum Entry<O, R> {
    Unfinished(O),
    Finished(O, R),
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
        self.ring.push(Entry::Unfinished(offset));
    }

    #[inline(always)] // or what comes out is copied on its way
    fn pass(&mut self, offset: O, (): (), result: R) -> Option<(R, O)> {
        if self.ring.is_empty() {
            return Some((result, offset));
        }
        self.ring.push(Entry::Finished(offset, result));
        self.finished += 1;
        self.emit()
    }

    #[inline(always)] // or what comes out is copied on its way
    fn finish(&mut self, ticket: u64, result: R) -> Option<(R, O)> {
        if ticket != self.ring.head() {
            self.keep(ticket, result);
            return self.emit();
        }
        match self.ring.pop_if(|_| true)? {
            Entry::Unfinished(offset) => Some((result, offset)),
            Entry::Finished(..) | Entry::Failed => unreachable!("an item finishes once"),
        }
    }

    fn keep(&mut self, ticket: u64, result: R) {
        let entry = self.ring.entry(ticket);
        if let Entry::Unfinished(offset) = std::mem::replace(entry, Entry::Failed) {
            *entry = Entry::Finished(offset, result);
            self.finished += 1;
        }
    }

    fn fail(&mut self, ticket: u64) {
        *self.ring.entry(ticket) = Entry::Failed;
        self.finished += 1;
    }

    fn emit(&mut self) -> Option<(R, O)> {
        let is_finished = |entry: &mut Entry<O, R>| matches!(entry, Entry::Finished(..));
        let Entry::Finished(offset, result) = self.ring.pop_if(is_finished)? else {
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
        self.ring.iter().filter_map(|entry| match entry {
            Entry::Unfinished(offset) => Some(offset),
            Entry::Finished(..) | Entry::Failed => None,
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

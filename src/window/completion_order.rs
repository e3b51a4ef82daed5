//! Results as each item finishes, and the frontier: up to where everything has been handed over.

use std::collections::VecDeque;
use std::fmt;

use super::Window;
use crate::unordered::Unordered;

/// How many times `look_ahead` the newest admitted item may be ahead of the frontier.
const SPAN: usize = 64;

/// A ring of the items past the frontier, the oldest first, and the arrival numbers of the results that were kept.
pub struct CompletionOrder<O, R> {
    ring: VecDeque<Entry<O, R>>,
    /// The arrival number of the first in the ring.
    head: u64,
    kept: VecDeque<u64>,
    frontier: Option<O>,
    admitted: usize,
    finished: usize,
}

enum Entry<O, R> {
    Unfinished(O),
    Finished(O, R),
    HandedOver(O),
    Failed,
}

impl<O: Clone, R> CompletionOrder<O, R> {
    fn entry(&mut self, seq: u64) -> &mut Entry<O, R> {
        &mut self.ring[(seq - self.head) as usize]
    }

    /// Hands over the item at `seq`; the frontier moves over all that were handed over without a gap.
    fn hand_over(&mut self, seq: u64, offset: O, result: R) -> (R, Unordered<O>) {
        self.admitted -= 1;
        if seq != self.head {
            *self.entry(seq) = Entry::HandedOver(offset.clone());
        } else {
            self.frontier = Some(offset.clone());
            self.ring.pop_front();
            self.head += 1;
            while let Some(Entry::HandedOver(_)) = self.ring.front() {
                if let Some(Entry::HandedOver(offset)) = self.ring.pop_front() {
                    self.frontier = Some(offset);
                    self.head += 1;
                }
            }
        }
        (result, Unordered::new(offset, self.frontier.clone()))
    }
}

impl<O: Clone, R> Window<O, R> for CompletionOrder<O, R> {
    type Emitted = (R, Unordered<O>);

    fn new() -> Self {
        Self {
            ring: VecDeque::new(),
            head: 0,
            kept: VecDeque::new(),
            frontier: None,
            admitted: 0,
            finished: 0,
        }
    }

    fn has_room(&self, look_ahead: usize) -> bool {
        self.admitted < look_ahead && self.ring.len() < look_ahead.saturating_mul(SPAN)
    }

    fn next_seq(&self) -> u64 {
        self.head + self.ring.len() as u64
    }

    fn admit(&mut self, offset: O) {
        self.ring.push_back(Entry::Unfinished(offset));
        self.admitted += 1;
    }

    fn pass(&mut self, offset: O, result: R) -> Option<(R, Unordered<O>)> {
        if self.ring.is_empty() {
            self.head += 1;
            self.frontier = Some(offset.clone());
            return Some((result, Unordered::new(offset, self.frontier.clone())));
        }
        let seq = self.next_seq();
        self.admit(offset);
        self.finish(seq, result)
    }

    fn finish(&mut self, seq: u64, result: R) -> Option<(R, Unordered<O>)> {
        self.keep(seq, result);
        self.emit()
    }

    fn keep(&mut self, seq: u64, result: R) {
        let entry = self.entry(seq);
        if let Entry::Unfinished(offset) = std::mem::replace(entry, Entry::Failed) {
            *entry = Entry::Finished(offset, result);
            self.finished += 1;
            self.kept.push_back(seq);
        }
    }

    fn fail(&mut self, seq: u64) {
        *self.entry(seq) = Entry::Failed;
        self.finished += 1;
    }

    fn emit(&mut self) -> Option<(R, Unordered<O>)> {
        let seq = self.kept.pop_front()?;
        self.finished -= 1;
        match std::mem::replace(self.entry(seq), Entry::Failed) {
            Entry::Finished(offset, result) => Some(self.hand_over(seq, offset, result)),
            _ => unreachable!("what is kept is finished"),
        }
    }

    fn has_reached(&self, seq: u64) -> bool {
        self.head == seq && self.kept.is_empty()
    }

    fn admitted(&self) -> usize {
        self.admitted
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
            Entry::Finished(..) | Entry::HandedOver(_) | Entry::Failed => None,
        })
    }

    fn clear(&mut self) {
        self.ring.clear();
        self.kept.clear();
        self.admitted = 0;
        self.finished = 0;
    }
}

impl<O, R> fmt::Debug for CompletionOrder<O, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompletionOrder").finish_non_exhaustive()
    }
}

//! Results in source order: each waits until everything before it has come out.

use std::collections::VecDeque;
use std::fmt;

use super::Window;

/// A ring of the admitted items, the oldest first.
pub struct SourceOrder<O, R> {
    ring: VecDeque<Entry<O, R>>,
    /// The arrival number of the first in the ring.
    head: u64,
    finished: usize,
}

enum Entry<O, R> {
    Unfinished(O),
    Finished(O, R),
    Failed,
}

impl<O, R> SourceOrder<O, R> {
    fn entry(&mut self, seq: u64) -> &mut Entry<O, R> {
        &mut self.ring[(seq - self.head) as usize]
    }
}

impl<O, R> Window<O, R> for SourceOrder<O, R> {
    type Emitted = (R, O);

    fn new() -> Self {
        Self {
            ring: VecDeque::new(),
            head: 0,
            finished: 0,
        }
    }

    fn has_room(&self, look_ahead: usize) -> bool {
        self.ring.len() < look_ahead
    }

    fn next_seq(&self) -> u64 {
        self.head + self.ring.len() as u64
    }

    fn admit(&mut self, offset: O) {
        self.ring.push_back(Entry::Unfinished(offset));
    }

    fn pass(&mut self, offset: O, result: R) -> Option<(R, O)> {
        if self.ring.is_empty() {
            self.head += 1;
            return Some((result, offset));
        }
        self.ring.push_back(Entry::Finished(offset, result));
        self.finished += 1;
        None
    }

    fn finish(&mut self, seq: u64, result: R) -> Option<(R, O)> {
        self.keep(seq, result);
        self.emit()
    }

    fn keep(&mut self, seq: u64, result: R) {
        let entry = self.entry(seq);
        if let Entry::Unfinished(offset) = std::mem::replace(entry, Entry::Failed) {
            *entry = Entry::Finished(offset, result);
            self.finished += 1;
        }
    }

    fn fail(&mut self, seq: u64) {
        *self.entry(seq) = Entry::Failed;
        self.finished += 1;
    }

    fn emit(&mut self) -> Option<(R, O)> {
        if !matches!(self.ring.front()?, Entry::Finished(..)) {
            return None;
        }
        self.head += 1;
        self.finished -= 1;
        match self.ring.pop_front()? {
            Entry::Finished(offset, result) => Some((result, offset)),
            Entry::Unfinished(_) | Entry::Failed => unreachable!("the first is finished"),
        }
    }

    fn has_reached(&self, seq: u64) -> bool {
        self.head == seq
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

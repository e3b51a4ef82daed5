//! Results in source order within each partition.

use std::collections::VecDeque;
use std::fmt;
use std::hash::Hash;

use super::Window;
use super::partitioned::Partitioned;
use crate::spare::shrink_queue;

/// Emits results in source order within each partition.
///
/// Holds the admitted items, and the partitions whose first item is finished.
pub struct PartitionedSourceOrder<O, L, R> {
    items: Partitioned<O, L, State<R>>,
    due: VecDeque<usize>,
    finished: usize,
}

enum State<R> {
    Unfinished,
    Finished(R),
    Failed,
}

impl<O, L, R> PartitionedSourceOrder<O, L, R> {
    pub(crate) fn new() -> Self {
        Self {
            items: Partitioned::new(),
            due: VecDeque::new(),
            finished: 0,
        }
    }

    /// An item is finished.
    fn note_if_first(&mut self, item: usize) {
        let partition = self.items.partition_of(item);
        if self.items.first(partition) == Some(item) {
            self.due.push_back(partition);
        }
    }

    /// A partition has another first item.
    fn note_if_due(&mut self, partition: usize) {
        if let Some(first) = self.items.first(partition) {
            if let State::Finished(_) = self.items.state(first) {
                self.due.push_back(partition);
            }
        }
    }
}

impl<O, L, R> Window<L> for PartitionedSourceOrder<O, L, R>
where
    L: Hash + Eq,
{
    type Offset = O;
    type Result = R;
    type Emitted = (R, O);

    fn has_room(&self, look_ahead: usize) -> bool {
        self.items.len() < look_ahead
    }

    fn next_ticket(&self) -> u64 {
        self.items.next_ticket()
    }

    fn arrival(&self, ticket: u64) -> u64 {
        self.items.arrival(ticket)
    }

    fn admit(&mut self, offset: O, partition: L) {
        self.items.push(offset, partition, State::Unfinished);
    }

    fn pass(&mut self, offset: O, partition: L, result: R) -> Option<(R, O)> {
        if self.due.is_empty() && self.items.is_unknown(&partition) {
            return Some((result, offset));
        }
        let state = State::Finished(result);
        let item = self.items.push(offset, partition, state);
        self.finished += 1;
        self.note_if_first(item);
        self.emit()
    }

    fn finish(&mut self, ticket: u64, result: R) -> Option<(R, O)> {
        self.keep(ticket, result);
        self.emit()
    }

    fn keep(&mut self, ticket: u64, result: R) {
        let item = ticket as usize;
        *self.items.state(item) = State::Finished(result);
        self.finished += 1;
        self.note_if_first(item);
    }

    fn fail(&mut self, ticket: u64) {
        *self.items.state(ticket as usize) = State::Failed;
        self.finished += 1;
    }

    fn are_of_one_partition(&self, ticket: u64, other: u64) -> bool {
        let partition_of = |ticket| self.items.partition_of(ticket as usize);
        partition_of(ticket) == partition_of(other)
    }

    fn emit(&mut self) -> Option<(R, O)> {
        let partition = self.due.pop_front()?;
        let first = self.items.first(partition)?;
        self.items.come_out(first);
        self.finished -= 1;
        let (offset, state) = self.items.pop(partition);
        self.note_if_due(partition);
        match state {
            State::Finished(result) => Some((result, offset)),
            State::Unfinished | State::Failed => {
                unreachable!("a partition is due when its first is finished")
            }
        }
    }

    fn has_reached(&self, arrival: u64) -> bool {
        self.due.is_empty() && self.items.has_reached(arrival)
    }

    fn admitted(&self) -> usize {
        self.items.len()
    }

    fn finished(&self) -> usize {
        self.finished
    }

    fn unfinished<'a>(&'a self) -> impl Iterator<Item = &'a O>
    where
        O: 'a,
    {
        self.items.iter().filter_map(|(offset, state)| match state {
            State::Unfinished => Some(offset),
            State::Finished(_) | State::Failed => None,
        })
    }

    fn shrink(&mut self) {
        self.items.shrink();
        shrink_queue(&mut self.due);
    }

    fn clear(&mut self) {
        self.items.clear();
        self.due.clear();
        self.finished = 0;
    }
}

impl<O, L, R> fmt::Debug for PartitionedSourceOrder<O, L, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionedSourceOrder")
            .finish_non_exhaustive()
    }
}

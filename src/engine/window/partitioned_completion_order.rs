//! Results as each item finishes, and a frontier for each partition.

use std::collections::VecDeque;
use std::fmt;
use std::hash::Hash;

use super::partitioned::Partitioned;
use super::{SPAN, Window};
use crate::engine::window::Unordered;
use crate::spare::shrink_queue;

/// Emits each result as it finishes, with a frontier for each partition.
///
/// Holds the items past their partition's frontier, and the results that were kept, the first to finish first.
pub struct PartitionedCompletionOrder<O, L, R> {
    items: Partitioned<O, L, State<R>>,
    kept: VecDeque<usize>,
    admitted: usize,
    failed: usize,
}

enum State<R> {
    Unfinished,
    Finished(R),
    HandedOver,
    Failed,
}

impl<O, L, R> PartitionedCompletionOrder<O, L, R> {
    pub(crate) fn new() -> Self {
        Self {
            items: Partitioned::new(),
            kept: VecDeque::new(),
            admitted: 0,
            failed: 0,
        }
    }
}

impl<O: Clone, L, R> PartitionedCompletionOrder<O, L, R> {
    /// Hands over an item; its partition's frontier moves over all that were handed over without a gap.
    fn hand_over(&mut self, item: usize, result: R) -> (R, Unordered<O>) {
        self.admitted -= 1;
        self.items.come_out(item);
        *self.items.state(item) = State::HandedOver;
        let offset = self.items.offset(item).clone();
        let partition = self.items.partition_of(item);
        let mut moved = None;
        while let Some(first) = self.items.first(partition) {
            let State::HandedOver = self.items.state(first) else {
                break;
            };
            moved = Some(self.items.pop(partition).0);
        }
        let frontier = match moved {
            Some(frontier) => {
                self.items.set_frontier(partition, frontier.clone());
                Some(frontier)
            }
            None => self.items.frontier(partition).cloned(),
        };
        (result, Unordered::new(offset, frontier))
    }
}

impl<O: Clone, L, R> Window<L> for PartitionedCompletionOrder<O, L, R>
where
    L: Hash + Eq,
{
    type Offset = O;
    type Result = R;
    type Emitted = (R, Unordered<O>);

    fn has_room(&self, look_ahead: usize) -> bool {
        self.admitted < look_ahead && self.items.len() / SPAN < look_ahead
    }

    fn next_ticket(&self) -> u64 {
        self.items.next_ticket()
    }

    fn arrival(&self, ticket: u64) -> u64 {
        self.items.arrival(ticket)
    }

    fn admit(&mut self, offset: O, partition: L) {
        self.items.push(offset, partition, State::Unfinished);
        self.admitted += 1;
    }

    fn pass(&mut self, offset: O, partition: L, result: R) -> Option<(R, Unordered<O>)> {
        if self.kept.is_empty() && self.items.is_unknown(&partition) {
            let frontier = Some(offset.clone());
            return Some((result, Unordered::new(offset, frontier)));
        }
        let item = self.items.push(offset, partition, State::Finished(result));
        self.admitted += 1;
        self.kept.push_back(item);
        self.emit()
    }

    fn finish(&mut self, ticket: u64, result: R) -> Option<(R, Unordered<O>)> {
        self.keep(ticket, result);
        self.emit()
    }

    fn keep(&mut self, ticket: u64, result: R) {
        let item = ticket as usize;
        *self.items.state(item) = State::Finished(result);
        self.kept.push_back(item);
    }

    fn fail(&mut self, ticket: u64) {
        *self.items.state(ticket as usize) = State::Failed;
        self.failed += 1;
    }

    fn are_of_one_partition(&self, ticket: u64, other: u64) -> bool {
        let partition_of = |ticket| self.items.partition_of(ticket as usize);
        partition_of(ticket) == partition_of(other)
    }

    fn emit(&mut self) -> Option<(R, Unordered<O>)> {
        let item = self.kept.pop_front()?;
        match std::mem::replace(self.items.state(item), State::HandedOver) {
            State::Finished(result) => Some(self.hand_over(item, result)),
            _ => unreachable!("what is kept is finished"),
        }
    }

    fn has_reached(&self, arrival: u64) -> bool {
        self.kept.is_empty() && self.items.has_reached(arrival)
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
        self.items.iter().filter_map(|(offset, state)| match state {
            State::Unfinished => Some(offset),
            State::Finished(_) | State::HandedOver | State::Failed => None,
        })
    }

    fn shrink(&mut self) {
        self.items.shrink();
        shrink_queue(&mut self.kept);
    }

    fn clear(&mut self) {
        self.items.clear();
        self.kept.clear();
        self.admitted = 0;
        self.failed = 0;
    }
}

impl<O, L, R> fmt::Debug for PartitionedCompletionOrder<O, L, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionedCompletionOrder")
            .finish_non_exhaustive()
    }
}

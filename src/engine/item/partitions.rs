//! Within what the source order, failure and frontier hold: the whole stream, or each of its partitions.

use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;

use crate::engine::sealed::Sealed;
use crate::engine::window::Unordered;
use crate::engine::window::{
    CompletionOrder, PartitionedCompletionOrder, PartitionedSourceOrder, SourceOrder, Window,
};

/// Reads an item's partition, and chooses the windows that keep partitions apart.
pub trait Partitions<T>: Sealed {
    /// What tells partitions apart.
    type Key;
    /// Where results wait for those before them.
    type SourceOrder<O, R>: Window<Self::Key, Offset = O, Result = R, Emitted = (R, O)>;
    /// Where frontiers are kept.
    type CompletionOrder<O: Clone, R>: Window<Self::Key, Offset = O, Result = R, Emitted = (R, Unordered<O>)>;

    /// Called once an item, in source order.
    #[doc(hidden)]
    fn read(&mut self, item: &T) -> Self::Key;

    /// An empty window.
    #[doc(hidden)]
    fn source_order<O, R>() -> Self::SourceOrder<O, R>;

    /// An empty window.
    #[doc(hidden)]
    fn completion_order<O: Clone, R>() -> Self::CompletionOrder<O, R>;
}

/// The default: the stream is one partition.
#[derive(Debug)]
pub struct Whole;

/// A closure that returns an item's partition, set with `partitions`.
pub struct ByPartition<P, L> {
    partition: P,
    _key: PhantomData<fn() -> L>,
}

impl<P, L> ByPartition<P, L> {
    pub(crate) fn new(partition: P) -> Self {
        Self {
            partition,
            _key: PhantomData,
        }
    }
}

impl<P, L> fmt::Debug for ByPartition<P, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByPartition").finish_non_exhaustive()
    }
}

impl<T> Partitions<T> for Whole {
    type Key = ();
    type SourceOrder<O, R> = SourceOrder<O, R>;
    type CompletionOrder<O: Clone, R> = CompletionOrder<O, R>;

    fn read(&mut self, _item: &T) {}

    fn source_order<O, R>() -> SourceOrder<O, R> {
        SourceOrder::new()
    }

    fn completion_order<O: Clone, R>() -> CompletionOrder<O, R> {
        CompletionOrder::new()
    }
}

impl<T, P, L> Partitions<T> for ByPartition<P, L>
where
    P: FnMut(&T) -> L,
    L: Hash + Eq,
{
    type Key = L;
    type SourceOrder<O, R> = PartitionedSourceOrder<O, L, R>;
    type CompletionOrder<O: Clone, R> = PartitionedCompletionOrder<O, L, R>;

    fn read(&mut self, item: &T) -> L {
        (self.partition)(item)
    }

    fn source_order<O, R>() -> PartitionedSourceOrder<O, L, R> {
        PartitionedSourceOrder::new()
    }

    fn completion_order<O: Clone, R>() -> PartitionedCompletionOrder<O, L, R> {
        PartitionedCompletionOrder::new()
    }
}

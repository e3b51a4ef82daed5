//! Within what the source order, failure and frontier hold: the whole stream, or each of its partitions.

use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;

use crate::engine::sealed::Sealed;
use crate::engine::window::{
    Batches, CompletionOrder, PartitionedCompletionOrder, PartitionedSourceOrder, Share,
    SourceOrder, Unordered, Window,
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

/// What is set about partitions, before the items are known.
pub trait SetPartitions: Sealed {
    /// The same, with the partition that this closure returns.
    type With<F, L>;
    /// The same, for handlers that take batches.
    type InBatches;

    #[doc(hidden)]
    fn with<F, L>(self, partition: F) -> Self::With<F, L>;

    #[doc(hidden)]
    fn in_batches(self) -> Self::InBatches;
}

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

/// Partitions of which handlers take batches.
#[derive(Debug)]
pub struct InBatches<P>(P);

impl SetPartitions for Whole {
    type With<F, L> = ByPartition<F, L>;
    type InBatches = InBatches<Self>;

    fn with<F, L>(self, partition: F) -> ByPartition<F, L> {
        ByPartition::new(partition)
    }

    fn in_batches(self) -> InBatches<Self> {
        InBatches(self)
    }
}

impl<P, L> SetPartitions for ByPartition<P, L> {
    type With<F, M> = ByPartition<F, M>;
    type InBatches = InBatches<Self>;

    fn with<F, M>(self, partition: F) -> ByPartition<F, M> {
        ByPartition::new(partition)
    }

    fn in_batches(self) -> InBatches<Self> {
        InBatches(self)
    }
}

impl<P: SetPartitions> SetPartitions for InBatches<P> {
    type With<F, L> = InBatches<P::With<F, L>>;
    type InBatches = Self;

    fn with<F, L>(self, partition: F) -> Self::With<F, L> {
        InBatches(self.0.with(partition))
    }

    fn in_batches(self) -> Self {
        self
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

impl<T, P> Partitions<T> for InBatches<P>
where
    P: Partitions<T>,
{
    type Key = P::Key;
    type SourceOrder<O, R> = Batches<P::SourceOrder<O, Share<R>>>;
    type CompletionOrder<O: Clone, R> = Batches<P::CompletionOrder<O, Share<R>>>;

    fn read(&mut self, item: &T) -> P::Key {
        self.0.read(item)
    }

    fn source_order<O, R>() -> Self::SourceOrder<O, R> {
        Batches::new(P::source_order())
    }

    fn completion_order<O: Clone, R>() -> Self::CompletionOrder<O, R> {
        Batches::new(P::completion_order())
    }
}

//! Seals the traits that stand in public bounds: nobody else implements them.

use crate::engine::hashing::{Given, Wary};
use crate::engine::item::offsets::{Counted, Offsets};
use crate::engine::item::partitions::{ByPartition, InBatches, Whole};
use crate::engine::item::source::{Fallible, Plain};
use crate::engine::item::verdict::{Always, Tried};
use crate::engine::order::{
    Ahead, ByAccess, ByGroup, ByGroupAhead, ByGroupInBatches, Each, Exclusively, Unless,
};
#[cfg(feature = "tokio")]
use crate::engine::run::{Crew, Spawned};
use crate::engine::run::{Here, InTask};
use crate::engine::window::{
    Batches, CompletionOrder, PartitionedCompletionOrder, PartitionedSourceOrder, SourceOrder,
};

/// Has no name outside.
pub trait Sealed {}

impl Sealed for Wary {}
impl<S> Sealed for Given<S> {}

impl Sealed for Counted {}
impl<G, O> Sealed for Offsets<G, O> {}
impl Sealed for Whole {}
impl<P, L> Sealed for ByPartition<P, L> {}
impl<P> Sealed for InBatches<P> {}
impl Sealed for Plain {}
impl Sealed for Fallible {}
impl Sealed for Always {}
impl Sealed for Tried {}

impl<F, K, S, T> Sealed for ByGroup<F, K, S, T> {}
impl<F, K, S, T> Sealed for ByGroupAhead<F, K, S, T> {}
impl<By> Sealed for Ahead<By> {}
impl<F, K, S, T> Sealed for ByGroupInBatches<F, K, S, T> {}
impl<A, K, S, T> Sealed for ByAccess<A, K, S, T> {}
impl<F, I> Sealed for Each<F, I> {}
impl<F, I> Sealed for Exclusively<F, I> {}
impl<F, C, K, T> Sealed for Unless<F, C, K, T> {}

impl Sealed for InTask {}
impl<H, Fut, V> Sealed for Here<H, Fut, V> {}
#[cfg(feature = "tokio")]
impl Sealed for Spawned {}
#[cfg(feature = "tokio")]
impl<T, H, Fut, V, R, E> Sealed for Crew<T, H, Fut, V, R, E> {}

impl<W> Sealed for Batches<W> {}
impl<O, R> Sealed for SourceOrder<O, R> {}
impl<O, R> Sealed for CompletionOrder<O, R> {}
impl<O, L, R> Sealed for PartitionedSourceOrder<O, L, R> {}
impl<O, L, R> Sealed for PartitionedCompletionOrder<O, L, R> {}

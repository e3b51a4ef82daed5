//! What the streams of this crate are made of: the types and traits that stand in their type parameters and bounds.
//!
//! Nobody needs to name them. They are here so that the pages of [`Ordered`](crate::Ordered), [`Then`](crate::Then) and the
//! other streams can be read. The traits are sealed: this crate alone implements them.
//!
//! | parameter | bound | what it is |
//! |---|---|---|
//! | `By` | [`Order`] | which items may run together: [`ByGroup`], [`ByAccess`], [`Unless`]; with `prefetch`, [`ByGroupAhead`] and [`Ahead`]; with `batches`, [`ByGroupInBatches`] |
//! | `Off` | [`ReadOffset`] | how an item's offset is read: [`Counted`], [`Offsets`] |
//! | `P` | [`Partitions`] | how an item's partition is read: [`Whole`], [`ByPartition`]; with `batches`, [`InBatches`] |
//! | `X` | [`Run`], [`RunWith`] | where handlers run: [`InTask`] |
//! | `W` | [`Window`] | which result is emitted next: [`SourceOrder`], [`CompletionOrder`], and one of each for partitions; with `batches`, [`Batches`] |
//! | `M` | [`Read`] | whether the source can fail: [`Plain`], [`Fallible`] |

pub use crate::engine::hashing::{Given, HashKeys, Wary};
pub use crate::engine::item::offsets::{Counted, Offsets, ReadOffset};
pub use crate::engine::item::partitions::{
    ByPartition, InBatches, Partitions, SetPartitions, Whole,
};
pub use crate::engine::item::source::{Fallible, Plain, Read};
pub use crate::engine::item::verdict::{Always, Tried, Verdict};
pub use crate::engine::order::{
    Accesses, Ahead, ByAccess, ByGroup, ByGroupAhead, ByGroupInBatches, Each, Exclusively, Feeds,
    Gather, Order, Prefetch, Unless, WithHasher,
};
#[cfg(feature = "tokio")]
pub use crate::engine::run::{Crew, Spawned};
pub use crate::engine::run::{Here, InTask, Run, RunWith};
pub use crate::engine::window::{
    Batches, CompletionOrder, PartitionedCompletionOrder, PartitionedSourceOrder, Share,
    SourceOrder, Window,
};
pub use crate::running::{Boxed, Erased};

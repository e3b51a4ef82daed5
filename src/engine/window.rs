//! The admitted items in arrival order, and which result comes out next. No async.

mod batches;
mod completion_order;
mod partitioned;
mod partitioned_completion_order;
mod partitioned_source_order;
mod ring;
mod source_order;
mod unordered;

pub use self::batches::{Batches, Share};
pub use self::completion_order::CompletionOrder;
pub use self::partitioned_completion_order::PartitionedCompletionOrder;
pub use self::partitioned_source_order::PartitionedSourceOrder;
pub use self::source_order::SourceOrder;
pub use self::unordered::Unordered;

use crate::engine::sealed::Sealed;

/// In completion order: how many times `look_ahead` what is kept past the frontier may come to.
const SPAN: usize = 64;

/// Keeps each admitted item's offset, and its result until it is emitted.
///
/// An item is known by its ticket from when it is admitted until its result comes out. `L` is the partition's key, `()`
/// where there is only one.
pub trait Window<L>: Sealed {
    /// What is read from an item for the caller to commit.
    type Offset;
    /// What the handler returned.
    type Result;
    /// What comes out: a result with its offset.
    type Emitted;

    /// Whether one more item may be admitted.
    #[doc(hidden)]
    fn has_room(&self, look_ahead: usize) -> bool;

    /// The ticket of the next item to be admitted.
    #[doc(hidden)]
    fn next_ticket(&self) -> u64;

    /// The arrival number of an admitted item, or of the next to be admitted.
    #[doc(hidden)]
    fn arrival(&self, ticket: u64) -> u64;

    /// Admits an unfinished item.
    #[doc(hidden)]
    fn admit(&mut self, offset: Self::Offset, partition: L);

    /// Admits an item that is finished already, and says what comes out next, if anything: one in, one out, so that
    /// results do not pile up while there is somebody to take them.
    #[doc(hidden)]
    fn pass(
        &mut self,
        offset: Self::Offset,
        partition: L,
        result: Self::Result,
    ) -> Option<Self::Emitted>;

    /// An admitted item is finished: what comes out next, if anything.
    #[doc(hidden)]
    fn finish(&mut self, ticket: u64, result: Self::Result) -> Option<Self::Emitted>;

    /// An admitted item is finished, and its result stays.
    #[doc(hidden)]
    fn keep(&mut self, ticket: u64, result: Self::Result);

    /// An admitted item has failed: nothing comes out for it, and it is never passed.
    #[doc(hidden)]
    fn fail(&mut self, ticket: u64);

    /// Whether two admitted items are of one partition.
    #[doc(hidden)]
    fn are_of_one_partition(&self, _ticket: u64, _other: u64) -> bool {
        true
    }

    /// An admitted item is finished with the batch whose last item finishes next, and gives nothing of its own.
    #[doc(hidden)]
    fn finish_with_others(&mut self, _ticket: u64) {
        unreachable!("there are no batches")
    }

    /// How many items have come out with the last of their batch, in all.
    #[doc(hidden)]
    fn with_others(&self) -> u64 {
        0
    }

    /// What comes out next, of what was kept.
    #[doc(hidden)]
    fn emit(&mut self) -> Option<Self::Emitted>;

    /// Whether all that arrived before has come out, and nothing else is about to.
    #[doc(hidden)]
    fn has_reached(&self, arrival: u64) -> bool;

    /// How many admitted items have not come out.
    #[doc(hidden)]
    fn admitted(&self) -> usize;

    /// How many of them are finished.
    #[doc(hidden)]
    fn finished(&self) -> usize;

    /// The offsets of those that are not, in source order.
    #[doc(hidden)]
    fn unfinished<'a>(&'a self) -> impl Iterator<Item = &'a Self::Offset>
    where
        Self::Offset: 'a;

    /// Gives back storage of which far less is used than there is.
    #[doc(hidden)]
    fn shrink(&mut self);

    /// Drops all.
    #[doc(hidden)]
    fn clear(&mut self);
}

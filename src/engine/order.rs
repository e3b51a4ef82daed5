//! Who may run next. No async: an item arrives, a handler finishes, and the order says what may start.

mod access;
mod ahead;
mod batches;
mod by_access;
mod by_group;
mod feeds;
mod ready;
mod unless;
mod waiting;
mod with_hasher;

pub use self::access::Access;
pub use self::ahead::{Ahead, ByGroupAhead, Prefetch};
pub use self::batches::{ByGroupInBatches, Gather};
pub use self::by_access::{Accesses, ByAccess, Each, Exclusively};
pub use self::by_group::ByGroup;
pub use self::feeds::Feeds;
pub use self::unless::Unless;
pub use self::with_hasher::WithHasher;

#[cfg(feature = "tokio")]
pub(crate) use self::waiting::{Queue, Waiting};
/// Decides which admitted items may run.
///
/// An item is known by its ticket, which the window gave it; a running handler by its place.
pub trait Order<T>: Feeds {
    /// Whether what an item waits [`behind`](Arrival::Waits) is a place, and all that it waits for.
    #[doc(hidden)]
    const WAITS_BEHIND_PLACES: bool = false;

    /// Whether items may arrive while no slot is free.
    #[doc(hidden)]
    const READS_AHEAD: bool = false;

    /// Whether a handler may take several items.
    #[doc(hidden)]
    const GATHERS: bool = false;

    /// Whether the steps of an arrival are counted.
    #[doc(hidden)]
    const COUNTS_STEPS: bool = false;

    /// What an item that may start has a claim to, until it [`hold`](Self::hold)s it.
    type Claim;

    /// What a handler takes that is started for one item.
    #[doc(hidden)]
    fn alone(item: T) -> Self::Input;

    /// An item arrives: whether it may start at once.
    #[doc(hidden)]
    fn arrive(&mut self, item: &T) -> Arrival<Self::Claim>;

    /// An item that may not start yet waits.
    #[doc(hidden)]
    fn wait(&mut self, behind: usize, ticket: u64, item: T);

    /// An item that waits for nothing but a slot waits for one.
    #[doc(hidden)]
    fn wait_for_slot(&mut self, _claim: Self::Claim, _ticket: u64, _item: T) {
        unreachable!("items arrive while a slot is free")
    }

    /// An item that might start at once has started, and runs on in this place.
    #[doc(hidden)]
    fn hold(&mut self, place: usize, claim: Self::Claim);

    /// An item that might start at once has started, and finished at once.
    #[doc(hidden)]
    fn pass(&mut self, _claim: Self::Claim) {}

    /// The handler in this place has finished: the item that goes on there, if any.
    #[doc(hidden)]
    fn successor(&self, _place: usize) -> Option<u64> {
        None
    }

    /// Takes the item that [`successor`](Self::successor) named.
    #[doc(hidden)]
    fn succeed(&mut self, _place: usize) -> Self::Input {
        unreachable!("no successor was named")
    }

    /// The handler in this place has finished, and nothing goes on there.
    #[doc(hidden)]
    fn release(&mut self, place: usize);

    /// Whether any item no longer waits for anything but a slot, where it has no place yet.
    #[doc(hidden)]
    fn has_ready(&self) -> bool {
        self.oldest_ready().is_some()
    }

    /// The oldest of the items that no longer wait for anything but a slot, where they have no place yet.
    #[doc(hidden)]
    fn oldest_ready(&self) -> Option<u64> {
        None
    }

    /// Takes the item that [`oldest_ready`](Self::oldest_ready) named, to be started in this place. Where a handler may take
    /// several, those that wait behind it join it as long as `joins` says so of their tickets.
    #[doc(hidden)]
    fn start_ready(&mut self, _place: usize, _joins: impl FnMut(u64) -> bool) -> Self::Input {
        unreachable!("no item was named")
    }

    /// The tickets of the items that have joined the first in this place, the oldest first.
    #[doc(hidden)]
    fn joined(&self, _place: usize) -> impl Iterator<Item = u64> {
        std::iter::empty()
    }

    /// What has joined the first item in this place has no handler any more.
    #[doc(hidden)]
    fn part(&mut self, _place: usize) {}

    /// How many items have joined others, and have a handler.
    #[doc(hidden)]
    fn all_joined(&self) -> usize {
        0
    }

    /// How many items the last to arrive was compared with.
    #[doc(hidden)]
    fn steps_of_arrival(&self) -> u64 {
        0
    }

    /// Whether what was released has not been followed up to its end, so that it is not known what is ready.
    #[doc(hidden)]
    fn is_behind(&self) -> bool {
        false
    }

    /// Follows up what was released, in so many steps at the most; what it takes is taken off. Says whether all is done.
    #[doc(hidden)]
    fn catch_up(&mut self, _steps: &mut u16) -> bool {
        true
    }

    /// From here on, it is known how many items wait in the longest queue.
    #[doc(hidden)]
    fn count_depths(&mut self) {}

    /// How many items wait in the longest queue, if that is counted.
    #[doc(hidden)]
    fn deepest(&self) -> usize {
        0
    }

    /// Gives back storage of which far less is used than there is.
    #[doc(hidden)]
    fn shrink(&mut self);

    /// How many items wait.
    #[doc(hidden)]
    fn waiting(&self) -> usize;

    /// How many different keys the unfinished items have.
    #[doc(hidden)]
    fn groups(&self) -> usize;

    /// Drops all that waits.
    #[doc(hidden)]
    fn clear(&mut self);
}

/// What becomes of an item that arrives.
#[derive(Debug)]
pub enum Arrival<Claim> {
    /// It may start at once.
    Starts(Claim),
    /// It must [`wait`](Order::wait) behind what is named here.
    Waits(usize),
}

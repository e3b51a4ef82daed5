//! Who may run next. No async: an item arrives, a handler finishes, and the order says what may start.

mod access;
mod by_access;
mod by_group;
mod ready;
mod unless;
mod waiting;

pub use self::access::Access;
pub use self::by_access::{ByAccess, Each, Exclusively};
pub use self::by_group::ByGroup;
pub use self::unless::Unless;
#[cfg(feature = "tokio")]
pub(crate) use self::waiting::{Queue, Waiting};

/// Decides which of the admitted items may run.
///
/// An item is known by its ticket, which the window gave it; a running handler by its place.
pub trait Order<T> {
    /// Whether what an item waits [`behind`](Arrival::Waits) is a place, and all that it waits for.
    const WAITS_BEHIND_PLACES: bool = false;

    /// Whether the steps of an arrival are counted.
    const COUNTS_STEPS: bool = false;

    /// What an item that may start has a claim to, until it [`hold`](Self::hold)s it.
    type Claim;

    /// An item arrives: whether it may start at once.
    fn arrive(&mut self, item: &T) -> Arrival<Self::Claim>;

    /// An item that may not start yet waits.
    fn wait(&mut self, behind: usize, ticket: u64, item: T);

    /// An item that might start at once has started, and runs on in this place.
    fn hold(&mut self, place: usize, claim: Self::Claim);

    /// An item that might start at once has started, and finished at once.
    fn pass(&mut self, _claim: Self::Claim) {}

    /// The handler in this place has finished: the item that goes on there, if any.
    fn successor(&self, _place: usize) -> Option<u64> {
        None
    }

    /// Takes the item that [`successor`](Self::successor) named.
    fn succeed(&mut self, _place: usize) -> T {
        unreachable!("no successor was named")
    }

    /// The handler in this place has finished, and nothing goes on there.
    fn release(&mut self, place: usize);

    /// The oldest of the items that no longer wait for anything but a slot, where they have no place yet.
    fn oldest_ready(&self) -> Option<u64> {
        None
    }

    /// Takes the item that [`oldest_ready`](Self::oldest_ready) named, to be started in this place.
    fn start_ready(&mut self, _place: usize) -> T {
        unreachable!("no item was named")
    }

    /// How many items the last to arrive was compared with.
    fn steps_of_arrival(&self) -> u64 {
        0
    }

    /// Whether what was released has not been followed up to its end, so that it is not known what is ready.
    fn is_behind(&self) -> bool {
        false
    }

    /// Follows up what was released, in so many steps at the most; what it takes is taken off. Says whether all is done.
    fn catch_up(&mut self, _steps: &mut u16) -> bool {
        true
    }

    /// Gives back storage of which far less is used than there is.
    fn shrink(&mut self);

    /// How many items wait.
    fn waiting(&self) -> usize;

    /// How many different keys the unfinished items have.
    fn groups(&self) -> usize;

    /// Drops all that waits.
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

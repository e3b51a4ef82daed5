//! Who may run next. No async: an item arrives, a slot finishes, and the order says what may start.

mod by_group;
mod groups;
mod waiting;

pub use self::by_group::ByGroup;

/// Decides which of the admitted items may run.
pub trait Order<T> {
    /// What an item that starts must show to [`hold`](Self::hold) its place in the order.
    type Ticket;

    /// An item arrives: whether it may start at once.
    fn arrive(&mut self, item: &T) -> Arrival<Self::Ticket>;

    /// An item that may not start yet waits, with its arrival number.
    fn wait(&mut self, behind: usize, seq: u64, item: T);

    /// An item that may start has started in this slot, and runs on.
    fn hold(&mut self, slot: usize, ticket: Self::Ticket);

    /// The handler in this slot has finished: the arrival number of the item that goes on in the slot, if any.
    fn successor(&self, slot: usize) -> Option<u64>;

    /// Takes the item that [`successor`](Self::successor) named.
    fn succeed(&mut self, slot: usize) -> T;

    /// The handler in this slot has finished, and nothing goes on in it.
    fn release(&mut self, slot: usize);

    /// How many items wait.
    fn waiting(&self) -> usize;

    /// How many different keys the unfinished items have.
    fn groups(&self) -> usize;

    /// Drops all that waits.
    fn clear(&mut self);
}

/// What becomes of an item that arrives.
#[derive(Debug)]
pub enum Arrival<Ticket> {
    /// It may start at once.
    Starts(Ticket),
    /// It must [`wait`](Order::wait) behind what is named here.
    Waits(usize),
}

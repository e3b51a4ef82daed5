//! Where handlers run: in the task that polls the stream, or on the runtime's workers.

#[cfg(any(feature = "tokio", all(loom, test)))]
mod handover;
mod here;
#[cfg(any(feature = "tokio", all(loom, test)))]
mod mailbox;
#[cfg(feature = "tokio")]
mod spawned;

use std::task::Waker;

pub use self::here::{Here, InTask};
#[cfg(feature = "tokio")]
pub use self::spawned::{Crew, Spawned};
pub use crate::engine::slots::{Polled, Round};

use crate::engine::sealed::Sealed;

/// Runs handlers, each in a place of its own. Each has a slot, unless it waits without one.
pub trait Run<T>: Sealed {
    /// What comes out of a handler.
    type Ok;
    /// What stops the stream.
    type Error;

    /// Whether items can [`follow`](Self::follow) others. Else they wait with the order.
    #[doc(hidden)]
    const FOLLOWS: bool = false;

    /// Whether handlers run on while others are looked at.
    #[doc(hidden)]
    const ELSEWHERE: bool = false;

    /// How many handlers there are.
    #[doc(hidden)]
    fn running(&self) -> usize;

    /// How many slots are held.
    #[doc(hidden)]
    fn held(&self) -> usize;

    /// Takes a vacant place.
    #[doc(hidden)]
    fn take_place(&mut self) -> usize;

    /// Gives a place back whose handler has finished.
    #[doc(hidden)]
    fn give_back(&mut self, place: usize);

    /// Starts a handler in a vacant place, with a slot. The place is taken if the handler is pending.
    #[doc(hidden)]
    fn start_anew(
        &mut self,
        ticket: u64,
        arrival: u64,
        item: T,
    ) -> (usize, Polled<Result<Self::Ok, Self::Error>>);

    /// Starts a handler in a place that is taken, with a slot.
    #[doc(hidden)]
    fn start(
        &mut self,
        place: usize,
        ticket: u64,
        arrival: u64,
        item: T,
    ) -> Polled<Result<Self::Ok, Self::Error>>;

    /// Sends an item after the handler in this place, to run there when that has finished.
    #[doc(hidden)]
    fn follow(&mut self, _place: usize, _ticket: u64, _arrival: u64, _item: T) {
        unreachable!("nothing follows")
    }

    /// Whether an item that was sent after a handler that has finished goes on in its place.
    #[doc(hidden)]
    fn has_more(&self, _place: usize) -> bool {
        false
    }

    /// How many items were sent after others, and wait for them.
    #[doc(hidden)]
    fn waiting(&self) -> usize {
        0
    }

    /// From here on, it is known how many items wait in the longest of these queues.
    #[doc(hidden)]
    fn count_depths(&mut self) {}

    /// How many items wait in the longest of these queues, if that is counted.
    #[doc(hidden)]
    fn deepest(&self) -> usize {
        0
    }

    /// Looks at the handler in a place where one was woken, unless it is gone or needs a slot first. Says which item it is of.
    #[doc(hidden)]
    fn poll(&mut self, place: usize) -> Option<(u64, Polled<Result<Self::Ok, Self::Error>>)>;

    /// Gives a slot to a handler that needs one to go on, and looks at it. Says which item it is of.
    #[doc(hidden)]
    fn grant(&mut self, place: usize) -> (u64, Polled<Result<Self::Ok, Self::Error>>);

    /// The ticket of the item that runs, or ran last, in a place.
    #[doc(hidden)]
    fn ticket(&self, place: usize) -> u64;

    /// Whether there is a handler in a place.
    #[doc(hidden)]
    fn is_running(&self, place: usize) -> bool;

    /// Whether there is a handler in a place that waits without a slot, as far as is known here.
    #[doc(hidden)]
    fn waits_without_slot(&self, place: usize) -> bool;

    /// A poll begins, and with it a round.
    #[doc(hidden)]
    fn begin_round(&mut self) -> Round;

    /// Whether a handler that waits without a slot may be done waiting: it was woken, and not looked at since.
    #[doc(hidden)]
    fn may_return(&mut self) -> bool;

    /// The next to be looked at of those that may be done waiting, as soon as that is known.
    #[doc(hidden)]
    fn next_returning(&mut self) -> Option<usize>;

    /// Whether anything else that was woken is left of this round.
    #[doc(hidden)]
    fn has_woken(&self) -> bool;

    /// What else was woken for this round.
    #[doc(hidden)]
    fn next_woken(&mut self) -> Option<usize>;

    /// Whether the source was woken since this was asked last.
    #[doc(hidden)]
    fn source_woke(&mut self) -> bool;

    /// The waker for the source.
    #[doc(hidden)]
    fn source_waker(&self) -> &Waker;

    /// Says whether the task may sleep.
    #[must_use]
    #[doc(hidden)]
    fn sleep(&mut self, task: &Waker) -> bool;

    /// The places whose handlers hold a slot, each with the ticket of its item.
    #[doc(hidden)]
    fn holders(&self) -> impl Iterator<Item = (usize, u64)>;

    /// The ticket of the item whose handler holds a slot in this place.
    #[doc(hidden)]
    fn holder(&self, place: usize) -> Option<u64>;

    /// Drops the handler in this place, which holds a slot. Its place stays taken. Says whether its slot is free already.
    #[doc(hidden)]
    fn drop_one(&mut self, place: usize) -> bool;

    /// Gives back storage of which far less is used than there is.
    #[doc(hidden)]
    fn shrink(&mut self) {}

    /// Drops all handlers.
    #[doc(hidden)]
    fn clear(&mut self);
}

/// A way to run handlers, before the handler is known.
pub trait RunWith<T, H, Fut, V>: Sealed {
    /// What runs them.
    type Run: Run<T>;

    /// Runs nothing as yet, and later so many at once at most.
    #[doc(hidden)]
    fn run(self, handler: H, max_parallel: usize) -> Self::Run;
}

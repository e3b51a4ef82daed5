//! The source: so many items, and then nothing more for the time being.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures::Stream;

thread_local! {
    static ALIVE: Cell<u64> = const { Cell::new(0) };
}

/// An item that is known to be there until it is dropped.
pub struct Item {
    pub number: u64,
}

/// What the source yields, and who waits for more.
pub struct Feed {
    left: Cell<u64>,
    items: u64,
    waiting: RefCell<Option<Waker>>,
}

pub struct Source<'a>(&'a Feed);

impl Item {
    fn new(number: u64) -> Self {
        ALIVE.set(ALIVE.get() + 1);
        Self { number }
    }

    /// How many there are.
    pub fn alive() -> u64 {
        ALIVE.get()
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        ALIVE.set(ALIVE.get() - 1);
    }
}

impl Feed {
    pub fn new(items: u64) -> Self {
        Self {
            left: Cell::new(items),
            items,
            waiting: RefCell::new(None),
        }
    }

    pub fn source(&self) -> Source<'_> {
        Source(self)
    }

    /// How many items are left.
    pub fn left(&self) -> u64 {
        self.left.get()
    }

    /// Wakes who waits for more, in vain. Says whether anybody does.
    pub fn wake(&self) -> bool {
        let waiting = self.waiting.borrow();
        waiting.as_ref().inspect(|waker| waker.wake_by_ref());
        waiting.is_some()
    }
}

impl Stream for Source<'_> {
    type Item = Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        let Self(feed) = *self;
        let left = feed.left.get();
        if left == 0 {
            *feed.waiting.borrow_mut() = Some(cx.waker().clone());
            return Poll::Pending;
        }
        feed.left.set(left - 1);
        Poll::Ready(Some(Item::new(feed.items - left)))
    }
}

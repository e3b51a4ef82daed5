//! Where handlers wait until all of them may go on.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

pub struct Gate {
    is_open: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

/// A handler's way through the gate.
pub struct Pass<'a> {
    gate: &'a Gate,
    waits: bool,
}

impl Gate {
    /// With room for so many, so that what is measured later does not include it.
    pub fn new(places: u64) -> Self {
        Self {
            is_open: Cell::new(false),
            waiting: RefCell::new(Vec::with_capacity(places as usize)),
        }
    }

    pub fn pass(&self) -> Pass<'_> {
        Pass {
            gate: self,
            waits: false,
        }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.borrow().len()
    }

    /// Wakes one of those that wait, in vain.
    pub fn wake(&self, index: usize) {
        self.waiting.borrow()[index].wake_by_ref();
    }

    /// Lets all pass, and wakes those that wait.
    pub fn open(&self) {
        self.is_open.set(true);
        self.waiting.borrow_mut().drain(..).for_each(Waker::wake);
    }
}

impl Future for Pass<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.gate.is_open.get() {
            return Poll::Ready(());
        }
        if !std::mem::replace(&mut self.waits, true) {
            self.gate.waiting.borrow_mut().push(cx.waker().clone());
        }
        Poll::Pending
    }
}

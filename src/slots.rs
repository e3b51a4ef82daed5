//! The running futures and their wakers. Knows nothing of groups.

mod ready_set;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

pub(crate) use self::ready_set::Woken;
use self::ready_set::{ReadySet, WakeHandle};

/// Places for running futures. A place is made when it is first needed and used again and again.
pub(crate) struct Slots<Fut> {
    /// First, so that a drop silences the wakers before any future is dropped.
    ready: ReadySet,
    slots: Vec<Slot<Fut>>,
    free: Vec<usize>,
    running: usize,
}

struct Slot<Fut> {
    future: Pin<Box<Option<Fut>>>,
    /// The arrival number of the item that runs here.
    seq: u64,
    waker: WakeHandle,
}

impl<Fut> Slots<Fut> {
    pub(crate) fn new() -> Self {
        Self {
            ready: ReadySet::new(),
            slots: Vec::new(),
            free: Vec::new(),
            running: 0,
        }
    }

    /// How many futures there are.
    pub(crate) fn running(&self) -> usize {
        self.running
    }

    /// How many slots are taken: each by a running future, or by a group whose next item is about to start.
    pub(crate) fn taken(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The arrival number of the item that runs in `slot`.
    pub(crate) fn seq(&self, slot: usize) -> u64 {
        self.slots[slot].seq
    }

    pub(crate) fn is_running(&self, slot: usize) -> bool {
        self.slots[slot].future.is_some()
    }

    /// A free slot, to be tried with [`start`](Self::start) and, if the future is pending, taken with [`take`](Self::take).
    pub(crate) fn vacant(&mut self) -> usize {
        match self.free.last() {
            Some(&slot) => slot,
            None => self.grow(),
        }
    }

    #[cold]
    fn grow(&mut self) -> usize {
        let slot = self.slots.len();
        self.slots.push(Slot {
            future: Box::pin(None),
            seq: 0,
            waker: self.ready.add_slot(slot),
        });
        self.free.push(slot);
        slot
    }

    /// Takes the slot that [`vacant`](Self::vacant) gave.
    pub(crate) fn take(&mut self, slot: usize) {
        let vacant = self.free.pop();
        debug_assert_eq!(vacant, Some(slot));
    }

    /// Gives a slot back whose future has finished.
    pub(crate) fn give_back(&mut self, slot: usize) {
        self.free.push(slot);
    }

    /// Has the slot looked at in the next round.
    pub(crate) fn mark(&self, slot: usize) {
        self.ready.mark(&self.slots[slot].waker);
    }

    /// A poll begins. Says whether the task slept and nothing of ours woke it.
    pub(crate) fn begin_round(&mut self) -> bool {
        self.ready.begin_round()
    }

    /// Whether anything woken is left of this round.
    pub(crate) fn has_woken(&self) -> bool {
        self.ready.has_next()
    }

    /// What else was woken for this round.
    pub(crate) fn next_woken(&mut self) -> Option<Woken> {
        self.ready.next()
    }

    pub(crate) fn source_waker(&self) -> &Waker {
        self.ready.source_waker()
    }

    /// Says whether the task may sleep.
    #[must_use]
    pub(crate) fn sleep(&mut self, task: &Waker) -> bool {
        self.ready.sleep(task)
    }

    /// Drops all futures.
    pub(crate) fn clear(&mut self) {
        for slot in &mut self.slots {
            slot.future.set(None);
        }
        self.running = 0;
    }
}

impl<Fut: Future> Slots<Fut> {
    /// Puts a future into a slot and polls it for the first time.
    #[inline(always)] // or the future is built elsewhere and copied into its place
    pub(crate) fn start(&mut self, slot: usize, seq: u64, future: Fut) -> Poll<Fut::Output> {
        let place = &mut self.slots[slot];
        place.future.set(Some(future));
        place.seq = seq;
        let polled = place.poll();
        match polled {
            Poll::Pending => self.running += 1,
            Poll::Ready(_) => self.ready.forget(&mut place.waker),
        }
        polled
    }

    /// Polls the future in a slot; one that is finished is dropped before its output is returned.
    pub(crate) fn poll(&mut self, slot: usize) -> Poll<Fut::Output> {
        let place = &mut self.slots[slot];
        let polled = place.poll();
        if polled.is_ready() {
            self.running -= 1;
            self.ready.forget(&mut place.waker);
        }
        polled
    }
}

impl<Fut: Future> Slot<Fut> {
    fn poll(&mut self) -> Poll<Fut::Output> {
        let future = self.future.as_mut().as_pin_mut();
        let future = future.expect("only a slot that runs is polled");
        let polled = future.poll(&mut Context::from_waker(self.waker.as_waker()));
        if polled.is_ready() {
            self.future.set(None);
        }
        polled
    }
}

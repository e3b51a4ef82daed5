//! A queue from one sender to one receiver, neither of which ever waits for the other.

use std::collections::VecDeque;
use std::sync::TryLockError;

#[cfg(loom)]
use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicUsize, Ordering},
};
#[cfg(not(loom))]
use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicUsize, Ordering},
};

/// Items stand in one of two trays; the other is empty, or the receiver is just emptying it. Where the sender finds its tray
/// locked, the receiver takes all that is in it, and the sender goes on with the other, which the receiver cannot have at the
/// same time. Where the receiver finds the tray locked, it leaves it, since the sender is about to notify it.
///
/// The sender must notify the receiver each time after it has sent, and the receiver must look each time after it has been
/// notified, both with a read-modify-write (acquire and release) of one atomic. Then nothing is left behind, and all is received
/// in the order in which it was sent.
pub(super) struct Handover<T> {
    trays: [Mutex<Tray<T>>; 2],
    /// Where the sender puts what it sends.
    current: AtomicUsize,
    #[cfg(loom)]
    steps: AtomicUsize,
}

/// There is seldom more than one item, so the first stands beside the lock.
struct Tray<T> {
    first: Option<T>,
    others: VecDeque<T>,
}

impl<T> Handover<T> {
    pub(super) fn new() -> Self {
        Self {
            trays: [Tray::new(), Tray::new()].map(Mutex::new),
            current: AtomicUsize::new(0),
            #[cfg(loom)]
            steps: AtomicUsize::new(0),
        }
    }

    /// For the sender alone.
    pub(super) fn send(&self, item: T) {
        let mut current = self.current.load(Ordering::Relaxed);
        let mut tray = loop {
            if let Some(tray) = self.try_lock(current) {
                break tray;
            }
            current = 1 - current;
            self.current.store(current, Ordering::Relaxed);
        };
        self.step();
        if tray.first.is_none() {
            tray.first = Some(item);
        } else {
            tray.others.push_back(item);
        }
    }

    /// Takes all that was sent: returns the first, and exchanges the queue of the others for an empty one. For the receiver alone.
    pub(super) fn take(&self, others: &mut VecDeque<T>) -> Option<T> {
        debug_assert!(others.is_empty());
        let mut tray = self.try_lock(self.current.load(Ordering::Relaxed))?;
        self.step();
        std::mem::swap(&mut tray.others, others);
        tray.first.take()
    }

    /// Where loom may interrupt who has a tray.
    fn step(&self) {
        #[cfg(loom)]
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    fn try_lock(&self, tray: usize) -> Option<MutexGuard<'_, Tray<T>>> {
        match self.trays[tray].try_lock() {
            Ok(tray) => Some(tray),
            // Nothing that is done with it can fail halfway.
            Err(TryLockError::Poisoned(tray)) => Some(tray.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl<T> Tray<T> {
    fn new() -> Self {
        Self {
            first: None,
            others: VecDeque::new(),
        }
    }
}

#[cfg(all(loom, test))]
mod tests {
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicBool;
    use loom::thread;

    use super::*;

    /// All that there is, if it was notified.
    fn receive(handover: &Handover<u32>, notified: &AtomicBool, received: &mut Vec<u32>) {
        if notified.swap(false, Ordering::AcqRel) {
            let mut others = VecDeque::new();
            received.extend(handover.take(&mut others));
            received.extend(others);
        }
    }

    #[test]
    fn all_is_received_in_the_order_in_which_it_was_sent() {
        loom::model(|| {
            let shared = Arc::new((Handover::new(), AtomicBool::new(false)));
            let sent = Arc::clone(&shared);
            let sender = thread::spawn(move || {
                for item in 0..3 {
                    sent.0.send(item);
                    sent.1.swap(true, Ordering::AcqRel);
                }
            });
            let (handover, notified) = &*shared;
            let mut received = Vec::new();
            receive(handover, notified, &mut received);
            receive(handover, notified, &mut received);
            sender.join().unwrap();
            receive(handover, notified, &mut received);
            assert_eq!(received, [0, 1, 2]);
        });
    }
}

//! What was woken, slots and source: one bit each, found in O(1) whatever the number of slots.
//!
//! A word holds the bits of 64 slots. A wake sets the slot's bit and, unless the word is queued already, pushes it on a stack,
//! which the operator takes whole (Treiber, "Systems programming: coping with parallelism", IBM RJ 5118, 1986; words are never
//! freed while they are linked, so there is no ABA). The operator says that a word is no longer queued before it takes the
//! bits, so a wake whose bit comes too late sees that. One whose bit is taken in between may queue the word for nothing.
//! Whether the task sleeps is a value of the stack's top, so that going to sleep and waking meet in one atomic.

use std::sync::Arc;
use std::task::{Wake, Waker};

use crate::known::at;

#[cfg(loom)]
use loom::{
    future::AtomicWaker,
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};
#[cfg(not(loom))]
use {
    atomic_waker::AtomicWaker,
    std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

const SLOTS_PER_WORD: usize = u64::BITS as usize;

/// The end of the stack.
const NONE: usize = usize::MAX;
/// The end of the stack while the task sleeps: whoever pushes on it wakes the task.
const ASLEEP: usize = usize::MAX - 1;
/// What follows a word that is not on the stack.
const UNQUEUED: usize = usize::MAX - 2;
/// The word that has only the source's bit.
const SOURCE: usize = 0;

/// The operator's side: it alone takes what was woken.
pub(crate) struct ReadySet {
    shared: Arc<Shared>,
    words: Vec<Arc<Word>>,
    source: WakeHandle,
    /// The words of this round that were not looked at yet, linked by `Word::next`.
    chain: usize,
    /// What is left of the word looked at last, and the first slot of that word.
    bits: u64,
    first: usize,
    /// The source's bit was taken with its word, and nobody has asked for it yet.
    source_woke: bool,
}

/// What a poll begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// Nothing of ours was woken, but the task did not sleep either.
    Empty,
    /// The task slept, and nothing of ours woke it.
    Unexplained,
    /// Something of ours was woken, or is left of the last round.
    Woken,
}

/// A waker of ours: the source's, or a slot's, kept for all the handlers that use the slot.
pub(crate) struct WakeHandle {
    bit: Arc<Bit>,
    waker: Waker,
    /// One that was retired, to be used again when nobody holds it any more.
    spare: Option<(Arc<Bit>, Waker)>,
}

struct Word {
    index: usize,
    bits: AtomicU64,
    /// What follows on the stack, or `UNQUEUED`.
    next: AtomicUsize,
}

struct Shared {
    /// The top of the stack of queued words.
    top: AtomicUsize,
    task: AtomicWaker,
}

/// One bit of a word, as a waker.
struct Bit {
    shared: Arc<Shared>,
    word: Arc<Word>,
    bit: u64,
    retired: AtomicBool,
}

impl ReadySet {
    pub(crate) fn new() -> Self {
        let shared = Arc::new(Shared {
            top: AtomicUsize::new(NONE),
            task: AtomicWaker::new(),
        });
        let word = Arc::new(Word::new(SOURCE));
        Self {
            source: WakeHandle::new(&shared, &word, 1),
            shared,
            words: vec![word],
            chain: NONE,
            bits: 0,
            first: 0,
            source_woke: false,
        }
    }

    /// The waker of a slot that has none; slots are numbered from 0, one after the other.
    pub(crate) fn add_slot(&mut self, slot: usize) -> WakeHandle {
        let index = slot / SLOTS_PER_WORD + 1;
        if index == self.words.len() {
            self.words.push(Arc::new(Word::new(index)));
        }
        let bit = 1 << (slot % SLOTS_PER_WORD);
        WakeHandle::new(&self.shared, &self.words[index], bit)
    }

    pub(crate) fn source_waker(&self) -> &Waker {
        self.source.as_waker()
    }

    /// A poll begins, and with it a round.
    pub(crate) fn begin_round(&mut self) -> Round {
        // A rest of the last round goes first, so that no slot is looked at twice in one round.
        if self.has_next() {
            return Round::Woken;
        }
        if self.shared.top.load(Ordering::Relaxed) == NONE {
            return Round::Empty;
        }
        match self.shared.top.swap(NONE, Ordering::AcqRel) {
            ASLEEP => Round::Unexplained,
            chain => {
                self.chain = chain;
                Round::Woken
            }
        }
    }

    /// Whether anything of this round is left.
    pub(crate) fn has_next(&self) -> bool {
        self.bits != 0 || self.chain != NONE
    }

    /// Which other slot was woken for this round.
    pub(crate) fn next(&mut self) -> Option<usize> {
        if self.bits == 0 && !self.take_word() {
            return None;
        }
        let bit = self.bits.trailing_zeros() as usize;
        self.bits &= self.bits - 1;
        Some(self.first + bit)
    }

    /// Takes the bits of the next word of this round that has any. Says whether there is one.
    #[inline(never)] // once for many slots
    fn take_word(&mut self) -> bool {
        while self.chain != NONE {
            let index = self.chain;
            let word = at(&self.words, index);
            self.chain = word.take_next();
            let bits = word.bits.swap(0, Ordering::AcqRel);
            if index == SOURCE {
                self.source_woke |= bits != 0;
            } else if bits != 0 {
                self.bits = bits;
                self.first = (index - 1) * SLOTS_PER_WORD;
                return true;
            }
        }
        false
    }

    /// Whether the source was woken since this was asked last. It need not wait until the round comes to its word.
    pub(crate) fn source_woke(&mut self) -> bool {
        let bits = &at(&self.words, SOURCE).bits;
        if bits.load(Ordering::Relaxed) != 0 {
            // The word stays queued: who takes it later finds no bit.
            self.source_woke |= bits.swap(0, Ordering::AcqRel) != 0;
        }
        std::mem::take(&mut self.source_woke)
    }

    /// The slot's handler has finished: its wakes no longer count, nor do those of wakers that it left behind.
    #[inline(always)] // the way of each item
    pub(crate) fn forget(&mut self, handle: &mut WakeHandle) {
        if is_held_elsewhere(&handle.bit) {
            handle.retire();
        }
        self.answer(handle);
    }

    /// The slot's handler is polled, or has finished: what woke it in this round is answered.
    pub(crate) fn answer(&self, handle: &WakeHandle) {
        let Bit { word, bit, .. } = &*handle.bit;
        if word.bits.load(Ordering::Relaxed) & bit != 0 {
            word.bits.fetch_and(!bit, Ordering::AcqRel);
        }
    }

    /// The poll ends with nothing to do. Says whether the task may sleep; else something was woken meanwhile.
    #[must_use]
    pub(crate) fn sleep(&mut self, task: &Waker) -> bool {
        if self.has_next() || self.shared.top.load(Ordering::Relaxed) != NONE {
            return false;
        }
        // The caller's wakers may panic as they are dropped or cloned. Not in `register`, which would not survive it.
        self.shared.forget_task();
        let task = task.clone();
        #[cfg(not(loom))]
        self.shared.task.register(&task);
        #[cfg(loom)]
        self.shared.task.register(task);
        self.shared
            .top
            .compare_exchange(NONE, ASLEEP, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }
}

impl Drop for ReadySet {
    /// From now on nobody is woken, and the task's waker is let go.
    fn drop(&mut self) {
        self.shared.top.swap(NONE, Ordering::AcqRel);
        self.shared.forget_task();
    }
}

impl WakeHandle {
    fn new(shared: &Arc<Shared>, word: &Arc<Word>, bit: u64) -> Self {
        let bit = Bit::new(shared, word, bit);
        Self {
            waker: Waker::from(Arc::clone(&bit)),
            bit,
            spare: None,
        }
    }

    pub(crate) fn as_waker(&self) -> &Waker {
        &self.waker
    }

    /// Whether anybody else has a waker of the slot, or had one that was retired.
    pub(crate) fn is_held(&self) -> bool {
        let spare = self.spare.as_ref();
        is_held_elsewhere(&self.bit) || spare.is_some_and(|(bit, _)| is_held_elsewhere(bit))
    }

    /// Has the waker that was left behind wake nothing from now on, and takes another for the slot.
    #[cold]
    fn retire(&mut self) {
        self.bit.retired.store(true, Ordering::Relaxed);
        let (bit, waker) = match self.spare.take() {
            Some((bit, waker)) if !is_held_elsewhere(&bit) => {
                bit.retired.store(false, Ordering::Relaxed);
                (bit, waker)
            }
            _ => {
                let bit = Bit::new(&self.bit.shared, &self.bit.word, self.bit.bit);
                (Arc::clone(&bit), Waker::from(bit))
            }
        };
        let bit = std::mem::replace(&mut self.bit, bit);
        let waker = std::mem::replace(&mut self.waker, waker);
        self.spare = Some((bit, waker));
    }
}

/// Whether there is a waker besides ours.
fn is_held_elsewhere(bit: &Arc<Bit>) -> bool {
    Arc::strong_count(bit) > 2
}

impl Word {
    fn new(index: usize) -> Self {
        Self {
            index,
            bits: AtomicU64::new(0),
            next: AtomicUsize::new(UNQUEUED),
        }
    }

    /// The word is no longer queued; says what follows it. Before its bits are taken.
    fn take_next(&self) -> usize {
        let next = self.next.load(Ordering::Relaxed);
        self.next.store(UNQUEUED, Ordering::Relaxed);
        next
    }

    /// Whether this wake is the one that queues the word. After its bit is set.
    fn must_be_queued(&self) -> bool {
        self.next.load(Ordering::Relaxed) == UNQUEUED
            && self
                .next
                .compare_exchange(UNQUEUED, NONE, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

impl Shared {
    fn forget_task(&self) {
        #[cfg(not(loom))]
        drop(self.task.take());
        #[cfg(loom)]
        drop(self.task.take_waker());
    }

    /// Queues a word, and wakes the task if it sleeps.
    fn push(&self, word: &Word) {
        let mut top = self.top.load(Ordering::Relaxed);
        loop {
            let next = if top == ASLEEP { NONE } else { top };
            word.next.store(next, Ordering::Relaxed);
            let pushed = self.top.compare_exchange_weak(
                top,
                word.index,
                Ordering::AcqRel,
                Ordering::Relaxed,
            );
            match pushed {
                Ok(ASLEEP) => return self.task.wake(),
                Ok(_) => return,
                Err(now) => top = now,
            }
        }
    }
}

impl Bit {
    fn new(shared: &Arc<Shared>, word: &Arc<Word>, bit: u64) -> Arc<Self> {
        Arc::new(Self {
            shared: Arc::clone(shared),
            word: Arc::clone(word),
            bit,
            retired: AtomicBool::new(false),
        })
    }
}

impl Wake for Bit {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.retired.load(Ordering::Relaxed) {
            return;
        }
        // Always, even if the bit is set: the release publishes what the waking thread wrote before.
        self.word.bits.fetch_or(self.bit, Ordering::AcqRel);
        if self.word.must_be_queued() {
            self.shared.push(&self.word);
        }
    }
}

#[cfg(all(loom, test))]
mod tests {
    use std::sync::Arc as StdArc;
    use std::task::{Wake, Waker};

    use loom::sync::Notify;
    use loom::thread;

    use super::*;

    /// All interleavings with at most three preemptions.
    fn model(test: impl Fn() + Send + Sync + 'static) {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(test);
    }

    /// A task that sleeps until it is woken, as an executor has it.
    struct Task(Notify);

    impl Wake for Task {
        fn wake(self: StdArc<Self>) {
            self.0.notify();
        }
    }

    fn task() -> (StdArc<Task>, Waker) {
        let task = StdArc::new(Task(Notify::new()));
        (StdArc::clone(&task), Waker::from(task))
    }

    /// Runs rounds, sleeping between them, until each of these slots was seen.
    fn wait_for(ready: &mut ReadySet, slots: &[usize], task: &Task, waker: &Waker) {
        let mut missing = slots.to_vec();
        loop {
            ready.begin_round();
            while let Some(woken) = ready.next() {
                missing.retain(|&slot| slot != woken);
            }
            if missing.is_empty() {
                return;
            }
            if ready.sleep(waker) {
                task.0.wait();
            }
        }
    }

    #[test]
    fn two_threads_wake_two_slots_of_one_word() {
        model(|| {
            let mut ready = ReadySet::new();
            let wakers = [0, 1].map(|slot| ready.add_slot(slot).as_waker().clone());
            let threads = wakers.map(|waker| thread::spawn(move || waker.wake()));
            let (task, waker) = task();
            wait_for(&mut ready, &[0, 1], &task, &waker);
            for thread in threads {
                thread.join().unwrap();
            }
        });
    }

    #[test]
    fn two_threads_wake_slots_of_different_words() {
        model(|| {
            let mut ready = ReadySet::new();
            let all: Vec<_> = (0..=SLOTS_PER_WORD)
                .map(|slot| ready.add_slot(slot))
                .collect();
            let wakers = [&all[0], &all[SLOTS_PER_WORD]].map(|slot| slot.as_waker().clone());
            let threads = wakers.map(|waker| thread::spawn(move || waker.wake()));
            let (task, waker) = task();
            wait_for(&mut ready, &[0, SLOTS_PER_WORD], &task, &waker);
            for thread in threads {
                thread.join().unwrap();
            }
        });
    }

    #[test]
    fn a_slot_that_is_woken_again_is_seen_again() {
        model(|| {
            let mut ready = ReadySet::new();
            let slot = ready.add_slot(0);
            let again = slot.as_waker().clone();
            let thread = thread::spawn(move || {
                again.wake_by_ref();
                again.wake();
            });
            let (task, waker) = task();
            wait_for(&mut ready, &[0], &task, &waker);
            thread.join().unwrap();
            // The second wake was either part of the first round, or is still there.
            ready.begin_round();
            assert!(matches!(ready.next(), None | Some(0)));
            assert_eq!(ready.next(), None);
        });
    }

    #[test]
    fn the_source_and_a_slot_are_woken_at_once() {
        model(|| {
            let mut ready = ReadySet::new();
            let slot = ready.add_slot(0).as_waker().clone();
            let source = ready.source_waker().clone();
            let threads = [slot, source].map(|waker| thread::spawn(move || waker.wake()));
            let (task, waker) = task();
            let (mut source_seen, mut slot_seen) = (false, false);
            loop {
                ready.begin_round();
                source_seen |= ready.source_woke();
                while let Some(woken) = ready.next() {
                    slot_seen |= woken == 0;
                }
                source_seen |= ready.source_woke();
                if source_seen && slot_seen {
                    break;
                }
                if ready.sleep(&waker) {
                    task.0.wait();
                }
            }
            for thread in threads {
                thread.join().unwrap();
            }
        });
    }

    #[test]
    fn what_a_waking_thread_wrote_before_is_visible() {
        model(|| {
            let mut ready = ReadySet::new();
            let slot = ready.add_slot(0).as_waker().clone();
            let written = loom::sync::Arc::new(loom::cell::UnsafeCell::new(0));
            let cell = written.clone();
            let thread = thread::spawn(move || {
                cell.with_mut(|_| ());
                slot.wake();
            });
            let (task, waker) = task();
            wait_for(&mut ready, &[0], &task, &waker);
            written.with(|_| ());
            thread.join().unwrap();
        });
    }

    #[test]
    fn a_wake_races_a_drop() {
        model(|| {
            let mut ready = ReadySet::new();
            let slot = ready.add_slot(0).as_waker().clone();
            let (_task, waker) = task();
            let thread = thread::spawn(move || slot.wake());
            ready.begin_round();
            if ready.next().is_none() {
                let _ = ready.sleep(&waker);
            }
            drop(ready);
            thread.join().unwrap();
        });
    }
}

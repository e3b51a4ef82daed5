//! Which slots were woken: one bit a slot, found in O(1) whatever the number of slots.
//!
//! A word holds the bits of 63 slots; its last bit says that the word is queued. The wake that sets that bit
//! pushes the word on a stack, which the operator takes whole (Treiber, "Systems programming: coping with
//! parallelism", IBM RJ 5118, 1986; words are never freed while they are linked, so there is no ABA).

use std::sync::Arc;
use std::task::{Wake, Waker};

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

const SLOTS_PER_WORD: usize = 63;
const QUEUED: u64 = 1 << SLOTS_PER_WORD;
const NONE: usize = usize::MAX;

/// The operator's side: it alone takes what was woken.
pub(crate) struct ReadySet {
    shared: Arc<Shared>,
    words: Vec<Arc<Word>>,
    source: Waker,
    /// The words of this round that were not looked at yet, linked by `Word::next`.
    chain: usize,
    /// What is left of the word looked at last, and that word.
    bits: u64,
    word: usize,
    parked: bool,
}

/// A slot's own waker, kept for all the handlers that use the slot.
pub(crate) struct SlotWaker {
    wake: Arc<SlotWake>,
    waker: Waker,
}

struct Word {
    index: usize,
    bits: AtomicU64,
    next: AtomicUsize,
}

struct Shared {
    /// The top of the stack of queued words.
    head: AtomicUsize,
    source_woken: AtomicBool,
    /// Whether the task wants to be woken: it sleeps, and nothing has woken it since.
    parked: AtomicBool,
    task: AtomicWaker,
}

struct SlotWake {
    shared: Arc<Shared>,
    word: Arc<Word>,
    bit: u64,
    retired: AtomicBool,
}

struct SourceWake(Arc<Shared>);

impl ReadySet {
    pub(crate) fn new() -> Self {
        let shared = Arc::new(Shared {
            head: AtomicUsize::new(NONE),
            source_woken: AtomicBool::new(false),
            parked: AtomicBool::new(false),
            task: AtomicWaker::new(),
        });
        Self {
            source: Waker::from(Arc::new(SourceWake(Arc::clone(&shared)))),
            shared,
            words: Vec::new(),
            chain: NONE,
            bits: 0,
            word: 0,
            parked: false,
        }
    }

    /// The waker of a slot that was not used before; slots are numbered from 0, one after the other.
    pub(crate) fn waker(&mut self, slot: usize) -> SlotWaker {
        let index = slot / SLOTS_PER_WORD;
        if index == self.words.len() {
            self.words.push(Arc::new(Word {
                index,
                bits: AtomicU64::new(0),
                next: AtomicUsize::new(NONE),
            }));
        }
        SlotWaker::new(Arc::new(SlotWake {
            shared: Arc::clone(&self.shared),
            word: Arc::clone(&self.words[index]),
            bit: 1 << (slot % SLOTS_PER_WORD),
            retired: AtomicBool::new(false),
        }))
    }

    pub(crate) fn source_waker(&self) -> &Waker {
        &self.source
    }

    /// A poll begins. Says whether the source is to be asked: it woke us, or nothing of ours explains this poll.
    pub(crate) fn begin_round(&mut self) -> bool {
        let unexplained = self.parked && self.shared.parked.swap(false, Ordering::SeqCst);
        self.parked = false;
        // A rest of the last round goes first, so that no slot is looked at twice in one round.
        if self.bits == 0 && self.chain == NONE && self.shared.head.load(Ordering::Relaxed) != NONE
        {
            self.chain = self.shared.head.swap(NONE, Ordering::SeqCst);
        }
        let source_woken = self.shared.source_woken.load(Ordering::Relaxed)
            && self.shared.source_woken.swap(false, Ordering::SeqCst);
        source_woken || unexplained
    }

    /// Whether any slot of this round is left.
    pub(crate) fn has_next(&self) -> bool {
        self.bits != 0 || self.chain != NONE
    }

    /// The next slot of this round.
    pub(crate) fn next(&mut self) -> Option<usize> {
        while self.bits == 0 {
            if self.chain == NONE {
                return None;
            }
            let word = &self.words[self.chain];
            self.word = self.chain;
            // Before the swap: after it, a wake may queue the word again.
            self.chain = word.next.load(Ordering::Relaxed);
            self.bits = word.bits.swap(0, Ordering::AcqRel) & !QUEUED;
        }
        let bit = self.bits.trailing_zeros() as usize;
        self.bits &= self.bits - 1;
        Some(self.word * SLOTS_PER_WORD + bit)
    }

    /// The slot's handler has finished: its wakes no longer count, nor do those of wakers that it left behind.
    pub(crate) fn forget(&mut self, slot: usize, waker: &mut SlotWaker) {
        if waker.is_held_elsewhere() {
            waker.wake.retired.store(true, Ordering::Relaxed);
            *waker = self.waker(slot);
        }
        let SlotWake { word, bit, .. } = &*waker.wake;
        if word.bits.load(Ordering::Relaxed) & bit != 0 {
            word.bits.fetch_and(!bit, Ordering::AcqRel);
        }
    }

    /// Marks the slot as woken, for a later round.
    pub(crate) fn mark(&self, waker: &SlotWaker) {
        waker.wake.set();
    }

    /// The poll ends with nothing to do. Says whether the task may sleep; else something was woken meanwhile.
    #[must_use]
    pub(crate) fn park(&mut self, task: &Waker) -> bool {
        if self.is_woken() {
            return false;
        }
        #[cfg(not(loom))]
        self.shared.task.register(task);
        #[cfg(loom)]
        self.shared.task.register_by_ref(task);
        self.parked = true;
        self.shared.parked.store(true, Ordering::SeqCst);
        if self.is_woken() && self.shared.parked.swap(false, Ordering::SeqCst) {
            self.parked = false;
            return false;
        }
        true
    }

    fn is_woken(&self) -> bool {
        self.has_next()
            || self.shared.head.load(Ordering::SeqCst) != NONE
            || self.shared.source_woken.load(Ordering::SeqCst)
    }
}

impl Drop for ReadySet {
    /// From now on nobody is woken, and the task's waker is let go.
    fn drop(&mut self) {
        self.shared.parked.store(false, Ordering::SeqCst);
        #[cfg(not(loom))]
        drop(self.shared.task.take());
        #[cfg(loom)]
        drop(self.shared.task.take_waker());
    }
}

impl SlotWaker {
    fn new(wake: Arc<SlotWake>) -> Self {
        Self {
            waker: Waker::from(Arc::clone(&wake)),
            wake,
        }
    }

    pub(crate) fn as_waker(&self) -> &Waker {
        &self.waker
    }

    fn is_held_elsewhere(&self) -> bool {
        Arc::strong_count(&self.wake) > 2
    }
}

impl Shared {
    fn push(&self, word: &Word) {
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            word.next.store(head, Ordering::Relaxed);
            match self.head.compare_exchange_weak(
                head,
                word.index,
                Ordering::SeqCst,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    fn wake_task(&self) {
        if self.parked.load(Ordering::SeqCst) && self.parked.swap(false, Ordering::SeqCst) {
            self.task.wake();
        }
    }
}

impl SlotWake {
    fn set(&self) {
        // Always, even if the bit is set: the release publishes what the waking thread wrote before.
        let before = self.word.bits.fetch_or(self.bit | QUEUED, Ordering::AcqRel);
        if before & QUEUED == 0 {
            self.shared.push(&self.word);
        }
    }
}

impl Wake for SlotWake {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.retired.load(Ordering::Relaxed) {
            self.set();
            self.shared.wake_task();
        }
    }
}

impl Wake for SourceWake {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.source_woken.store(true, Ordering::SeqCst);
        self.0.wake_task();
    }
}

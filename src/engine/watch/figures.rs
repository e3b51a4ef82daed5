//! The figures of one stream, written by that stream alone and read by anybody.
//!
//! A sequence lock: the writer makes the version odd, writes, and makes it even again; who reads takes only what was written
//! under one even version (Boehm, "Can seqlocks get along with programming language memory models?", MSPC 2012). The writer
//! never waits. The reader looks again if it was overtaken, which takes a publication within its few nanoseconds.

use std::time::Duration;

#[cfg(loom)]
use loom::{
    sync::atomic::{AtomicU64, Ordering, fence},
    thread::yield_now,
};
#[cfg(not(loom))]
use std::{
    sync::atomic::{AtomicU64, Ordering, fence},
    thread::yield_now,
};

use super::{Snapshot, Times};

const WORDS: usize = 16;
/// No item is unfinished, or it is not known since when.
const NONE: u64 = u64::MAX;

pub(super) struct Figures {
    words: Versioned<WORDS>,
}

/// So many words that are written and read at once.
struct Versioned<const N: usize> {
    version: AtomicU64,
    words: [AtomicU64; N],
}

impl Figures {
    pub(super) fn new() -> Self {
        Self {
            words: Versioned::new(to_words(&Snapshot::default(), None)),
        }
    }

    /// For one writer only. `oldest` is when the oldest unfinished item was admitted.
    pub(super) fn write(&self, snapshot: &Snapshot, oldest: Option<u64>) {
        self.words.write(to_words(snapshot, oldest));
    }

    pub(super) fn read(&self) -> (Snapshot, Option<u64>) {
        from_words(self.words.read())
    }
}

impl<const N: usize> Versioned<N> {
    fn new(words: [u64; N]) -> Self {
        Self {
            version: AtomicU64::new(0),
            words: words.map(AtomicU64::new),
        }
    }

    /// For one writer only.
    fn write(&self, words: [u64; N]) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version + 1, Ordering::Relaxed);
        fence(Ordering::Release);
        for (word, value) in self.words.iter().zip(words) {
            word.store(value, Ordering::Relaxed);
        }
        self.version.store(version + 2, Ordering::Release);
    }

    fn read(&self) -> [u64; N] {
        loop {
            let version = self.version.load(Ordering::Acquire);
            if version % 2 == 0 {
                let words = std::array::from_fn(|at| self.words[at].load(Ordering::Relaxed));
                fence(Ordering::Acquire);
                if self.version.load(Ordering::Relaxed) == version {
                    return words;
                }
            }
            yield_now();
        }
    }
}

fn to_words(snapshot: &Snapshot, oldest: Option<u64>) -> [u64; WORDS] {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let subsec_nanos = |times: &Times| u64::from(times.sum.subsec_nanos());
    let Snapshot {
        running,
        without_slot,
        waiting,
        finished,
        groups,
        deepest_group,
        admitted_total,
        emitted_total,
        failed_total,
        oldest_unfinished: _,
        in_queue,
        in_handler,
    } = snapshot;
    [
        *running as u64,
        *without_slot as u64,
        *waiting as u64,
        *finished as u64,
        *groups as u64,
        *deepest_group as u64,
        *admitted_total,
        *emitted_total,
        *failed_total,
        oldest.unwrap_or(NONE),
        // Both are of the same items.
        in_queue.count,
        in_queue.sum.as_secs(),
        nanos(in_queue.max),
        in_handler.sum.as_secs(),
        nanos(in_handler.max),
        subsec_nanos(in_queue) << 32 | subsec_nanos(in_handler),
    ]
}

fn from_words(words: [u64; WORDS]) -> (Snapshot, Option<u64>) {
    let times = |sum, nanos, max| Times {
        count: words[10],
        sum: Duration::new(sum, nanos as u32),
        max: Duration::from_nanos(max),
    };
    let snapshot = Snapshot {
        running: words[0] as usize,
        without_slot: words[1] as usize,
        waiting: words[2] as usize,
        finished: words[3] as usize,
        groups: words[4] as usize,
        deepest_group: words[5] as usize,
        admitted_total: words[6],
        emitted_total: words[7],
        failed_total: words[8],
        oldest_unfinished: None,
        in_queue: times(words[11], words[15] >> 32, words[12]),
        in_handler: times(words[13], words[15] & u64::from(u32::MAX), words[14]),
    };
    (snapshot, (words[9] != NONE).then_some(words[9]))
}

#[cfg(all(loom, test))]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_was_published_at_once() {
        loom::model(|| {
            // Few words, or there are more interleavings than can be tried.
            let words = loom::sync::Arc::new(Versioned::new([0; 2]));
            let read = loom::sync::Arc::clone(&words);
            let reader = loom::thread::spawn(move || read.read());
            words.write([1; 2]);
            words.write([2; 2]);
            let seen = reader.join().unwrap();
            assert!(seen[0] == seen[1], "{seen:?}");
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn all_figures_come_back() {
        let times = |sum, max| Times {
            count: 10,
            sum,
            max,
        };
        let snapshot = Snapshot {
            running: 1,
            without_slot: 2,
            waiting: 3,
            finished: 4,
            groups: 5,
            deepest_group: 6,
            admitted_total: 7,
            emitted_total: 8,
            failed_total: 9,
            oldest_unfinished: None,
            in_queue: times(Duration::MAX, Duration::from_nanos(u64::MAX)),
            in_handler: times(Duration::new(11, 12), Duration::from_nanos(13)),
        };
        let figures = Figures::new();
        assert_eq!(figures.read(), (Snapshot::default(), None));
        figures.write(&snapshot, Some(14));
        assert_eq!(figures.read(), (snapshot, Some(14)));
    }
}

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
    version: AtomicU64,
    words: [AtomicU64; WORDS],
}

impl Figures {
    pub(super) fn new() -> Self {
        let figures = Self {
            version: AtomicU64::new(0),
            words: std::array::from_fn(|_| AtomicU64::new(0)),
        };
        figures.write(&Snapshot::default(), None);
        figures
    }

    /// For one writer only. `oldest` is when the oldest unfinished item was admitted.
    pub(super) fn write(&self, snapshot: &Snapshot, oldest: Option<u64>) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version + 1, Ordering::Relaxed);
        fence(Ordering::Release);
        for (word, figure) in self.words.iter().zip(to_words(snapshot, oldest)) {
            word.store(figure, Ordering::Relaxed);
        }
        self.version.store(version + 2, Ordering::Release);
    }

    pub(super) fn read(&self) -> (Snapshot, Option<u64>) {
        loop {
            let version = self.version.load(Ordering::Acquire);
            if version % 2 == 0 {
                let words = std::array::from_fn(|at| self.words[at].load(Ordering::Relaxed));
                fence(Ordering::Acquire);
                if self.version.load(Ordering::Relaxed) == version {
                    return from_words(words);
                }
            }
            yield_now();
        }
    }
}

fn to_words(snapshot: &Snapshot, oldest: Option<u64>) -> [u64; WORDS] {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
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
        in_queue.count,
        nanos(in_queue.sum),
        nanos(in_queue.max),
        in_handler.count,
        nanos(in_handler.sum),
        nanos(in_handler.max),
    ]
}

fn from_words(words: [u64; WORDS]) -> (Snapshot, Option<u64>) {
    let times = |count, sum, max| Times {
        count,
        sum: Duration::from_nanos(sum),
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
        in_queue: times(words[10], words[11], words[12]),
        in_handler: times(words[13], words[14], words[15]),
    };
    (snapshot, (words[9] != NONE).then_some(words[9]))
}

#[cfg(all(loom, test))]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_was_published_at_once() {
        loom::model(|| {
            let figures = loom::sync::Arc::new(Figures::new());
            let read = loom::sync::Arc::clone(&figures);
            let reader = loom::thread::spawn(move || read.read());
            let published = Snapshot {
                running: 1,
                admitted_total: 1,
                ..Snapshot::default()
            };
            figures.write(&published, Some(1));
            let (seen, oldest) = reader.join().unwrap();
            let all = (seen.running, seen.admitted_total, oldest);
            assert!(all == (0, 0, None) || all == (1, 1, Some(1)), "{all:?}");
        });
    }
}

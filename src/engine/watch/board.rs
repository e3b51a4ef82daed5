//! Where streams show their figures: one board for each monitor.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use slab::Slab;

use super::Snapshot;
use super::figures::Figures;

/// A clock, and when it was set.
type Clock = AssertUnwindSafe<(Box<dyn Fn() -> Instant + Send + Sync>, Instant)>;

#[derive(Default)]
pub(crate) struct Board {
    clock: Option<Clock>,
    /// Locked as a stream comes or goes, and by who reads; never while a stream is polled.
    streams: Mutex<Streams>,
}

#[derive(Default)]
struct Streams {
    there: Slab<Arc<Figures>>,
    /// What those that have gone had done.
    gone: Snapshot,
}

/// A stream's place on the board. The stream goes when this is dropped.
pub(super) struct Entry {
    board: Arc<Board>,
    figures: Arc<Figures>,
    key: usize,
}

impl Board {
    pub(crate) fn set_clock(&mut self, clock: impl Fn() -> Instant + Send + Sync + 'static) {
        let set_at = clock();
        self.clock = Some(AssertUnwindSafe((Box::new(clock), set_at)));
    }

    pub(super) fn has_clock(&self) -> bool {
        self.clock.is_some()
    }

    /// A stream comes.
    pub(super) fn enter(board: &Arc<Self>) -> Entry {
        let figures = Arc::new(Figures::new());
        let key = board.streams().there.insert(Arc::clone(&figures));
        Entry {
            board: Arc::clone(board),
            figures,
            key,
        }
    }

    /// What all streams do.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let (mut all, oldest) = {
            let streams = self.streams();
            let mut all = streams.gone;
            let mut oldest_of_all: Option<u64> = None;
            for (_, figures) in &streams.there {
                let (figures, oldest) = figures.read();
                all = all.add(&figures);
                oldest_of_all = oldest_of_all.into_iter().chain(oldest).min();
            }
            (all, oldest_of_all)
        };
        all.oldest_unfinished =
            oldest.map(|at| Duration::from_nanos(self.now().saturating_sub(at)));
        all
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nanoseconds since the clock was set.
    fn now(&self) -> u64 {
        let Some(AssertUnwindSafe((clock, set_at))) = &self.clock else {
            return 0;
        };
        let since = clock().saturating_duration_since(*set_at);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX - 1)
    }
}

impl Entry {
    pub(super) fn publish(&self, snapshot: &Snapshot, oldest: Option<u64>) {
        self.figures.write(snapshot, oldest);
    }

    pub(super) fn now(&self) -> u64 {
        self.board.now()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut streams = self.board.streams();
        streams.there.remove(self.key);
        streams.gone = streams.gone.add_totals(&self.figures.read().0);
    }
}

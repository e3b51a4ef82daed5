//! Monitor: what running streams are doing, for whoever looks from outside.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::engine::watch::{Board, Snapshot};

/// Shows what running streams are doing to whoever looks from outside: a metrics endpoint, a progress bar, a watchdog.
///
/// Give it to the settings with [`monitor`](crate::Ordered::monitor), keep a clone, and read it at any time and from any thread,
/// also while `try_drive` owns the stream. Clones show the same. Several streams may share a monitor: it adds them up.
///
/// A stream publishes its figures each time it goes to sleep, and after fewer than 512 results. Between two polls nothing
/// changes, so after a poll that returned `Pending`, the figures are exact. A stream that is not polled any more shows what it
/// did when it went to sleep last. A stream that has ended or was dropped adds nothing to the gauges; the totals stay. After a panic, the figures
/// stay as they were until the stream is dropped.
///
/// A stream without a monitor pays nothing for it. A stream with one pays for each time that it goes to sleep and for each
/// item that has to wait, not for an item that goes through at once.
///
/// [Metrics and alarms](crate::guide::metrics) says what the figures mean, and how to export them.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// use futures::stream;
/// use ordered_by_group::Monitor;
/// use ordered_by_group::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let monitor = Monitor::new();
/// let pipeline = stream::iter(1..=100)
///     .ordered_by_group(|n| n % 10, 4)
///     .monitor(&monitor)
///     .then(|_| tokio::time::sleep(Duration::from_millis(10)))
///     .drive(|_| async {});
///
/// let progress = async {
///     loop {
///         tokio::time::sleep(Duration::from_millis(100)).await;
///         let now = monitor.snapshot();
///         println!("{} of {} are done, {} run", now.emitted_total, now.admitted_total, now.running);
///     }
/// };
/// tokio::select! { _ = pipeline => {}, _ = progress => {} }
/// assert_eq!(monitor.snapshot().emitted_total, 100);
/// assert_eq!(monitor.snapshot().running, 0);
/// # }
/// ```
#[doc(alias = "gauge")]
#[doc(alias = "lag")]
#[doc(alias = "metrics")]
#[doc(alias = "observe")]
#[doc(alias = "opentelemetry")]
#[doc(alias = "progress")]
#[doc(alias = "prometheus")]
#[doc(alias = "watchdog")]
#[derive(Clone, Default)]
pub struct Monitor {
    board: Arc<Board>,
}

impl Monitor {
    /// A monitor of no streams as yet, which reads no clock.
    ///
    /// ```
    /// use ordered_by_group::{Monitor, Snapshot};
    ///
    /// assert_eq!(Monitor::new().snapshot(), Snapshot::default());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Measures how long items wait and run, too, with this clock: `Instant::now`, or a virtual one in tests, such as
    /// `|| tokio::time::Instant::now().into_std()`.
    ///
    /// The clock is read at most once per poll, and only if something is to be timed in it; everything that is admitted, started
    /// or finished in one poll has the same time. So a handler that is ready at its first poll takes no time. A clock that
    /// goes back counts as one that stands still.
    ///
    /// # Panics
    ///
    /// Panics if the monitor has been cloned or given to a stream before: they would not be timed. Polling a stream panics if
    /// the clock does.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use futures::stream;
    /// use ordered_by_group::Monitor;
    /// use ordered_by_group::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let monitor = Monitor::new().timed(|| tokio::time::Instant::now().into_std());
    /// stream::iter(["a1", "a2", "b1"])
    ///     .ordered_by_group(|item| item.as_bytes()[0], 8)
    ///     .monitor(&monitor)
    ///     .then(|_| tokio::time::sleep(Duration::from_secs(1)))
    ///     .drive(|_| async {})
    ///     .await;
    ///
    /// let snapshot = monitor.snapshot();
    /// assert_eq!(snapshot.in_handler.sum.as_secs(), 3); // each takes a second
    /// assert_eq!(snapshot.in_queue.max.as_secs(), 1); // "a2" has waited for "a1"
    /// # }
    /// ```
    #[must_use]
    #[track_caller]
    pub fn timed(mut self, clock: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        let Some(board) = Arc::get_mut(&mut self.board) else {
            panic!(
                "the monitor has been cloned or given to a stream, which would not be timed: \
                 call `timed` right after `Monitor::new()`"
            );
        };
        board.set_clock(clock);
        self
    }

    /// What the streams are doing.
    ///
    /// It takes about as long as adding up the figures of all streams that have this monitor, and holds up none of them.
    ///
    /// # Panics
    ///
    /// Panics if the clock does.
    ///
    /// ```
    /// use futures::stream;
    /// use ordered_by_group::Monitor;
    /// use ordered_by_group::prelude::*;
    ///
    /// # futures::executor::block_on(async {
    /// let monitor = Monitor::new();
    /// for numbers in [0..10, 10..15] {
    ///     stream::iter(numbers)
    ///         .ordered_by_group(|n| *n, 4)
    ///         .monitor(&monitor)
    ///         .then(|n| async move { n })
    ///         .drive(|_| async {})
    ///         .await;
    /// }
    /// assert_eq!(monitor.snapshot().emitted_total, 15);
    /// # });
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.board.snapshot()
    }

    pub(crate) fn board(&self) -> &Arc<Board> {
        &self.board
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Monitor").field(&self.snapshot()).finish()
    }
}

//! What a monitor shows.

use std::time::Duration;

/// What the streams of a [`Monitor`](crate::Monitor) were doing when each of them went to sleep last: the figures of all of
/// them added up, and the maximum where the field says so.
///
/// [Metrics and alarms](crate::guide::metrics) says what each figure means when it is high, and what to do.
///
/// ```
/// use futures::{FutureExt as _, StreamExt as _, stream};
/// use ordered_by_group::Monitor;
/// use ordered_by_group::prelude::*;
///
/// let monitor = Monitor::new();
/// let mut results = stream::iter(["a1", "a2", "b1"])
///     .ordered_by_group(|item| item.as_bytes()[0], 8)
///     .monitor(&monitor)
///     .then(|_| std::future::pending::<()>());
/// assert!(results.next().now_or_never().is_none());
///
/// let snapshot = monitor.snapshot();
/// assert_eq!((snapshot.running, snapshot.waiting, snapshot.groups), (2, 1, 2));
/// assert_eq!((snapshot.admitted_total, snapshot.emitted_total), (3, 0));
/// ```
#[doc(alias = "gauge")]
#[doc(alias = "metrics")]
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Items whose handlers have started and not finished, as in [`Running::running`](crate::Running::running).
    pub running: usize,
    /// The handlers among them that hold no slot, because of [`without_slot`](crate::without_slot()). A batch has one.
    pub without_slot: usize,
    /// Admitted items that have not started, as in [`Running::waiting`](crate::Running::waiting).
    pub waiting: usize,
    /// Finished items whose results have not been emitted, as in [`Running::finished`](crate::Running::finished).
    pub finished: usize,
    /// Different keys among the unfinished items, as in [`Running::groups`](crate::Running::groups).
    pub groups: usize,
    /// The most items that wait in one group: a maximum, not a sum. With several keys, the most items that wait for earlier
    /// ones with the same key. 0 with a relation, which has no groups.
    pub deepest_group: usize,
    /// Items admitted since the streams began. It never goes down, and neither does any other `_total`.
    pub admitted_total: u64,
    /// Items whose results were emitted. A batch has one result, and counts with all its items.
    pub emitted_total: u64,
    /// Handlers that have failed, a batch being one, and failures of the source. A stream ends at the first one in source order, so it adds few.
    pub failed_total: u64,
    /// How long the oldest unfinished item has been admitted; `None` if there is none. A maximum, not a sum. Only with
    /// [`timed`](crate::Monitor::timed), as all that follows.
    pub oldest_unfinished: Option<Duration>,
    /// How long the items that are finished had waited for their groups and for a slot, after they were admitted.
    pub in_queue: Times,
    /// How long their handlers took, including the time without a slot.
    pub in_handler: Times,
}

/// Durations of many items: their number, sum and maximum.
///
/// Count and sum never go down, so the mean of a period is the difference of the sums divided by that of the counts.
///
/// ```
/// use std::time::Duration;
///
/// use ordered_by_group::Monitor;
///
/// let times = Monitor::new().timed(std::time::Instant::now).snapshot().in_handler;
/// assert_eq!((times.count, times.sum, times.max), (0, Duration::ZERO, Duration::ZERO));
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Times {
    /// How many items.
    pub count: u64,
    /// The sum of their durations.
    pub sum: Duration,
    /// The longest.
    pub max: Duration,
}

impl Snapshot {
    /// What two streams do.
    pub(super) fn add(self, other: &Self) -> Self {
        Self {
            running: self.running + other.running,
            without_slot: self.without_slot + other.without_slot,
            waiting: self.waiting + other.waiting,
            finished: self.finished + other.finished,
            groups: self.groups + other.groups,
            deepest_group: self.deepest_group.max(other.deepest_group),
            oldest_unfinished: self.oldest_unfinished.max(other.oldest_unfinished),
            ..self.add_totals(other)
        }
    }

    /// What has been done by both, and what this one does.
    pub(super) fn add_totals(self, other: &Self) -> Self {
        Self {
            admitted_total: self.admitted_total + other.admitted_total,
            emitted_total: self.emitted_total + other.emitted_total,
            failed_total: self.failed_total + other.failed_total,
            in_queue: self.in_queue.add(other.in_queue),
            in_handler: self.in_handler.add(other.in_handler),
            ..self
        }
    }
}

impl Times {
    fn add(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            sum: self.sum.saturating_add(other.sum),
            max: self.max.max(other.max),
        }
    }
}

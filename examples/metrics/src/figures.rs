//! Which figures of a snapshot are exported, and by which names.

use ordered_by_group::Snapshot;

use self::Kind::{Counter, Gauge};

/// Both exporters put `ordered_by_group` before the name. Prometheus adds the unit if it is seconds, and `_total` to a counter:
/// `ordered_by_group.in_queue` is its `ordered_by_group_in_queue_seconds_total`.
///
/// None has a label. A key would be the worst: each value of a label is a time series of its own, kept for as long as the
/// others.
pub struct Figure {
    pub name: &'static str,
    pub help: &'static str,
    pub kind: Kind,
    /// As OpenTelemetry writes it: what is in braces is a remark.
    pub unit: &'static str,
    pub value: fn(&Snapshot) -> f64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Gauge,
    Counter,
}

/// The maxima of [`Times`](ordered_by_group::Times) are left out: they never go down, so they say nothing of the present.
pub static FIGURES: [Figure; 13] = [
    figure(
        Gauge,
        "running",
        "{handler}",
        "Handlers that have started and not finished",
        |now| now.running as f64,
    ),
    figure(
        Gauge,
        "without_slot",
        "{handler}",
        "Running handlers that hold no slot",
        |now| now.without_slot as f64,
    ),
    figure(
        Gauge,
        "waiting",
        "{item}",
        "Admitted items that have not started",
        |now| now.waiting as f64,
    ),
    figure(
        Gauge,
        "finished",
        "{item}",
        "Finished items whose results have not been emitted",
        |now| now.finished as f64,
    ),
    figure(
        Gauge,
        "groups",
        "{group}",
        "Different keys among the unfinished items",
        |now| now.groups as f64,
    ),
    figure(
        Gauge,
        "deepest_group",
        "{item}",
        "Items that wait in the group with the most of them",
        |now| now.deepest_group as f64,
    ),
    figure(
        Gauge,
        "oldest_unfinished",
        "s",
        "How long ago the oldest unfinished item was admitted, 0 if there is none",
        |now| now.oldest_unfinished.unwrap_or_default().as_secs_f64(),
    ),
    figure(Counter, "admitted", "{item}", "Items admitted", |now| {
        now.admitted_total as f64
    }),
    figure(Counter, "emitted", "{item}", "Results emitted", |now| {
        now.emitted_total as f64
    }),
    figure(
        Counter,
        "failed",
        "{item}",
        "Failures of handlers and of the source",
        |now| now.failed_total as f64,
    ),
    figure(
        Counter,
        "handled",
        "{item}",
        "Items finished, whose times are in the two sums",
        |now| now.in_handler.count as f64,
    ),
    figure(
        Counter,
        "in_queue",
        "s",
        "Sum of the times that finished items had waited for their groups and for a slot",
        |now| now.in_queue.sum.as_secs_f64(),
    ),
    figure(
        Counter,
        "in_handler",
        "s",
        "Sum of the times that handlers took, with those without a slot",
        |now| now.in_handler.sum.as_secs_f64(),
    ),
];

const fn figure(
    kind: Kind,
    name: &'static str,
    unit: &'static str,
    help: &'static str,
    value: fn(&Snapshot) -> f64,
) -> Figure {
    Figure {
        name,
        help,
        kind,
        unit,
        value,
    }
}

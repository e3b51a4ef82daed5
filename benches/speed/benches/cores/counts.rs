//! What explains a time: what the kernel and the runtime count.

use std::ops::Sub;

use tokio::runtime::Runtime;

use crate::threads::Used;

#[derive(Clone, Copy)]
pub struct Counts {
    used: Used,
    /// How often a worker went to sleep, or to look after timers and sockets.
    parks: f64,
    tasks: Tasks,
}

/// Of all tasks of the runtime. Zero if it does not count.
#[derive(Clone, Copy, Default)]
struct Tasks {
    polls: f64,
    /// How often one was put in a queue.
    wakes: f64,
    /// How many a worker took from another.
    steals: f64,
}

impl Counts {
    /// The columns of [`cells`](Self::cells).
    #[cfg(tokio_unstable)]
    pub const HEADINGS: &str = "sleeps / 1,000 | preempted / 1,000 | parks / 1,000 | polls / item | wakes / item | steals / 1,000";
    #[cfg(not(tokio_unstable))]
    pub const HEADINGS: &str = "sleeps / 1,000 | preempted / 1,000 | parks / 1,000";

    pub fn so_far(runtime: &Runtime) -> Self {
        let metrics = runtime.metrics();
        let workers = 0..metrics.num_workers();
        Self {
            used: Used::so_far(|_| true),
            parks: workers.map(|n| metrics.worker_park_count(n) as f64).sum(),
            tasks: Tasks::so_far(runtime),
        }
    }

    /// How long all threads ran, in nanoseconds.
    pub fn cpu(&self) -> f64 {
        self.used.cpu
    }

    /// The cells of a table, given what a figure is an item.
    pub fn cells(per_item: impl Fn(fn(&Self) -> f64) -> f64) -> String {
        let per_1000 = |figure| format!("{:.2}", per_item(figure) * 1_000.0);
        let mut cells = vec![
            per_1000(|this: &Self| this.used.sleeps),
            per_1000(|this| this.used.preemptions),
            per_1000(|this| this.parks),
        ];
        if cfg!(tokio_unstable) {
            cells.push(format!("{:.3}", per_item(|this| this.tasks.polls)));
            cells.push(format!("{:.3}", per_item(|this| this.tasks.wakes)));
            cells.push(per_1000(|this| this.tasks.steals));
        }
        cells.join(" | ")
    }
}

impl Tasks {
    #[cfg(tokio_unstable)]
    fn so_far(runtime: &Runtime) -> Self {
        let metrics = runtime.metrics();
        let mut tasks = Self {
            wakes: metrics.remote_schedule_count() as f64,
            ..Self::default()
        };
        for worker in 0..metrics.num_workers() {
            tasks.polls += metrics.worker_poll_count(worker) as f64;
            tasks.wakes += metrics.worker_local_schedule_count(worker) as f64;
            tasks.steals += metrics.worker_steal_count(worker) as f64;
        }
        tasks
    }

    #[cfg(not(tokio_unstable))]
    fn so_far(_: &Runtime) -> Self {
        Self::default()
    }
}

impl Sub for Counts {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            used: self.used - before.used,
            parks: self.parks - before.parks,
            tasks: Tasks {
                polls: self.tasks.polls - before.tasks.polls,
                wakes: self.tasks.wakes - before.tasks.wakes,
                steals: self.tasks.steals - before.tasks.steals,
            },
        }
    }
}

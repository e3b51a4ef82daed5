//! What explains a time: what the kernel and the runtime count.

use std::ops::Sub;

use tokio::runtime::Runtime;

use crate::threads::Used;

#[derive(Clone, Copy)]
pub struct Counts {
    used: Used,
    tasks: Tasks,
}

/// Of all tasks of the runtime. Zero if it does not count.
#[derive(Clone, Copy, Default)]
struct Tasks {
    /// How often one was put in a queue, and so polled later.
    polls: f64,
    /// How many of these polls came right after whoever woke it, on the same worker.
    at_once: f64,
    /// How many a worker took from another.
    steals: f64,
}

impl Counts {
    /// The columns of [`cells`](Self::cells).
    #[cfg(tokio_unstable)]
    pub const HEADINGS: &str =
        "sleeps / 1,000 | preempted / 1,000 | task polls / item | at once | stolen / item";
    #[cfg(not(tokio_unstable))]
    pub const HEADINGS: &str = "sleeps / 1,000 | preempted / 1,000";

    pub fn so_far(runtime: &Runtime) -> Self {
        Self {
            used: Used::so_far(|_| true),
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
        ];
        if cfg!(tokio_unstable) {
            let figures: [fn(&Self) -> f64; 3] = [
                |this| this.tasks.polls,
                |this| this.tasks.at_once,
                |this| this.tasks.steals,
            ];
            cells.extend(figures.map(|figure| format!("{:.2}", per_item(figure))));
        }
        cells.join(" | ")
    }
}

impl Tasks {
    #[cfg(tokio_unstable)]
    fn so_far(runtime: &Runtime) -> Self {
        let metrics = runtime.metrics();
        let mut tasks = Self {
            polls: metrics.remote_schedule_count() as f64,
            ..Self::default()
        };
        let mut from_queue = 0;
        for worker in 0..metrics.num_workers() {
            tasks.polls += metrics.worker_local_schedule_count(worker) as f64;
            tasks.steals += metrics.worker_steal_count(worker) as f64;
            // It leaves out what comes from the worker's slot for the task that was woken last.
            from_queue += metrics.worker_poll_count(worker);
        }
        tasks.at_once = tasks.polls - from_queue as f64;
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
            tasks: Tasks {
                polls: self.tasks.polls - before.tasks.polls,
                at_once: self.tasks.at_once - before.tasks.at_once,
                steals: self.tasks.steals - before.tasks.steals,
            },
        }
    }
}

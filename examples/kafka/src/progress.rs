//! Shows the progress: which partitions there are, what is done and committed, and what goes wrong.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::error::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::HumanCount;
use ordered_by_group::Monitor;
use ordered_by_group::kafka::rdkafka::error::KafkaError;
use ordered_by_group::kafka::{Observer, Partition};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::results::Results;
use crate::say::say;

const PERIOD: Duration = Duration::from_secs(1);

pub struct Progress {
    monitor: Monitor,
    results: Results,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By number, what is committed of it.
    partitions: BTreeMap<i32, i64>,
    has_changed: bool,
    committed: u64,
    drained: u64,
    fenced: u64,
    last_error: String,
}

impl Progress {
    pub fn new(monitor: Monitor, results: Results) -> Self {
        Self {
            monitor,
            results,
            state: Mutex::default(),
        }
    }

    /// Shows the progress for as long as it is polled.
    pub async fn show(&self) -> Infallible {
        let mut ticks = interval_at(Instant::now() + PERIOD, PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before = (u64::MAX, u64::MAX);
        loop {
            ticks.tick().await;
            let now = self.monitor.snapshot();
            let mut state = self.state();
            if std::mem::take(&mut state.has_changed) {
                say(&format!("partitions {}", list(state.partitions.keys())));
            }
            if before != (now.emitted_total, state.committed) {
                before = (now.emitted_total, state.committed);
                say(&format!(
                    "{} done, {} running, {} waiting, {} committed",
                    HumanCount(now.emitted_total),
                    now.running,
                    HumanCount(now.waiting as u64),
                    HumanCount(state.committed),
                ));
            }
        }
    }

    /// How many messages were committed, how many partitions were drained, and how many ended without.
    pub fn totals(&self) -> (u64, u64, u64) {
        let state = self.state();
        (state.committed, state.drained, state.fenced)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says it once, however often it comes in a row.
    fn say_error(&self, error: String) {
        let mut state = self.state();
        if state.last_error != error {
            say(&error);
            state.last_error = error;
        }
    }
}

impl Observer for Progress {
    fn assigned(&self, partition: &Partition, next: Option<i64>) {
        let mut state = self.state();
        state
            .partitions
            .insert(partition.number(), next.unwrap_or(0));
        state.has_changed = true;
    }

    fn drained(&self, _: &Partition, _: Duration) {
        self.state().drained += 1;
    }

    fn fenced(&self, partition: &Partition, in_flight: usize) {
        self.state().fenced += 1;
        say(&format!(
            "partition {} lost, or not drained in time: {in_flight} dropped",
            partition.number()
        ));
    }

    fn given_up(&self, partition: &Partition) {
        self.results.give_up(partition);
        let mut state = self.state();
        state.partitions.remove(&partition.number());
        state.has_changed = true;
    }

    fn committed(&self, partition: &Partition, next: i64) {
        let mut state = self.state();
        let before = state.partitions.insert(partition.number(), next);
        state.committed += (next - before.unwrap_or(next)).unsigned_abs();
    }

    fn commit_refused(&self, error: &(dyn Error + 'static)) {
        self.say_error(format!("a commit was refused and is tried again: {error}"));
    }

    fn error(&self, error: &KafkaError) {
        self.say_error(format!("{error}"));
    }
}

fn list<'a>(numbers: impl Iterator<Item = &'a i32>) -> String {
    let numbers: Vec<_> = numbers.map(i32::to_string).collect();
    match numbers.is_empty() {
        true => "none".to_owned(),
        false => numbers.join(" "),
    }
}

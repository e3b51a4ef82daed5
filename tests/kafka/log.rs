//! An observer that writes down what it is told.

use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ordered_by_group::kafka::rdkafka::error::KafkaError;
use ordered_by_group::kafka::{Observer, Partition};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::cluster::LONG;

#[derive(Default)]
pub struct Log {
    lines: Mutex<Vec<String>>,
    more: Notify,
}

impl Log {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    fn add(&self, line: String) {
        self.lines.lock().unwrap().push(line);
        self.more.notify_waiters();
    }

    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// What it was told of a partition.
    pub fn lines_of(&self, partition: &str) -> Vec<String> {
        let mut lines = self.lines();
        lines.retain(|line| line.contains(partition));
        lines
    }

    pub fn count(&self, start: &str) -> usize {
        let lines = self.lines.lock().unwrap();
        lines.iter().filter(|line| line.starts_with(start)).count()
    }

    /// Waits until a line begins so.
    pub async fn until(&self, start: &str) {
        self.until_count(start, 1).await;
    }

    pub async fn until_count(&self, start: &str, count: usize) {
        let all = timeout(LONG, async {
            loop {
                let more = self.more.notified();
                let mut more = std::pin::pin!(more);
                more.as_mut().enable();
                if self.count(start) >= count {
                    return;
                }
                more.await;
            }
        });
        if all.await.is_err() {
            panic!("{start:?} not seen {count} times: {:#?}", self.lines());
        }
    }
}

impl Observer for Log {
    fn assigned(&self, partition: &Partition, next: Option<i64>) {
        match next {
            Some(next) => self.add(format!("assigned {partition} at {next}")),
            None => self.add(format!("assigned {partition}")),
        }
    }

    fn draining(&self, partition: &Partition, in_flight: usize) {
        self.add(format!("draining {partition} with {in_flight}"));
    }

    fn drained(&self, partition: &Partition, _took: Duration) {
        self.add(format!("drained {partition}"));
    }

    fn fenced(&self, partition: &Partition, in_flight: usize) {
        self.add(format!("fenced {partition} with {in_flight}"));
    }

    fn given_up(&self, partition: &Partition) {
        self.add(format!("given up {partition}"));
    }

    fn committed(&self, partition: &Partition, next: i64) {
        self.add(format!("committed {partition} at {next}"));
    }

    fn commit_refused(&self, error: &(dyn Error + 'static)) {
        self.add(format!("refused {error}"));
    }

    fn paused(&self, partition: &Partition) {
        self.add(format!("paused {partition}"));
    }

    fn resumed(&self, partition: &Partition) {
        self.add(format!("resumed {partition}"));
    }

    fn stalled(&self, partition: &Partition, left: usize) {
        self.add(format!("stalled {partition} by {left}"));
    }

    fn went_back(&self, partition: &Partition, offset: i64) {
        self.add(format!("went back {partition} to {offset}"));
    }

    fn error(&self, error: &KafkaError) {
        self.add(format!("error {error}"));
    }
}

//! Positions: what the broker says that a group has committed, asked by one who is no member of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result};
use kafka_judge::event::{Position, What};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::journal::Journal;

const EVERY: Duration = Duration::from_millis(100);
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// What is committed: by partition, the next offset and the text that was committed with it.
pub type Committed = BTreeMap<i32, (i64, String)>;

/// A thread that asks, and writes down what has changed.
#[derive(Debug)]
pub(super) struct Watch {
    committed: Arc<Mutex<Committed>>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Watch {
    pub(super) fn start(
        brokers: &str,
        topic: &str,
        partitions: u32,
        journal: &Path,
    ) -> Result<Self> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("group.id", topic)
            .create()?;
        let mut list = TopicPartitionList::new();
        list.add_partition_range(topic, 0, i32::try_from(partitions)? - 1);
        let committed = Arc::<Mutex<Committed>>::default();
        let (stop, stopped) = channel();
        let watcher = Watcher {
            consumer,
            list,
            journal: Journal::open(journal)?,
            committed: Arc::clone(&committed),
            stopped,
        };
        Ok(Self {
            committed,
            stop: Some(stop),
            thread: Some(thread::spawn(move || watcher.watch())),
        })
    }

    pub(super) fn committed(&self) -> Committed {
        let committed = self.committed.lock();
        committed.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks once more, and fails if the broker does not answer then.
    pub(super) fn stop(&mut self) -> Result<()> {
        self.stop = None;
        let thread = self.thread.take().context("it has stopped")?;
        let ended = thread.join();
        ended.map_err(|_| anyhow::anyhow!("it has panicked"))?
    }
}

struct Watcher {
    consumer: BaseConsumer,
    list: TopicPartitionList,
    journal: Journal,
    committed: Arc<Mutex<Committed>>,
    stopped: Receiver<()>,
}

impl Watcher {
    fn watch(self) -> Result<()> {
        loop {
            let stopped = self.stopped.recv_timeout(EVERY);
            let answer = self.ask();
            if stopped == Err(RecvTimeoutError::Disconnected) {
                return answer.context("the committed positions are not known");
            }
            // A broker that is away answers later.
        }
    }

    fn ask(&self) -> Result<()> {
        let list = self.list.clone();
        let answer = self.consumer.committed_offsets(list, ANSWERS_WITHIN)?;
        for element in answer.elements() {
            let Offset::Offset(next) = element.offset() else {
                continue; // never committed, or an error of this partition
            };
            element.error()?;
            let partition = element.partition();
            let new = (next, element.metadata().to_owned());
            let mut committed = self
                .committed
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let old = committed.insert(partition, new);
            if old.is_none_or(|(old, _)| old != next) {
                self.journal.write(What::Position(Position {
                    topic: element.topic().to_owned(),
                    partition,
                    next,
                }));
            }
        }
        Ok(())
    }
}

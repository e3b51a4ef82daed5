//! Results: what was handled and is not committed yet, in the order in which it was done.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ordered_by_group::kafka::Partition;
use ordered_by_group::kafka::rdkafka::{Offset, TopicPartitionList};
use ordered_by_group::positions::{Done, Position};

use crate::decode::Purchase;

#[derive(Clone, Default)]
pub struct Results(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    next: u64,
    by_number: BTreeMap<u64, ResultOf>,
}

/// The result of one purchase.
#[derive(Clone)]
pub struct ResultOf {
    pub position: Position<Partition>,
    pub purchase: Purchase,
}

/// Results that a commit covers.
pub struct Covered(Vec<(u64, ResultOf)>);

impl Results {
    /// To be called before the position is settled: then a commit that covers it finds the result here.
    pub fn push(&self, position: Position<Partition>, purchase: Purchase) {
        let mut kept = self.kept();
        let number = kept.next;
        kept.next += 1;
        let result = ResultOf { position, purchase };
        kept.by_number.insert(number, result);
    }

    pub fn covered(&self, offsets: &TopicPartitionList) -> Covered {
        let covers = Covers::of(offsets);
        let kept = self.kept();
        let covered = kept.by_number.iter().filter(|(_, result)| {
            let partition = result.position.partition();
            let cover = covers.get(partition.topic(), partition.number());
            cover.is_some_and(|cover| cover.contains(result.position.offset()))
        });
        Covered(covered.map(|(&number, it)| (number, it.clone())).collect())
    }

    /// They are committed.
    pub fn remove(&self, covered: &Covered) {
        let mut kept = self.kept();
        for (number, _) in &covered.0 {
            kept.by_number.remove(number);
        }
    }

    /// What was not committed is done again by the next owner of the partition.
    pub fn give_up(&self, partition: &Partition) {
        self.kept()
            .by_number
            .retain(|_, result| result.position.partition() != partition);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Covered {
    pub fn iter(&self) -> impl Iterator<Item = &ResultOf> {
        self.0.iter().map(|(_, result)| result)
    }
}

/// What the offsets to commit say is done.
struct Covers(BTreeMap<(String, i32), Cover>);

struct Cover {
    next: i64,
    past_it: Option<Done>,
}

impl Covers {
    fn of(offsets: &TopicPartitionList) -> Self {
        let mut covers = BTreeMap::new();
        for partition in offsets.elements() {
            let Offset::Offset(next) = partition.offset() else {
                continue;
            };
            let past_it = Done::decode(next, partition.metadata());
            let name = (partition.topic().to_owned(), partition.partition());
            covers.insert(name, Cover { next, past_it });
        }
        Self(covers)
    }

    fn get(&self, topic: &str, number: i32) -> Option<&Cover> {
        self.0.get(&(topic.to_owned(), number))
    }
}

impl Cover {
    fn contains(&self, offset: i64) -> bool {
        let is_past_it = |done: &Done| done.contains(offset);
        offset < self.next || self.past_it.as_ref().is_some_and(is_past_it)
    }
}

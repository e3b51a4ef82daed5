//! Partition: which partition of which topic, under which lease.

use std::fmt;
use std::hash::{BuildHasher as _, Hash, Hasher};
use std::sync::{Arc, OnceLock};

use foldhash::quality::RandomState;

/// A partition of a topic, from the moment it is assigned to this consumer to the moment it is given up.
///
/// If a partition is given up and later comes back, that is another `Partition`: two of them are equal if their
/// [`epoch`](Self::epoch) is. So an old one does not hold back the new one in
/// [`partitions`](crate::TryOrdered::partitions).
///
/// ```
/// # fn example(message: ordered_by_group::kafka::Message<'_>) {
/// let partition = message.partition();
/// println!("{partition}"); // orders [3]
/// assert_eq!(partition.topic(), "orders");
/// assert_eq!(partition.number(), 3);
/// # }
/// ```
#[derive(Clone)]
pub struct Partition {
    topic: Arc<str>,
    number: i32,
    epoch: u64,
    /// The hash of topic and number, which is part of that of each message.
    hash: u64,
}

impl Partition {
    pub(super) fn new(topic: Arc<str>, number: i32, epoch: u64) -> Self {
        let hash = hash_state().hash_one((&*topic, number));
        Self {
            topic,
            number,
            epoch,
            hash,
        }
    }

    /// The hash of a message, by its key or, without one, its offset. It does not depend on the epoch.
    pub(super) fn hash_message(&self, key: Option<&[u8]>, offset: i64) -> u64 {
        let mut hasher = hash_state().build_hasher();
        hasher.write_u64(self.hash);
        match key {
            Some(key) => hasher.write(key),
            None => hasher.write_i64(offset),
        }
        hasher.finish()
    }

    /// Returns the name of the topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Returns the number of the partition in its topic: 0, 1, 2, …
    pub fn number(&self) -> i32 {
        self.number
    }

    /// Returns the [number of the lease](crate::positions::Lease::epoch). It rises with each assignment, and no other
    /// assignment of this process has it.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(super) fn shared_topic(&self) -> &Arc<str> {
        &self.topic
    }
}

/// One for all messages of the process.
fn hash_state() -> &'static RandomState {
    static STATE: OnceLock<RandomState> = OnceLock::new();
    STATE.get_or_init(RandomState::default)
}

impl PartialEq for Partition {
    fn eq(&self, other: &Self) -> bool {
        self.epoch == other.epoch
    }
}

impl Eq for Partition {}

impl Hash for Partition {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.epoch.hash(state);
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.topic, self.number)
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Partition")
            .field("topic", &self.topic)
            .field("number", &self.number)
            .field("epoch", &self.epoch)
            .finish()
    }
}

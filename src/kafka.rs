//! A consumer of Kafka: in order within a group, across rebalances and restarts (feature `rdkafka`).

mod batch;
mod blocking;
mod callbacks;
mod commit_by;
mod config;
mod consumer;
mod driver;
mod error;
mod inner;
mod message;
mod messages;
mod observer;
mod partition;
mod race;
mod settings;
mod shared;
mod start;
mod table;
mod work;

pub use self::commit_by::{CommitBy, CommitWith};
pub use self::consumer::Kafka;
pub use self::driver::Driver;
pub use self::error::Error;
pub use self::message::Message;
pub use self::messages::Messages;
pub use self::observer::Observer;
pub use self::partition::Partition;
pub use self::settings::Settings;
pub use rdkafka;

//! The consumer of Kafka, against the mock cluster of librdkafka.
//!
//! The mock cluster refuses commits while members join (`REBALANCE_IN_PROGRESS`), and lets a group wait three seconds for its
//! first member. So what is tested with several members needs a real broker, and most tests here assign their partitions
//! themselves.

mod cluster;
mod commits;
mod context;
mod ends;
mod groups;
mod log;
mod pattern;
mod pauses;
mod reading;
mod run;
mod service;
mod settings;

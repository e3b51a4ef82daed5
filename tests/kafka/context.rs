//! A context of a user, which writes down how it is called.

use std::sync::{Arc, Mutex};

use ordered_by_group::kafka::rdkafka::config::RDKafkaLogLevel;
use ordered_by_group::kafka::rdkafka::consumer::ConsumerContext;
use ordered_by_group::kafka::rdkafka::error::{KafkaError, KafkaResult};
use ordered_by_group::kafka::rdkafka::{ClientContext, Statistics, TopicPartitionList};

#[derive(Clone, Default)]
pub struct Context {
    pub log: Arc<Mutex<Vec<String>>>,
    pub calls: Arc<Mutex<Vec<String>>>,
}

impl Context {
    fn call(&self, call: String) {
        self.calls.lock().unwrap().push(call);
    }
}

impl ClientContext for Context {
    fn log(&self, _level: RDKafkaLogLevel, _facility: &str, line: &str) {
        self.log.lock().unwrap().push(line.to_owned());
    }

    fn stats(&self, statistics: Statistics) {
        self.call(format!("stats of {}", statistics.client_type));
    }

    fn error(&self, error: KafkaError, _reason: &str) {
        self.call(format!("error {error}"));
    }
}

impl ConsumerContext for Context {
    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        self.call(format!("commit {result:?} of {}", offsets.count()));
    }
}

//! A mock cluster in this process, and what it holds.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use ordered_by_group::kafka::rdkafka::consumer::{BaseConsumer, Consumer as _};
use ordered_by_group::kafka::rdkafka::message::{Header, OwnedHeaders};
use ordered_by_group::kafka::rdkafka::mocking::MockCluster;
use ordered_by_group::kafka::rdkafka::producer::{
    DefaultProducerContext, FutureProducer, FutureRecord,
};
use ordered_by_group::kafka::rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use ordered_by_group::kafka::rdkafka::{ClientConfig, Offset, TopicPartitionList};

pub const LONG: Duration = Duration::from_secs(20);

pub struct Cluster {
    pub mock: MockCluster<'static, DefaultProducerContext>,
    producer: FutureProducer,
}

impl Cluster {
    pub fn new(topics: &[(&str, i32)]) -> Self {
        let mock = MockCluster::new(1).unwrap();
        for (topic, partitions) in topics {
            mock.create_topic(topic, *partitions, 1).unwrap();
        }
        let producer = ClientConfig::new()
            .set("bootstrap.servers", mock.bootstrap_servers())
            .set("linger.ms", "0")
            .create()
            .unwrap();
        Self { mock, producer }
    }

    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.mock.bootstrap_servers())
            .set("group.id", "group")
            .set("auto.offset.reset", "earliest")
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "200")
            .set("fetch.wait.max.ms", "20")
            .set("reconnect.backoff.max.ms", "100");
        config
    }

    /// Writes messages to a partition. A key of `None` is a message without one; the payload is the number in the list.
    pub async fn produce(&self, topic: &str, partition: i32, keys: &[Option<&str>]) {
        let payloads: Vec<_> = (0..keys.len()).map(|number| number.to_string()).collect();
        let mut written = Vec::new();
        for (key, payload) in keys.iter().zip(&payloads) {
            let record = FutureRecord::<str, str>::to(topic).partition(partition);
            let record = match key {
                Some(key) => record.key(*key),
                None => record,
            };
            let delivery = self.producer.send_result(record.payload(payload));
            written.push(delivery.map_err(|(error, _)| error).unwrap());
        }
        for delivery in written {
            delivery.await.unwrap().unwrap();
        }
    }

    /// Writes so many messages, each with a key of its own.
    pub async fn produce_distinct(&self, topic: &str, partition: i32, count: usize) {
        let keys: Vec<_> = (0..count).map(|number| format!("key {number}")).collect();
        let keys: Vec<_> = keys.iter().map(|key| Some(key.as_str())).collect();
        self.produce(topic, partition, &keys).await;
    }

    /// Writes a message with a key and a header, and without a payload.
    pub async fn produce_tombstone(
        &self,
        topic: &str,
        partition: i32,
        key: &str,
        (name, value): (&str, &str),
    ) {
        let header = Header {
            key: name,
            value: Some(value),
        };
        let record = FutureRecord::<str, str>::to(topic)
            .partition(partition)
            .key(key)
            .headers(OwnedHeaders::new().insert(header));
        let delivery = self.producer.send_result(record);
        let delivery = delivery.map_err(|(error, _)| error).unwrap();
        delivery.await.unwrap().unwrap();
    }

    fn plain_consumer(&self) -> BaseConsumer {
        self.config()
            .set("enable.auto.commit", "false")
            .create()
            .unwrap()
    }

    /// What the group has committed for a partition, with its metadata.
    pub fn committed(&self, topic: &str, partition: i32) -> (Option<i64>, String) {
        let list = self
            .plain_consumer()
            .committed_offsets(partitions(&[(topic, partition)]), LONG)
            .unwrap();
        let elements = list.elements();
        match elements[0].offset() {
            Offset::Offset(next) => (Some(next), elements[0].metadata().to_owned()),
            _ => (None, String::new()),
        }
    }

    /// Commits as another program would: by the protocol, with any bytes as metadata.
    pub fn commit_foreign(&self, topic: &str, partition: i32, next: i64, metadata: &[u8]) {
        let string = |bytes: &[u8]| [&(bytes.len() as i16).to_be_bytes(), bytes].concat();
        let request = [
            &8_i16.to_be_bytes()[..], // OffsetCommit
            &2_i16.to_be_bytes(),
            &1_i32.to_be_bytes(),
            &string(b"foreign"),
            &string(b"group"),
            &(-1_i32).to_be_bytes(), // no generation
            &string(b""),            // no member
            &(-1_i64).to_be_bytes(), // retention
            &1_i32.to_be_bytes(),    // one topic
            &string(topic.as_bytes()),
            &1_i32.to_be_bytes(), // one partition
            &partition.to_be_bytes(),
            &next.to_be_bytes(),
            &string(metadata),
        ]
        .concat();
        let servers = self.mock.bootstrap_servers();
        let mut stream = TcpStream::connect(servers.split(',').next().unwrap()).unwrap();
        stream
            .write_all(&(request.len() as i32).to_be_bytes())
            .unwrap();
        stream.write_all(&request).unwrap();
        let mut length = [0; 4];
        stream.read_exact(&mut length).unwrap();
        let mut response = vec![0; i32::from_be_bytes(length) as usize];
        stream.read_exact(&mut response).unwrap();
        assert_eq!(response[response.len() - 2..], [0, 0], "refused");
    }

    /// The broker refuses so many of the next commits.
    pub fn refuse_commits(&self, count: usize, error: RDKafkaRespErr) {
        let errors = vec![error; count];
        self.mock
            .request_errors(RDKafkaApiKey::OffsetCommit, &errors);
    }
}

pub fn partitions(partitions: &[(&str, i32)]) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (topic, partition) in partitions {
        list.add_partition(topic, *partition);
    }
    list
}

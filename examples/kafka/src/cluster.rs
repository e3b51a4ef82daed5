//! The cluster: a real one, or a mock in this process.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use ordered_by_group::kafka::rdkafka::ClientConfig;
use ordered_by_group::kafka::rdkafka::admin::{
    AdminClient, AdminOptions, NewTopic, TopicReplication,
};
use ordered_by_group::kafka::rdkafka::consumer::{BaseConsumer, Consumer as _};
use ordered_by_group::kafka::rdkafka::error::{KafkaError, RDKafkaErrorCode};
use ordered_by_group::kafka::rdkafka::mocking::MockCluster;
use ordered_by_group::kafka::rdkafka::producer::DefaultProducerContext;
use ordered_by_group::kafka::rdkafka::types::RDKafkaRespErr;

use crate::args::Args;
use crate::quiet::Quiet;
use crate::refused::Refused;

const PARTITIONS: i32 = 8;
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

pub struct Cluster {
    brokers: String,
    properties: Vec<(String, String)>,
    mock: Option<MockCluster<'static, DefaultProducerContext>>,
}

impl Cluster {
    pub fn of(args: &Args) -> Result<Self> {
        if let Some(brokers) = &args.brokers {
            return Ok(Self {
                brokers: brokers.clone(),
                properties: args.set.clone(),
                mock: None,
            });
        }
        let mock = MockCluster::new(1)?;
        for topic in args.topics() {
            mock.create_topic(topic, PARTITIONS, 1)?;
        }
        Ok(Self {
            brokers: mock.bootstrap_servers(),
            properties: Vec::new(),
            mock: Some(mock),
        })
    }

    pub fn is_mock(&self) -> bool {
        self.mock.is_some()
    }

    /// What every client of it is configured with.
    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config
    }

    /// Refuses brokers that do not answer, credentials that they do not take, and topics that do not exist.
    pub async fn check(&self, topics: &[&str]) -> Result<()> {
        if let Some(topic) = self.missing(topics).await?.first() {
            return Err(refused(format!(
                "there is no topic {topic} at {}; create it, or publish to it with --publish",
                self.brokers
            )));
        }
        Ok(())
    }

    pub async fn create_missing(&self, topics: &[&str]) -> Result<()> {
        let missing = self.missing(topics).await?;
        let admin: AdminClient<_> = self
            .config()
            .create_with_context(Quiet::default())
            .map_err(|error| property(&error))?;
        // -1: as many copies as the cluster has by default.
        let new = missing
            .iter()
            .map(|topic| NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(-1)));
        let new: Vec<_> = new.collect();
        if new.is_empty() {
            return Ok(());
        }
        for created in admin.create_topics(&new, &AdminOptions::new()).await? {
            created.map_err(|(topic, code)| {
                refused(format!(
                    "the topic {topic} cannot be created: {code}; create it, or name another"
                ))
            })?;
        }
        Ok(())
    }

    async fn missing(&self, topics: &[&str]) -> Result<Vec<String>> {
        let quiet = Quiet::default();
        let mut config = self.config();
        config.set("group.id", "none");
        let client: BaseConsumer<_> = config
            .create_with_context(quiet.clone())
            .map_err(|error| property(&error))?;
        let topics: Vec<_> = topics.iter().map(|&topic| topic.to_owned()).collect();
        let brokers = self.brokers.clone();
        tokio::task::spawn_blocking(move || {
            let mut missing = Vec::new();
            for topic in topics {
                if !exists(&client, &topic, &quiet, &brokers)? {
                    missing.push(topic);
                }
            }
            Ok(missing)
        })
        .await?
    }
}

fn exists(client: &BaseConsumer<Quiet>, topic: &str, quiet: &Quiet, brokers: &str) -> Result<bool> {
    let deadline = Instant::now() + ANSWERS_WITHIN;
    loop {
        let answer = client.fetch_metadata(Some(topic), Duration::from_millis(500));
        while client.poll(Duration::ZERO).is_some() {}
        if let Some(reason) = quiet.refusal() {
            return Err(refused(format!(
                "{brokers} refuses the credentials: {reason}; give the right ones with --set, such as --set sasl.username=.."
            )));
        }
        let error = match answer {
            Ok(metadata) => match metadata.topics().first().and_then(|topic| topic.error()) {
                None => return Ok(true),
                Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) => return Ok(false),
                Some(error) => RDKafkaErrorCode::from(error),
            },
            Err(error) => error
                .rdkafka_error_code()
                .ok_or_else(|| anyhow!("the topic {topic} cannot be looked up: {error}"))?,
        };
        match error {
            RDKafkaErrorCode::LeaderNotAvailable => {}
            RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::InvalidTopic => {
                return Err(refused(format!(
                    "the topic {topic} cannot be used: {error}; name another, or ask for access"
                )));
            }
            _ if Instant::now() >= deadline => {
                return Err(refused(format!(
                    "no broker answers at {brokers}; check --brokers, and that one is running there"
                )));
            }
            _ => {}
        }
    }
}

/// A client that cannot be created, because of a property.
pub fn property(error: &KafkaError) -> anyhow::Error {
    refused(format!("{error}; correct or remove it from --set"))
}

fn refused(reason: String) -> anyhow::Error {
    Refused(reason).into()
}

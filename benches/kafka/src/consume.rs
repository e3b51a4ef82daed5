//! Consumers: each handles all records of a topic, and says how many seconds that took.

use std::time::Instant;

use futures::{StreamExt as _, TryStreamExt as _};
use ordered_by_group::kafka::{Error, Kafka, Message, Settings};
use ordered_by_group::prelude::*;
use rdkafka::consumer::{CommitMode, Consumer as _, DefaultConsumerContext, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::{ClientConfig, Message as _};

use crate::checks::Checks;
use crate::contender::Contender;
use crate::measure::Failure;
use crate::outputs::Acknowledged;
use crate::workload::Workload;

pub struct Consumer<'a> {
    pub config: &'a ClientConfig,
    pub topic: &'a str,
    pub workload: &'a Workload,
    pub checks: &'a Checks,
    /// Where the handlers write, if they do.
    pub outputs: Option<Acknowledged>,
}

struct Record<'a> {
    partition: i32,
    offset: i64,
    key: &'a [u8],
    payload: &'a [u8],
}

impl Consumer<'_> {
    pub async fn floor(&self) -> Result<f64, Failure> {
        let start = Instant::now();
        let consumer: StreamConsumer = self.config.create()?;
        consumer.subscribe(&[self.topic])?;
        {
            let handled = consumer
                .stream()
                .map_ok(|message| async move { self.handle(Record::of(&message)).await })
                .try_buffer_unordered(self.workload.in_flight);
            let mut handled = std::pin::pin!(handled);
            while self.checks.handled() < self.workload.records.count {
                handled.next().await.ok_or("the stream has ended")??;
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        consumer.commit_consumer_state(CommitMode::Sync)?;
        consumer.unsubscribe();
        drop(consumer);
        Ok(seconds)
    }

    pub async fn ours(&self, contender: Contender) -> Result<f64, Failure> {
        let start = Instant::now();
        let (context, settings) = (DefaultConsumerContext, self.settings());
        let (kafka, driver) = Kafka::subscribe(self.config, &[self.topic], context, settings)?;
        let driver = tokio::spawn(driver);
        let ordered = kafka
            .messages()
            .try_ordered_by_group(|message| message.group(), self.workload.in_flight)
            .offsets(|message| message.position())
            .partitions(|message| message.partition());
        let (mut settled, mut seconds) = (0, 0.0);
        let mut count = || {
            settled += 1;
            if settled == self.workload.records.count {
                seconds = start.elapsed().as_secs_f64();
                kafka.stop();
            }
        };
        match contender {
            Contender::Source => {
                ordered
                    .and_then(|message| async move { self.handle_in_lease(&message).await })
                    .try_drive(|(outcome, position)| {
                        position.settle(outcome.is_some());
                        count();
                        async { Ok(()) }
                    })
                    .await?;
            }
            _ => {
                ordered
                    .and_then_unordered(
                        |message| async move { self.handle_in_lease(&message).await },
                    )
                    .try_drive(|(outcome, position)| {
                        position.offset().settle(outcome.is_some());
                        count();
                        async { Ok(()) }
                    })
                    .await?;
            }
        }
        kafka.close().await?;
        driver.await??;
        Ok(seconds)
    }

    pub fn settings(&self) -> Settings {
        let settings = Settings::default();
        match self.workload.of_a_partition {
            Some(max) => settings.in_flight(max),
            None => settings,
        }
    }

    pub async fn handle_in_lease(&self, message: &Message<'_>) -> Result<Option<()>, Error> {
        let position = message.position();
        let record = Record {
            partition: position.partition().number(),
            offset: message.offset(),
            key: message.key().unwrap_or_default(),
            payload: message.payload().unwrap_or_default(),
        };
        let handled = position.run(|| self.handle(record)).await;
        handled.transpose().map_err(Error::Fatal)
    }

    async fn handle(&self, record: Record<'_>) -> Result<(), KafkaError> {
        let Record {
            partition,
            offset,
            key,
            payload,
        } = record;
        let began = self.checks.begin(partition, offset, key, payload);
        self.workload.cost.pay(partition, offset).await;
        if let Some(outputs) = &self.outputs {
            outputs.write(partition, key, payload).await?;
        }
        self.checks.end(key, began);
        Ok(())
    }
}

impl<'a> Record<'a> {
    fn of(message: &'a BorrowedMessage<'_>) -> Self {
        Self {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().unwrap_or_default(),
            payload: message.payload().unwrap_or_default(),
        }
    }
}

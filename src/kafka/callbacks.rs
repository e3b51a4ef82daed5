//! Callbacks: the context of the consumer, around that of the user.

use std::error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::util::Timeout;
use rdkafka::{ClientContext, Statistics, TopicPartitionList};
use tokio::runtime::Handle;
use tokio::time::sleep;

use crate::kafka::Error;
use crate::kafka::shared::{DriverState, Phase, Rebalance, Shared};

/// How long the driver may take to start.
pub(super) const DRIVER_WITHIN: Duration = Duration::from_secs(1);

/// Calls through to the user's context, but for rebalances. Those are left to the driver: librdkafka waits for its answer,
/// and meanwhile reads nothing.
pub(super) struct Callbacks<C> {
    user: C,
    shared: Arc<Shared>,
}

impl<C> Callbacks<C> {
    pub(super) fn new(user: C, shared: Arc<Shared>) -> Self {
        Self { user, shared }
    }

    pub(super) fn user(&self) -> &C {
        &self.user
    }
}

impl<C: ConsumerContext> Callbacks<C> {
    fn assign(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let driver = {
            let mut state = self.shared.lock();
            if state.phase < Phase::Closed && state.driver != DriverState::Gone {
                let list = list.clone();
                state.rebalances.push_back(Rebalance::Assign(list));
                Some(state.driver)
            } else {
                None
            }
        };
        match driver {
            Some(DriverState::New) => self.expect_driver(),
            Some(_) => self.shared.notify_driver(),
            None => self.answered(answer_assign(consumer, &TopicPartitionList::new())),
        }
    }

    /// Fails if nobody runs the driver, which is to answer. It may have been spawned a moment ago.
    fn expect_driver(&self) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let shared = Arc::clone(&self.shared);
        runtime.spawn(async move {
            sleep(DRIVER_WITHIN).await;
            let driver = shared.lock().driver;
            if driver == DriverState::New {
                shared.fail(Error::DriverNotStarted);
            }
        });
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let is_lost = consumer.assignment_lost();
        let (leases, is_deferred) = {
            let mut state = self.shared.lock();
            let can_wait = state.phase < Phase::Closed && state.driver == DriverState::Running;
            let is_deferred = can_wait && !is_lost;
            if is_deferred {
                state.rebalances.push_back(Rebalance::Revoke {
                    list: list.clone(),
                    since: Instant::now(),
                });
            }
            (state.table.leases_in(list), is_deferred)
        };
        if is_deferred {
            self.shared.drain(&leases);
            self.shared.notify_driver();
            return;
        }
        for lease in &leases {
            self.shared.fence(lease);
        }
        self.shared.give_up(&leases);
        self.answered(answer_revoke(consumer, list));
    }

    fn answered(&self, answer: KafkaResult<()>) {
        if let Err(error) = answer {
            self.shared.take_error(error);
        }
    }
}

/// Tells librdkafka that an assignment begins.
pub(super) fn answer_assign<X: ConsumerContext>(
    consumer: &impl Consumer<X>,
    list: &TopicPartitionList,
) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_assign(list),
        _ => consumer.assign(list),
    }
}

/// Tells librdkafka that partitions are given up.
pub(super) fn answer_revoke<X: ConsumerContext>(
    consumer: &impl Consumer<X>,
    list: &TopicPartitionList,
) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
        _ => consumer.unassign(),
    }
}

impl<C: ConsumerContext> ClientContext for Callbacks<C> {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = C::ENABLE_REFRESH_OAUTH_TOKEN;

    fn log(&self, level: RDKafkaLogLevel, fac: &str, log_message: &str) {
        self.user.log(level, fac, log_message);
    }

    fn stats(&self, statistics: Statistics) {
        self.user.stats(statistics);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.user.stats_raw(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.user.error(error, reason);
    }

    fn generate_oauth_token(
        &self,
        config: Option<&str>,
    ) -> Result<OAuthToken, Box<dyn error::Error>> {
        self.user.generate_oauth_token(config)
    }
}

impl<C: ConsumerContext> ConsumerContext for Callbacks<C> {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        kind: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        match kind {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, list),
            _ => self.revoke(consumer, list),
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        if let Err(error) = &result {
            self.shared.observer.commit_refused(error);
        }
        self.user.commit_callback(result, offsets);
    }

    fn main_queue_min_poll_interval(&self) -> Timeout {
        self.user.main_queue_min_poll_interval()
    }
}

//! Quiet: a context that keeps librdkafka's log off the terminal. Errors are told through the observer instead.

use std::sync::{Arc, Mutex, PoisonError};

use ordered_by_group::kafka::rdkafka::ClientContext;
use ordered_by_group::kafka::rdkafka::config::RDKafkaLogLevel;
use ordered_by_group::kafka::rdkafka::consumer::ConsumerContext;
use ordered_by_group::kafka::rdkafka::error::{KafkaError, RDKafkaErrorCode};
use ordered_by_group::kafka::rdkafka::producer::{DeliveryResult, ProducerContext};

/// Remembers why the brokers refuse it, if they do.
#[derive(Clone, Default)]
pub struct Quiet(Arc<Mutex<Option<String>>>);

impl Quiet {
    pub fn refusal(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl ClientContext for Quiet {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        if matches!(
            code,
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed)
        ) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        }
    }
}

impl ConsumerContext for Quiet {}

impl ProducerContext for Quiet {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

//! The handler: attempts, back-off and breaker, and what happens to a delivery that is given up.

use std::cell::Cell;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use backon::{ExponentialBuilder, Retryable as _};
use ordered_by_group::without_slot;
use tokio::time::sleep;

use crate::args::{Args, OnFailure};
use crate::breaker::Breaker;
use crate::client::{Client, Failure};
use crate::delivery::{Delivery, Outcome};
use crate::gauge::Gauge;

/// Three retries: after 50, 100 and 200 ms, and up to as much again.
const BACK_OFF: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(50))
    .with_factor(2.0)
    .with_max_times(3)
    .with_jitter();

pub struct Courier<'a> {
    client: Client,
    /// One for each endpoint.
    breakers: Vec<Breaker>,
    on_failure: OnFailure,
    hold_slots: bool,
    gauge: &'a Gauge,
}

impl<'a> Courier<'a> {
    pub fn new(args: &Args, url: &str, gauge: &'a Gauge) -> Result<Self> {
        Ok(Self {
            client: Client::new(url)?,
            breakers: (0..args.endpoints).map(|_| Breaker::default()).collect(),
            on_failure: args.on_failure,
            hold_slots: args.hold_slots,
            gauge,
        })
    }

    pub async fn deliver(&self, delivery: Delivery) -> Result<Outcome> {
        let hold_slots = self.hold_slots;
        let attempts = Cell::new(0);
        let attempt = || {
            attempts.set(attempts.get() + 1);
            self.attempt(delivery)
        };
        let delivered = attempt
            .retry(BACK_OFF)
            .sleep(move |back_off| wait(hold_slots, sleep(back_off)))
            .when(Failure::is_transient)
            .notify(|_, _| self.gauge.retried())
            .await;
        match delivered {
            Ok(()) => Ok(Outcome::Delivered),
            Err(failure) => self.give_up(delivery, failure, attempts.get()).await,
        }
    }

    async fn attempt(&self, delivery: Delivery) -> Result<(), Failure> {
        let breaker = &self.breakers[delivery.endpoint];
        wait(self.hold_slots, breaker.closed_or_on_trial()).await;
        let sent = self.gauge.sending(self.client.deliver(delivery)).await;
        match &sent {
            Err(failure) if failure.is_transient() => breaker.failed(),
            // A refusal, too, is a sign of life.
            Ok(()) | Err(_) => breaker.succeeded(),
        }
        sent
    }

    /// The next delivery to the endpoint begins when this is done: a dead letter is safe before it is passed by.
    async fn give_up(
        &self,
        delivery: Delivery,
        failure: Failure,
        attempts: u32,
    ) -> Result<Outcome> {
        let Delivery { number, endpoint } = delivery;
        match self.on_failure {
            OnFailure::DeadLetter => {
                let kept = self.gauge.sending(self.client.dead_letter(delivery)).await;
                kept.with_context(|| format!("no dead letter could be made of delivery {number}"))?;
                Ok(Outcome::DeadLettered)
            }
            OnFailure::Skip => Ok(Outcome::Skipped),
            OnFailure::Stop => Err(anyhow!(
                "delivery {number} to endpoint {endpoint} failed after {attempts} attempts: {failure}"
            )),
        }
    }

    pub fn breakers(&self) -> &[Breaker] {
        &self.breakers
    }
}

/// To wait is no work: meanwhile another endpoint has the slot, and this one's next delivery does not overtake.
async fn wait(hold_slots: bool, waiting: impl Future<Output = ()>) {
    if hold_slots {
        waiting.await;
    } else {
        without_slot(waiting).await;
    }
}

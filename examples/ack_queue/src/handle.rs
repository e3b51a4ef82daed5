//! The handlers, and what the broker is told when one is done.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use ordered_by_group::without_slot;
use tokio::time::sleep;

use crate::delivery::Delivery;
use crate::faults;
use crate::given_back::GivenBack;
use crate::journal::{Event, Journal};
use crate::mode::Mode;
use crate::receive::Received;

pub struct Handlers<'a> {
    mode: Mode,
    journal: &'a Journal,
    given_back: Mutex<GivenBack>,
}

pub enum Outcome {
    Acknowledge,
    GiveBack(Duration),
    /// It was acknowledged before.
    Nothing,
    /// A fault: the acknowledgement does not reach the server.
    LoseAcknowledgement,
}

impl<'a> Handlers<'a> {
    pub fn new(mode: Mode, journal: &'a Journal) -> Self {
        Self {
            mode,
            journal,
            given_back: Mutex::default(),
        }
    }

    pub async fn handle(&self, message: Received) -> Result<Outcome> {
        match self.mode {
            Mode::AtLeastOnce => self.process_to_acknowledge(message).await,
            Mode::AtMostOnce => self.acknowledge_and_process(message).await,
        }
    }

    pub async fn settle(&self, outcome: Outcome, delivery: Arc<Delivery>) -> Result<()> {
        match outcome {
            Outcome::Acknowledge => {
                self.journal.write(Event::Acknowledged(delivery.age()))?;
                delivery.acknowledge().await
            }
            Outcome::GiveBack(delay) => delivery.give_back(delay).await,
            Outcome::Nothing => Ok(()),
            Outcome::LoseAcknowledgement => {
                delivery.let_go();
                Ok(())
            }
        }
    }

    /// At least once. What fails is given back, and the group waits for it: see [`GivenBack`].
    async fn process_to_acknowledge(&self, message: Received) -> Result<Outcome> {
        let Received { group, delivery } = message;
        let (number, sequence) = (delivery.number, delivery.sequence);
        if self.journal.is_done(number) {
            self.given_back().done(group, sequence);
            self.journal.write(Event::FoundDone(number))?;
            return Ok(Outcome::Acknowledge);
        }
        let behind = self.given_back().behind(group, sequence);
        if let Some(delay) = behind {
            self.journal.write(Event::GivenBackBehind(number))?;
            return Ok(Outcome::GiveBack(delay));
        }
        sleep(work(&delivery)).await;
        if self.given_back().failures(group, sequence) < faults::failures(number) {
            self.journal.write(Event::Failed(number))?;
            let delay = self.given_back().failed(group, sequence);
            return Ok(Outcome::GiveBack(delay));
        }
        self.journal.write(Event::Processed(number))?;
        self.given_back().done(group, sequence);
        if faults::loses_acknowledgement(number) {
            self.journal.write(Event::AcknowledgementLost(number))?;
            return Ok(Outcome::LoseAcknowledgement);
        }
        Ok(Outcome::Acknowledge)
    }

    /// At most once. It cannot be given back, so what fails is tried again here: the group waits, the slot is free.
    async fn acknowledge_and_process(&self, message: Received) -> Result<Outcome> {
        let Received { delivery, .. } = message;
        let number = delivery.number;
        if self.journal.is_done(number) {
            // The server forgot an acknowledgement that it had confirmed.
            self.journal.write(Event::LeftAlone(number))?;
            return Ok(Outcome::Acknowledge);
        }
        if faults::loses_acknowledgement(number) {
            // It is sent again, since nothing is confirmed.
            self.journal.write(Event::AcknowledgementLost(number))?;
        }
        let age = delivery.age();
        delivery.acknowledge_and_confirm().await?;
        self.journal.write(Event::MayNotBeProcessedAgain(number))?;
        self.journal.write(Event::Acknowledged(age))?;
        for failures in 1..=faults::failures(number) {
            sleep(work(&delivery)).await;
            self.journal.write(Event::Failed(number))?;
            without_slot(sleep(faults::backoff(failures))).await;
        }
        sleep(work(&delivery)).await;
        self.journal.write(Event::Processed(number))?;
        Ok(Outcome::Nothing)
    }

    fn given_back(&self) -> MutexGuard<'_, GivenBack> {
        self.given_back
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn work(delivery: &Delivery) -> Duration {
    if delivery.is_extended {
        faults::work(delivery.number)
    } else {
        faults::LONG_WORK
    }
}

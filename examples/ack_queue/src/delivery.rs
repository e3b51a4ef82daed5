//! A delivery of a message without its content: what it takes to acknowledge it. This is the offset.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use async_nats::jetstream::AckKind;
use async_nats::jetstream::message::Acker;
use tokio::time::sleep;

use crate::receive::Broken;

/// While the server is away, a message is neither acknowledged nor processed.
const CONFIRMED_WITHIN_TRIES: u32 = 10;

pub struct Delivery {
    pub number: u64,
    /// Where the message is in the stream.
    pub sequence: u64,
    /// Whether its lease is to be extended. A fault, if not.
    pub is_extended: bool,
    received: Instant,
    acker: Acker,
    settled: AtomicBool,
}

impl Delivery {
    pub fn new(number: u64, sequence: u64, is_extended: bool, acker: Acker) -> Self {
        Self {
            number,
            sequence,
            is_extended,
            received: Instant::now(),
            acker,
            settled: AtomicBool::new(false),
        }
    }

    pub fn age(&self) -> Duration {
        self.received.elapsed()
    }

    /// Whether its lease needs no more extending. It can still be in the window then, which remembers the offsets of what
    /// it handed over until all before them is handed over.
    pub fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Relaxed)
    }

    pub async fn acknowledge(&self) -> Result<()> {
        self.settle(AckKind::Ack).await
    }

    /// Returns when the server has taken note, which it confirms again if it has already.
    pub async fn acknowledge_and_confirm(&self) -> Result<()> {
        let mut tries = 1;
        while let Err(error) = self.acker.double_ack().await {
            if tries == CONFIRMED_WITHIN_TRIES {
                return Err(Broken::from_error(error).into());
            }
            tries += 1;
            sleep(Duration::from_millis(200)).await;
        }
        self.let_go();
        Ok(())
    }

    /// To be delivered again after `delay`.
    pub async fn give_back(&self, delay: Duration) -> Result<()> {
        self.settle(AckKind::Nak(Some(delay))).await
    }

    /// The lease begins anew.
    pub async fn extend(&self) -> Result<()> {
        let extended = self.acker.ack_with(AckKind::Progress).await;
        Ok(extended.map_err(Broken::from_error)?)
    }

    /// Neither acknowledges nor extends it any more.
    pub fn let_go(&self) {
        self.settled.store(true, Ordering::Relaxed);
    }

    async fn settle(&self, kind: AckKind) -> Result<()> {
        self.let_go();
        let settled = self.acker.ack_with(kind).await;
        Ok(settled.map_err(Broken::from_error)?)
    }
}

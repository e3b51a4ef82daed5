//! Receives messages as they are delivered, whether or not the operator is reading.
//!
//! The operator reads its source only while a slot is free. Meanwhile a message would wait in the client's buffer, where
//! nothing extends its lease, so the lease would run out. Therefore a task of its own reads, and the lease is kept from
//! there on. The broker limits how much the task can hold: see `PREFETCH`.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::{self};
use futures::{Stream, StreamExt as _};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::delivery::Delivery;
use crate::faults;
use crate::journal::{Event, Journal};
use crate::leases::Leases;

pub struct Received {
    pub group: u32,
    pub delivery: Arc<Delivery>,
}

/// The connection to the broker, or a delivery, is lost: begin again at the oldest message.
#[derive(Debug)]
pub struct Broken(String);

impl Broken {
    pub fn from_error(error: impl fmt::Display) -> Self {
        Self(error.to_string())
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Broken {}

/// Ends when it is asked to stop, or after an error.
pub fn receive(
    messages: pull::Stream,
    leases: Arc<Leases>,
    journal: Arc<Journal>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> impl Stream<Item = Result<Received>> {
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut messages = messages;
        let mut stop = pin!(stop);
        for delivery in 1.. {
            let next = tokio::select! {
                biased;
                () = sender.closed() => return,
                () = &mut stop => return,
                next = messages.next() => next,
            };
            let received = next
                .context(Broken("the subscription ended".to_owned()))
                .and_then(|next| next.map_err(|error| Broken::from_error(error).into()))
                .and_then(|message| open(message, delivery, &journal));
            if let Ok(received) = &received {
                leases.add(&received.delivery);
            }
            let is_last = received.is_err();
            // Fails if the operator is gone, and then so is this in the next round.
            let _ = sender.send(received);
            if is_last {
                return;
            }
        }
    });
    UnboundedReceiverStream::new(receiver)
}

/// The server counts its deliveries: a gap tells that one is lost, on a connection that broke, perhaps. What comes after
/// it must not overtake it.
fn open(message: jetstream::Message, expected: u64, journal: &Journal) -> Result<Received> {
    let info = message.info().map_err(Broken::from_error)?;
    let (delivery, sequence, is_first) = (
        info.consumer_sequence,
        info.stream_sequence,
        info.delivered == 1,
    );
    if delivery != expected {
        let gap = format!("delivery {delivery} came instead of {expected}");
        return Err(Broken(gap).into());
    }
    let number = std::str::from_utf8(&message.payload)?.parse()?;
    let (_, group) = message.subject.rsplit_once('.').context("no group")?;
    let group = group.parse()?;
    journal.write(Event::Delivered(number))?;
    let is_extended = !(is_first && faults::outlives_lease(number));
    if !is_extended {
        journal.write(Event::NotExtended(number))?;
    }
    let (_, acker) = message.split();
    Ok(Received {
        group,
        delivery: Arc::new(Delivery::new(number, sequence, is_extended, acker)),
    })
}

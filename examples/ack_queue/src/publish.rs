//! The publisher: one message at a time per group, many groups at once, each until the server has confirmed it.

use std::time::Duration;

use anyhow::Result;
use async_nats::jetstream::Context;
use async_nats::jetstream::message::PublishMessage;
use futures::{StreamExt as _, stream};
use ordered_by_group::prelude::*;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_stream::wrappers::IntervalStream;

use crate::args::Settings;
use crate::message::group;
use crate::queue::subject;

const WITHIN: Duration = Duration::from_secs(3);

pub async fn publish(settings: Settings, broker: Context, queue: String) -> Result<()> {
    let groups = settings.groups;
    let mut ticks = interval(WITHIN.div_f64(settings.messages as f64));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);

    stream::iter(0..settings.messages)
        .zip(IntervalStream::new(ticks))
        .map(|(number, _)| number)
        .ordered_by_group(|number| group(*number, groups), 64)
        .try_then(|number| publish_one(&broker, subject(&queue, group(number, groups)), number))
        .try_drive(|_| async { Ok(()) })
        .await
}

/// Again and again while the server does not answer. It knows a message that it has stored already by its id.
async fn publish_one(broker: &Context, subject: String, number: u64) -> Result<()> {
    loop {
        let number = number.to_string();
        let message = PublishMessage::build()
            .message_id(&number)
            .payload(number.into());
        let sent = broker.send_publish(subject.clone(), message).await;
        let confirmed = match sent {
            Ok(confirmation) => confirmation.await.is_ok(),
            Err(_) => false,
        };
        if confirmed {
            return Ok(());
        }
        sleep(Duration::from_millis(50)).await;
    }
}

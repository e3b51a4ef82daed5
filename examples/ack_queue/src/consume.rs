//! The consuming process: it starts at the oldest message that is not acknowledged, and again from there if a delivery goes
//! missing.

use std::future::Future;
use std::io::{self, Read as _};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use async_nats::Client;
use futures::FutureExt as _;
use futures::future::Shared;
use ordered_by_group::prelude::*;
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::args::Task;
use crate::handle::Handlers;
use crate::journal::{Event, Journal};
use crate::leases::Leases;
use crate::queue::{PREFETCH, begin, connect};
use crate::receive::{Broken, Received, receive};

pub async fn consume(task: Task) -> Result<()> {
    let stop = stop();
    let journal = Arc::new(Journal::open(&task.journal)?);
    let client = loop {
        match connect(&task.url).await {
            Ok(client) => break client,
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    };
    while stop.peek().is_none() {
        match consume_from_the_oldest(&task, &client, &journal, stop.clone()).await {
            Err(error) if error.is::<Broken>() => sleep(Duration::from_millis(50)).await,
            ended => return ended,
        }
    }
    Ok(())
}

/// Until it is asked to stop, or a delivery is missing: then what came before it is still handled and acknowledged.
async fn consume_from_the_oldest(
    task: &Task,
    client: &Client,
    journal: &Arc<Journal>,
    stop: Shared<impl Future<Output = ()> + Send + 'static>,
) -> Result<()> {
    journal.write(Event::Began)?;
    let max_parallel = usize::from(task.max_parallel);
    let prefetch = PREFETCH.max(max_parallel);
    let messages = begin(client, &task.queue, prefetch)
        .await
        .map_err(Broken::from_error)?;
    let leases = Leases::keep(Arc::clone(journal));
    let handlers = Handlers::new(task.mode, journal);

    receive(messages, Arc::clone(&leases), Arc::clone(journal), stop)
        .try_ordered_by_group(|message: &Received| message.group, max_parallel)
        .look_ahead(prefetch)
        .offsets(|message| Arc::clone(&message.delivery))
        .and_then_unordered(|message| handlers.handle(message))
        .try_drive(|(outcome, offset)| handlers.settle(outcome, Arc::clone(offset.offset())))
        .await
}

/// Done when the standard input is closed: by who started us, or because it is no more.
fn stop() -> Shared<impl Future<Output = ()> + Send> {
    let (closed, stop) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        drop(closed);
    });
    stop.map(|_| ()).shared()
}

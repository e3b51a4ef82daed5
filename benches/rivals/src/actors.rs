//! An actor per group, as a task with a mailbox, and a commit actor "K" that all of them report to.
//!
//! What it lacks: an actor for each key ever seen stays in memory. To let idle ones go, the router must be sure that no
//! message is on its way to one that is about to leave. Mailboxes are not bounded, since a full one would stop the
//! router for all groups; back-pressure is a semaphore that K gives back to, and the number of running handlers a
//! second one. K's list grows without a bound while one item is stuck. A panic in an actor has to be looked for. The
//! handlers have to be `Send` and `'static`.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;

use futures::{Stream, StreamExt as _, join};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::frontier::commit;
use crate::work::{Handler, Item, Limits, Results};

pub async fn run(
    source: impl Stream<Item = Item>,
    limits: Limits,
    handler: impl Handler,
    results: &mut Results,
) {
    let mut source = pin!(source);
    let window = &Semaphore::new(limits.look_ahead);
    let slots = Arc::new(Semaphore::new(limits.max_parallel));
    let (to_k, mailbox) = unbounded_channel();
    let route = async move {
        let mut actors = HashMap::new();
        while let Some(item) = source.next().await {
            window.acquire().await.expect("it is never closed").forget();
            actors
                .entry(item.key)
                .or_insert_with(|| spawn_actor(handler.clone(), slots.clone(), to_k.clone()))
                .send(item)
                .expect("an actor lives as long as its mailbox");
        }
    };
    join!(route, commit(mailbox, window, results));
}

fn spawn_actor(
    handler: impl Handler,
    slots: Arc<Semaphore>,
    to_k: UnboundedSender<(u64, u64)>,
) -> UnboundedSender<Item> {
    let (sender, mut mailbox) = unbounded_channel::<Item>();
    tokio::spawn(async move {
        while let Some(item) = mailbox.recv().await {
            let slot = slots.acquire().await.expect("it is never closed");
            let amount = handler.handle(item).await;
            drop(slot);
            // Nobody listens any more once the run was dropped.
            if to_k.send((amount, item.offset)).is_err() {
                break;
            }
        }
    });
    sender
}

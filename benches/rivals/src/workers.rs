//! As many workers as there may be handlers, each with a queue; an item's key is hashed to one of them.
//!
//! What it lacks: groups that share a worker wait for each other, while other workers are idle. Queues are not bounded
//! one by one, since a full one would stop the router for all; back-pressure is one semaphore over all of them. "K"
//! keeps the commit position, and its list grows without a bound while one item is stuck. A panic in a worker has to
//! be looked for. The handlers have to be `Send` and `'static`.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::pin::pin;

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
    let (to_k, mailbox) = unbounded_channel();
    let workers: Vec<_> = (0..limits.max_parallel)
        .map(|_| spawn_worker(handler.clone(), to_k.clone()))
        .collect();
    drop(to_k);
    let route = async move {
        // With a fixed seed, so that makespans are the same in each run.
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        while let Some(item) = source.next().await {
            window.acquire().await.expect("it is never closed").forget();
            let worker = hasher.hash_one(item.key) as usize % workers.len();
            workers[worker]
                .send(item)
                .expect("a worker lives as long as its queue");
        }
    };
    join!(route, commit(mailbox, window, results));
}

fn spawn_worker(handler: impl Handler, to_k: UnboundedSender<(u64, u64)>) -> UnboundedSender<Item> {
    let (sender, mut queue) = unbounded_channel::<Item>();
    tokio::spawn(async move {
        while let Some(item) = queue.recv().await {
            let amount = handler.handle(item).await;
            // Nobody listens any more once the run was dropped.
            if to_k.send((amount, item.offset)).is_err() {
                break;
            }
        }
    });
    sender
}

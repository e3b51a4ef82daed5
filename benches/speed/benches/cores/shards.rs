//! A task for each core: its own channel, and a serial loop. Keys are hashed onto them.

use futures::StreamExt as _;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinHandle;

use crate::WORKERS;
use crate::work::{Handled, Outcome, Work, mix};

/// As many as the operator looks ahead.
const CAPACITY: usize = 4_096 / WORKERS;

/// The results come back to one loop, as with the operator.
pub async fn with_results(work: &'static Work) -> Outcome {
    let (to_here, mut results) = mpsc::channel(CAPACITY);
    let shards = (0..WORKERS).map(|_| {
        let (to_shard, items) = mpsc::channel(CAPACITY);
        tokio::spawn(shard(work, items, to_here.clone()));
        to_shard
    });
    let reader = tokio::spawn(read(work, shards.collect()));
    drop(to_here);
    let mut outcome = Outcome::default();
    while let Some(handled) = results.recv().await {
        outcome.add(handled);
    }
    reader.await.expect("all is read");
    outcome
}

/// Each shard keeps its results: less work, and nobody knows how far all is done.
pub async fn without_results(work: &'static Work) -> Outcome {
    let (shards, outcomes): (Vec<_>, Vec<_>) = (0..WORKERS)
        .map(|_| {
            let (to_shard, items) = mpsc::channel(CAPACITY);
            (to_shard, spawn_shard_alone(work, items))
        })
        .unzip();
    read(work, shards).await;
    let mut outcome = Outcome::default();
    for shard in outcomes {
        outcome.merge(shard.await.expect("all handlers finish"));
    }
    outcome
}

async fn read(work: &'static Work, shards: Vec<Sender<u64>>) {
    let mut source = work.source();
    while let Some(number) = source.next().await {
        // Other bits than those by which a key was chosen.
        let shard = mix(work.key(number)) as usize % WORKERS;
        let sent = shards[shard].send(number).await;
        sent.expect("a shard takes all that it is sent");
    }
}

async fn shard(work: &'static Work, mut items: Receiver<u64>, results: Sender<Handled>) {
    while let Some(number) = items.recv().await {
        let sent = results.send(work.handle(number)).await;
        sent.expect("the results are received until the end");
    }
}

fn spawn_shard_alone(work: &'static Work, mut items: Receiver<u64>) -> JoinHandle<Outcome> {
    tokio::spawn(async move {
        let mut outcome = Outcome::default();
        while let Some(number) = items.recv().await {
            outcome.add(work.handle(number));
        }
        outcome
    })
}

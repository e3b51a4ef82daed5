//! The consumer that one writes first: it commits what is done each second, and leaves rebalances to the client.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::ready;

use clap::Parser as _;
use futures::{FutureExt as _, StreamExt as _};
use kafka_broker_tests::args::Args;
use kafka_broker_tests::handler::record_of;
use kafka_broker_tests::stop::terminated;
use ordered_by_group::prelude::*;
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::error::KafkaResult;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use tokio::time::interval;

/// The next offset of each partition with something done since the last commit.
type Positions = RefCell<BTreeMap<i32, i64>>;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let handler = &args.handler()?;
    let stop = terminated()?;
    let consumer: StreamConsumer = args.config().create()?;
    consumer.subscribe(&[&args.topic])?;

    let positions = Positions::default();
    let work = consumer
        .stream()
        .take_until(stop)
        .filter_map(|message| ready(message.ok())) // the client goes on after its errors
        .ordered_by_group(
            |message| (message.partition(), message.key().map(<[u8]>::to_vec)),
            args.slots,
        )
        .offsets(|message| (message.partition(), message.offset()))
        .partitions(|message| message.partition())
        .then_unordered(|message| async move { handler.handle(record_of(&message)).await })
        .drive(|((), offset)| {
            if let Some((partition, offset)) = offset.frontier() {
                positions.borrow_mut().insert(*partition, offset + 1);
            }
            ready(())
        });
    let commits = async {
        let mut clock = interval(args.commit_every());
        loop {
            clock.tick().await;
            let committed = commit(&consumer, &args.topic, &positions, CommitMode::Async);
            if let Err(error) = committed {
                eprintln!("commit: {error}");
            }
        }
    };
    futures::select_biased! {
        () = work.fuse() => {}
        () = commits.fuse() => {}
    }
    commit(&consumer, &args.topic, &positions, CommitMode::Sync)?;
    Ok(())
}

fn commit(
    consumer: &StreamConsumer,
    topic: &str,
    positions: &Positions,
    mode: CommitMode,
) -> KafkaResult<()> {
    let positions = positions.take();
    if positions.is_empty() {
        return Ok(());
    }
    let mut list = TopicPartitionList::new();
    for (partition, next) in positions {
        list.add_partition_offset(topic, partition, Offset::Offset(next))?;
    }
    consumer.commit(&list, mode)
}

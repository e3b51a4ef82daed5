//! When one partition that holds too much is waited for, and when it is paused.

use std::cell::RefCell;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures::{StreamExt as _, poll};
use ordered_by_group::kafka::rdkafka::consumer::DefaultConsumerContext;
use ordered_by_group::kafka::{Kafka, Message, Messages, Partition, Settings};
use ordered_by_group::positions::Position;
use ordered_by_group::prelude::*;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::cluster::{Cluster, LONG};
use crate::log::Log;
use crate::service::{assign, serve, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_stuck_key_does_not_stop_the_other_partitions() {
    let cluster = Cluster::new(&[("orders", 2)]);
    cluster.produce("orders", 0, &[Some("stuck"); 500]).await;
    cluster.produce_distinct("orders", 1, 500).await;
    let log = Log::new();
    let settings = Settings::default()
        .in_flight(10)
        .commit_every(Duration::from_millis(20))
        .observer(log.clone());
    let both = [("orders", 0), ("orders", 1)];
    let (kafka, _driver) = assign(&cluster.config(), &both, settings);
    let (gate, is_open) = (Notify::new(), AtomicBool::new(false));
    let most_waiting = RefCell::new(0);
    // The window has room for a few more than those that wait for the stuck one.
    let work = kafka
        .messages()
        .inspect(|message| {
            let message = message.as_ref().unwrap();
            if message.partition().number() == 0 {
                let waiting = message.position().lease().in_flight();
                let mut most = most_waiting.borrow_mut();
                *most = waiting.max(*most);
            }
        })
        .try_ordered_by_group(|message| message.group(), 4)
        .look_ahead(20)
        .offsets(|message| message.position())
        .partitions(|message| message.partition())
        .and_then_unordered(|message| {
            let (gate, is_open) = (&gate, &is_open);
            async move {
                let is_stuck = message.partition().number() == 0 && message.offset() == 0;
                let handled = message.position().run(|| async {
                    while is_stuck && !is_open.load(Ordering::SeqCst) {
                        gate.notified().await;
                    }
                });
                Ok(handled.await)
            }
        })
        .try_drive(|(outcome, offset)| {
            offset.offset().settle(outcome.is_some());
            async { Ok(()) }
        });
    let watch = async {
        log.until("paused orders [0]").await;
        log.until("committed orders [0] at 0").await;
        log.until("committed orders [1] at 500").await;
        assert_eq!(log.count("paused orders [0]"), 1);
        assert_eq!(log.count("resumed orders [0]"), 0);
        is_open.store(true, Ordering::SeqCst);
        gate.notify_one();
        log.until("committed orders [0] at 500").await;
        for partition in ["orders [0]", "orders [1]"] {
            let [paused, resumed] = ["paused ", "resumed "].map(|what| what.to_owned() + partition);
            until(|| log.count(&paused) == log.count(&resumed)).await;
        }
        kafka.stop();
    };
    let (work, ()) = tokio::join!(work, watch);
    work.unwrap();
    assert_eq!(most_waiting.into_inner(), 10);
    kafka.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_only_partition_is_not_paused() {
    let cluster = Cluster::new(&[("orders", 1)]);
    cluster.produce("orders", 0, &[Some("hot"); 100]).await;
    let log = Log::new();
    let settings = Settings::default().in_flight(2).observer(log.clone());
    let (kafka, _driver) = assign(&cluster.config(), &[("orders", 0)], settings);
    let work = serve(&kafka, |message| {
        if message.offset() == 99 {
            kafka.stop();
        }
        tokio::task::yield_now()
    });
    timeout(LONG, work).await.unwrap().unwrap();
    kafka.close().await.unwrap();
    assert_eq!(log.count("paused"), 0);
}

/// Reads by hand, so that the reader asks for more only when there is room. The driver has the same thread.
#[tokio::test]
async fn a_partition_that_moves_on_is_waited_for_and_not_paused() {
    let (_cluster, log, kafka) = two_partitions(200).await;
    let mut messages = kafka.messages();
    let mut read = [0, 0];
    let mut in_flight = [Vec::new(), Vec::new()];
    while read != [200, 200] {
        let position = next(&mut messages).await.position();
        let number = position.partition().number() as usize;
        read[number] += 1;
        in_flight[number].push(position);
        if in_flight[number].len() == 10 {
            assert!(poll!(messages.next()).is_pending());
            // With a message less it is not worth it to look again; with two less it is.
            settle(in_flight[number].drain(..1));
            assert!(poll!(messages.next()).is_pending());
            settle(in_flight[number].drain(..1));
        }
        if read[number] == 200 {
            settle(in_flight[number].drain(..));
        }
    }
    assert_eq!(log.count("paused"), 0);
    drop(messages);
    close(kafka).await;
    assert_eq!(log.lines_of("at 200").len(), 2);
}

#[tokio::test]
async fn a_partition_that_was_slow_is_paused_at_once() {
    let (_cluster, log, kafka) = two_partitions(400).await;
    let mut messages = kafka.messages();
    let (first, mut in_flight) = fill(&mut messages).await;
    let mut next_message = messages.next();
    assert!(poll!(&mut next_message).is_pending());
    let paused = format!("paused {first}");
    let resumed = format!("resumed {first}");
    assert_eq!(log.count(&paused), 0);
    // Nothing is settled meanwhile. The reader goes on with the other partition.
    let message = timeout(LONG, next_message).await.expect("it waits");
    let message = message.expect("the end").unwrap();
    assert_ne!(message.partition(), first);
    assert_eq!(log.count(&paused), 1);
    message.position().settle(true);

    // A pause that took longer than librdkafka takes to read the partition again.
    sleep(Duration::from_millis(600)).await;
    settle(in_flight.drain(..));
    log.until(&resumed).await;
    while in_flight.len() < 10 {
        let position = next(&mut messages).await.position();
        if *position.partition() == first {
            in_flight.push(position);
        } else {
            position.settle(true);
        }
    }
    assert_eq!(log.count(&paused), 2);
    settle(in_flight.drain(..));
    drop(messages);
    close(kafka).await;
}

#[tokio::test]
async fn a_reader_that_waits_for_a_partition_is_told_to_stop() {
    let (_cluster, _log, kafka) = two_partitions(100).await;
    let mut messages = kafka.messages();
    let (_, mut in_flight) = fill(&mut messages).await;
    let mut next = messages.next();
    assert!(poll!(&mut next).is_pending());
    kafka.stop();
    assert!(matches!(poll!(&mut next), Poll::Ready(None)));
    settle(in_flight.drain(..));
    drop(messages);
    close(kafka).await;
}

/// The next reader asks anew, and a partition for which nobody waits is not paused.
#[tokio::test]
async fn a_reader_that_goes_while_it_waits_leaves_nothing_behind() {
    let (_cluster, log, kafka) = two_partitions(100).await;
    let mut messages = kafka.messages();
    let (_, mut in_flight) = fill(&mut messages).await;
    assert!(poll!(messages.next()).is_pending());
    drop(messages);
    sleep(Duration::from_millis(400)).await; // beats of the driver
    assert_eq!(log.count("paused"), 0);
    settle(in_flight.drain(..));
    let mut messages = kafka.messages();
    next(&mut messages).await.position().settle(true);
    drop(messages);
    close(kafka).await;
}

/// A consumer of two partitions with so many messages each, of which ten may be in flight.
async fn two_partitions(messages: usize) -> (Cluster, Arc<Log>, Kafka) {
    let cluster = Cluster::new(&[("orders", 2)]);
    for partition in [0, 1] {
        cluster
            .produce_distinct("orders", partition, messages)
            .await;
    }
    let log = Log::new();
    let settings = Settings::default().in_flight(10).observer(log.clone());
    let both = [("orders", 0), ("orders", 1)];
    let (kafka, _driver) = assign(&cluster.config(), &both, settings);
    (cluster, log, kafka)
}

/// Reads until a partition holds ten messages, which are returned. Those of the other are settled.
async fn fill(
    messages: &mut Messages<'_, DefaultConsumerContext>,
) -> (Partition, Vec<Position<Partition>>) {
    let mut in_flight = [Vec::new(), Vec::new()];
    loop {
        let position = next(messages).await.position();
        let partition = position.partition().clone();
        let number = partition.number() as usize;
        in_flight[number].push(position);
        if in_flight[number].len() == 10 {
            settle(in_flight[1 - number].drain(..));
            return (partition, std::mem::take(&mut in_flight[number]));
        }
    }
}

fn settle(positions: impl Iterator<Item = Position<Partition>>) {
    positions.for_each(|position| position.settle(true));
}

async fn next<'a>(messages: &mut Messages<'a, DefaultConsumerContext>) -> Message<'a> {
    let next = timeout(LONG, messages.next()).await;
    next.expect("no message").expect("the end").unwrap()
}

async fn close(kafka: Kafka) {
    let closed = pin!(kafka.close());
    timeout(LONG, closed)
        .await
        .expect("it does not end")
        .unwrap();
}

//! How a consumer ends: stopped, closed, dropped, or without its driver.

use std::cell::RefCell;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use ordered_by_group::kafka::rdkafka::consumer::DefaultConsumerContext;
use ordered_by_group::kafka::{CommitBy, Error, Kafka, Settings};
use ordered_by_group::positions::Drain;
use tokio::time::timeout;

use crate::cluster::{Cluster, LONG, partitions};
use crate::context::Context;
use crate::log::Log;
use crate::service::{assign, serve, until};

/// All in one group, so that they wait for each other.
async fn ten_in_a_row() -> Cluster {
    let cluster = Cluster::new(&[("orders", 1)]);
    cluster.produce("orders", 0, &[Some("a"); 10]).await;
    cluster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn after_a_stop_what_runs_is_finished_and_what_waits_is_left() {
    for (drain, done) in [(Drain::Running, 4), (Drain::Admitted, 10)] {
        let cluster = ten_in_a_row().await;
        let log = Log::new();
        let settings = Settings::default()
            .commit_every(Duration::from_secs(60))
            .drain(drain)
            .observer(log.clone());
        let (kafka, driver) = assign(&cluster.config(), &[("orders", 0)], settings);
        let handled = RefCell::new(Vec::new());
        // Reads all ten before the fourth is handled.
        let in_flight = RefCell::new(None);
        let work = serve(&kafka, |message| {
            handled.borrow_mut().push(message.offset());
            let position = message.position();
            in_flight.replace(Some(position.clone()));
            let kafka = &kafka;
            async move {
                if position.offset() == 3 {
                    while position.lease().in_flight() < 7 {
                        tokio::task::yield_now().await;
                    }
                    kafka.stop();
                    tokio::task::yield_now().await;
                }
            }
        });
        timeout(LONG, work).await.unwrap().unwrap();
        kafka.close().await.unwrap();
        driver.await.unwrap().unwrap();
        assert_eq!(handled.into_inner(), (0..done).collect::<Vec<_>>());
        assert_eq!(cluster.committed("orders", 0).0, Some(done));
        let lines = log.lines();
        let [draining, drained, committed, given_up] = &lines[lines.len() - 4..] else {
            unreachable!()
        };
        assert_eq!(draining, "draining orders [0] with 7");
        assert_eq!(drained, "drained orders [0]");
        assert_eq!(*committed, format!("committed orders [0] at {done}"));
        assert_eq!(given_up, "given up orders [0]");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_held_elsewhere_is_waited_for_and_then_fenced() {
    let cluster = Cluster::new(&[("orders", 1)]);
    cluster.produce_distinct("orders", 0, 10).await;
    let log = Log::new();
    let settings = Settings::default()
        .drain_within(Duration::from_millis(400))
        .commit_every(Duration::from_secs(60))
        .observer(log.clone());
    let (kafka, _driver) = assign(&cluster.config(), &[("orders", 0)], settings);
    let mut messages = kafka.messages();
    let mut positions = Vec::new();
    while positions.len() < 10 {
        let message = timeout(LONG, messages.next()).await.unwrap().unwrap();
        positions.push(message.unwrap().position());
    }
    drop(messages);
    positions[1].settle(true);
    positions[2].settle(true);
    let runs = positions[5].run(pending::<()>);
    let runs = tokio::spawn(runs);
    let start = Instant::now();
    kafka.close().await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(400));
    assert_eq!(runs.await.unwrap(), None, "its handler was dropped");
    for position in &positions {
        position.settle(true); // too late to count
    }
    assert_eq!(
        log.lines_of("orders [0]")[1..],
        [
            "draining orders [0] with 8",
            "fenced orders [0] with 8",
            "committed orders [0] at 0",
            "given up orders [0]",
        ]
    );
    let (next, metadata) = cluster.committed("orders", 0);
    assert_eq!(next, Some(0));
    let done = ordered_by_group::positions::Done::decode(0, &metadata).unwrap();
    assert_eq!(done.ranges().collect::<Vec<_>>(), [1..=2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_consumer_that_is_dropped_is_closed_in_the_background() {
    let cluster = Cluster::new(&[("orders", 1)]);
    cluster.produce_distinct("orders", 0, 10).await;
    let settings = Settings::default().commit_every(Duration::from_secs(60));
    let (kafka, driver) = assign(&cluster.config(), &[("orders", 0)], settings);
    let work = serve(&kafka, |message| {
        if message.offset() == 9 {
            kafka.stop();
        }
        async {}
    });
    timeout(LONG, work).await.unwrap().unwrap();
    let start = Instant::now();
    drop(kafka);
    assert!(start.elapsed() < Duration::from_millis(50));
    timeout(LONG, driver).await.unwrap().unwrap().unwrap();
    assert_eq!(cluster.committed("orders", 0).0, Some(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_its_driver_the_stream_ends_with_an_error() {
    let cluster = Cluster::new(&[("orders", 1)]);
    let (kafka, driver) = assign(&cluster.config(), &[("orders", 0)], Settings::default());
    let mut messages = kafka.messages();
    driver.abort();
    let end = timeout(LONG, messages.next()).await.unwrap().unwrap();
    assert!(matches!(end, Err(Error::DriverGone)), "{end:?}");
    assert!(messages.next().await.is_none());
    drop(messages);
    let error = kafka.close().await.unwrap_err();
    assert!(matches!(error, Error::DriverGone), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_driver_that_nobody_runs_is_missed() {
    let cluster = Cluster::new(&[("orders", 1)]);
    let (config, context) = (cluster.config(), DefaultConsumerContext);
    let settings = Settings::default();
    let (kafka, _driver) = Kafka::subscribe(&config, &["orders"], context, settings).unwrap();
    let end = timeout(LONG, serve(&kafka, |_| async {})).await.unwrap();
    let error = end.unwrap_err();
    assert!(matches!(error, Error::DriverNotStarted), "{error:?}");
    let error = timeout(LONG, kafka.close()).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::DriverNotStarted), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_users_context_is_called() {
    let cluster = Cluster::new(&[("orders", 1)]);
    cluster.produce_distinct("orders", 0, 10).await;
    for commit_by in [CommitBy::Sync, CommitBy::Store] {
        let context = Context::default();
        let (calls, log) = (Arc::clone(&context.calls), Arc::clone(&context.log));
        let settings = Settings::default()
            .commit_by(commit_by)
            .commit_every(Duration::from_millis(50));
        let mut config = cluster.config();
        config
            .set("statistics.interval.ms", "50")
            .set("debug", "cgrp")
            .set_log_level(ordered_by_group::kafka::rdkafka::config::RDKafkaLogLevel::Debug);
        let list = partitions(&[("orders", 0)]);
        let (kafka, driver) = Kafka::assign(&config, &list, context, settings).unwrap();
        let _driver = tokio::spawn(driver);
        let has = |start: &str| {
            let calls = calls.lock().unwrap();
            calls.iter().any(|call| call.starts_with(start))
        };
        let watch = async {
            until(|| has("stats of consumer") && has("commit Ok(()) of 1")).await;
            cluster.mock.broker_down(-1).unwrap();
            until(|| has("error ")).await;
            cluster.mock.broker_up(-1).unwrap();
            kafka.stop();
        };
        let both = async { tokio::join!(serve(&kafka, |_| async {}), watch) };
        let (work, ()) = timeout(LONG, both).await.unwrap();
        work.unwrap();
        assert!(!log.lock().unwrap().is_empty());
        drop(kafka);
        cluster.produce_distinct("orders", 0, 10).await;
    }
}

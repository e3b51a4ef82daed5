//! Members of a group: subscribing, stopping, closing, dropping.

use std::cell::RefCell;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ordered_by_group::kafka::rdkafka::config::RDKafkaLogLevel;
use ordered_by_group::kafka::{CommitBy, Error, Kafka, Settings};
use tokio::runtime::Builder;
use tokio::time::timeout;

use crate::cluster::{Cluster, LONG};
use crate::context::Context;
use crate::log::Log;
use crate::service::{assign, serve};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_consumer_that_is_closed_leaves_the_group_and_the_next_one_goes_on() {
    a_closed_consumer_leaves_the_group("range").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn so_it_does_with_the_cooperative_protocol() {
    a_closed_consumer_leaves_the_group("cooperative-sticky").await;
}

async fn a_closed_consumer_leaves_the_group(protocol: &str) {
    let cluster = Cluster::new(&[("orders", 2), ("returns", 1)]);
    let mut config = cluster.config();
    config
        .set("session.timeout.ms", "3500")
        .set("debug", "cgrp")
        .set_log_level(RDKafkaLogLevel::Debug)
        .set("partition.assignment.strategy", protocol);
    for start in [0, 10] {
        for (topic, partition) in [("orders", 0), ("orders", 1), ("returns", 0)] {
            cluster.produce_distinct(topic, partition, 10).await;
        }
        let log = Log::new();
        let settings = Settings::default()
            .observer(log.clone())
            .commit_every(Duration::from_secs(60));
        let topics = ["orders", "returns"];
        let context = Context::default();
        let lines = Arc::clone(&context.log);
        let (kafka, driver) = Kafka::subscribe(&config, &topics, context, settings).unwrap();
        let driver = tokio::spawn(driver);
        let handled = RefCell::new(0);
        let work = serve(&kafka, |message| {
            assert!(message.offset() >= start);
            *handled.borrow_mut() += 1;
            if *handled.borrow() == 30 {
                kafka.stop();
            }
            async {}
        });
        timeout(LONG, work).await.unwrap().unwrap();
        timeout(LONG, kafka.close()).await.unwrap().unwrap();
        driver.await.unwrap().unwrap();
        assert_eq!(handled.into_inner(), 30);
        let has_left = |line: &String| line.contains("LeaveGroup response received");
        assert!(
            lines.lock().unwrap().iter().any(has_left),
            "{:#?}",
            lines.lock().unwrap()
        );
        let mut lines = log.lines_of("orders [1]");
        if start == 0 {
            assert_eq!(lines.remove(0), "assigned orders [1]");
        } else {
            assert_eq!(lines.remove(0), "assigned orders [1] at 10");
        }
        lines.retain(|line| !line.starts_with("draining"));
        assert_eq!(
            lines,
            [
                "drained orders [1]".into(),
                format!("committed orders [1] at {}", start + 10),
                "given up orders [1]".into(),
            ]
        );
    }
}

/// librdkafka waits for the broker in a commit and when it leaves; nobody else does.
#[test]
fn a_consumer_can_be_closed_or_dropped_while_the_broker_is_away() {
    let cases = [CommitBy::Sync, CommitBy::Store]
        .into_iter()
        .flat_map(|commit_by| [(commit_by.clone(), true), (commit_by, false)]);
    let threads = cases.map(|(commit_by, is_closed)| {
        thread::spawn(move || end_without_a_broker(commit_by, is_closed))
    });
    for thread in threads.collect::<Vec<_>>() {
        thread.join().unwrap();
    }
}

fn end_without_a_broker(commit_by: CommitBy, is_closed: bool) {
    let start = Instant::now();
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let cluster = Cluster::new(&[("orders", 1)]);
        cluster.produce_distinct("orders", 0, 10).await;
        let settings = Settings::default()
            .commit_by(commit_by)
            .commit_every(Duration::from_secs(60));
        let (kafka, driver) = assign(&cluster.config(), &[("orders", 0)], settings);
        let work = serve(&kafka, |message| {
            if message.offset() == 9 {
                kafka.stop();
            }
            async {}
        });
        timeout(LONG, work).await.unwrap().unwrap();
        drop(cluster);
        if is_closed {
            let error = kafka.close().await.unwrap_err();
            assert!(matches!(error, Error::LastCommit(_)), "{error:?}");
            let _ = driver.await.unwrap();
        }
    });
    drop(runtime);
    assert!(start.elapsed() < LONG);
}

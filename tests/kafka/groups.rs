//! Members of a group: subscribing, stopping, closing, dropping.

use std::cell::RefCell;
use std::thread;
use std::time::{Duration, Instant};

use ordered_by_group::kafka::rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use ordered_by_group::kafka::{CommitBy, Error, Settings};
use ordered_by_group::positions::Position;
use tokio::runtime::Builder;
use tokio::time::timeout;

use crate::cluster::{Cluster, LONG};
use crate::log::Log;
use crate::service::{assign, serve, subscribe, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_consumer_that_is_closed_leaves_the_group_and_the_next_one_goes_on() {
    tokio::join!(
        a_closed_consumer_leaves_the_group("range"),
        a_closed_consumer_leaves_the_group("cooperative-sticky"),
    );
}

async fn a_closed_consumer_leaves_the_group(protocol: &str) {
    let cluster = Cluster::new(&[("orders", 2), ("returns", 1)]);
    let mut config = cluster.config();
    config
        .set("session.timeout.ms", "3500")
        .set("partition.assignment.strategy", protocol);
    for start in [0, 10] {
        for (topic, partition) in [("orders", 0), ("orders", 1), ("returns", 0)] {
            cluster.produce_distinct(topic, partition, 10).await;
        }
        let log = Log::new();
        let settings = Settings::default()
            .observer(log.clone())
            .commit_every(Duration::from_secs(60));
        let (kafka, driver) = subscribe(&config, &["orders", "returns"], settings);
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
        // It waits up to five seconds for librdkafka, which is closed once the broker has let it go.
        let closed = timeout(Duration::from_millis(4_900), kafka.close()).await;
        closed.expect("the group was not left").unwrap();
        driver.await.unwrap().unwrap();
        assert_eq!(handled.into_inner(), 30);
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

/// The broker no longer knows the member, as after a session that has expired.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_runs_of_a_lost_partition_is_dropped_and_what_was_done_is_not_done_again() {
    let cluster = Cluster::new(&[("orders", 1)]);
    cluster.produce_distinct("orders", 0, 10).await;
    let log = Log::new();
    let settings = Settings::default()
        .commit_every(Duration::from_secs(60))
        .observer(log.clone());
    let mut config = cluster.config();
    config.set("session.timeout.ms", "3500");
    let (kafka, _driver) = subscribe(&config, &["orders"], settings);
    let handled = RefCell::new(Vec::new());
    let (dropped, last) = (RefCell::new(0), RefCell::new(None));
    let work = serve(&kafka, |message| {
        let offset = message.offset();
        let is_again = handled.borrow().contains(&offset);
        handled.borrow_mut().push(offset);
        if offset == 10 {
            kafka.stop();
        }
        if offset == 9 {
            last.replace(Some(message.position()));
        }
        let dropped = &dropped;
        async move {
            if offset == 4 && !is_again {
                let _guard = OnDrop(|| *dropped.borrow_mut() += 1);
                std::future::pending().await
            }
        }
    });
    let watch = async {
        until(|| {
            let last = last.borrow();
            last.as_ref()
                .is_some_and(|last: &Position<_>| last.lease().in_flight() == 1)
        })
        .await;
        last.replace(None);
        let unknown = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID;
        let heartbeat = RDKafkaApiKey::Heartbeat;
        cluster.mock.request_errors(heartbeat, &[unknown]);
        log.until("given up").await;
        cluster.produce_distinct("orders", 0, 1).await;
    };
    let both = async { tokio::join!(work, watch) };
    let (work, ()) = timeout(LONG, both).await.unwrap();
    work.unwrap();
    assert_eq!(handled.borrow()[..10], (0..10).collect::<Vec<_>>());
    assert_eq!(handled.borrow()[10..], [4, 10]);
    assert_eq!(*dropped.borrow(), 1);
    kafka.close().await.unwrap();
    assert_eq!(cluster.committed("orders", 0).0, Some(11));
    let mut lines = log.lines_of("orders [0]");
    lines.truncate(4);
    assert_eq!(
        lines,
        [
            "assigned orders [0]",
            "fenced orders [0] with 1",
            "given up orders [0]",
            "assigned orders [0] at 4",
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_was_done_of_a_lost_partition_that_comes_back_is_committed_though_nothing_more_comes()
{
    let cluster = Cluster::new(&[("orders", 1)]);
    cluster.produce_distinct("orders", 0, 10).await;
    let log = Log::new();
    let settings = Settings::default()
        .commit_every(Duration::from_secs(60))
        .observer(log.clone());
    let mut config = cluster.config();
    config.set("session.timeout.ms", "3500");
    let (kafka, _driver) = subscribe(&config, &["orders"], settings);
    let last = RefCell::new(None);
    let work = serve(&kafka, |message| {
        last.replace(Some(message.position()));
        async {}
    });
    let watch = async {
        until(|| {
            let last = last.borrow();
            last.as_ref().is_some_and(|last: &Position<_>| {
                last.offset() == 9 && last.lease().in_flight() == 0
            })
        })
        .await;
        let unknown = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID;
        let heartbeat = RDKafkaApiKey::Heartbeat;
        cluster.mock.request_errors(heartbeat, &[unknown]);
        log.until("assigned orders [0] at 10").await;
        // Lost again, before it could be committed.
        cluster.mock.request_errors(heartbeat, &[unknown]);
        log.until_count("assigned orders [0] at 10", 2).await;
        kafka.stop();
    };
    let (work, ()) = tokio::join!(work, watch);
    work.unwrap();
    assert_eq!(cluster.committed("orders", 0).0, None);
    kafka.close().await.unwrap();
    assert_eq!(cluster.committed("orders", 0).0, Some(10));
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

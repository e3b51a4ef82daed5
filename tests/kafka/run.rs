//! The whole pipeline in one call.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::pending;

use ordered_by_group::kafka::{Error, Settings};
use tokio::time::timeout;

use crate::cluster::{Cluster, LONG};
use crate::log::Log;
use crate::service::{assign, until};

/// The error of a service.
#[derive(Debug)]
enum Failure {
    Kafka(Error),
    Handler(i64),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Kafka(error)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn each_key_is_handled_in_order_and_what_was_handled_is_committed() {
    let cluster = Cluster::new(&[("orders", 2)]);
    let keys: Vec<_> = ["a", "b", "c"]
        .iter()
        .cycle()
        .take(99)
        .map(|key| Some(*key))
        .collect();
    for partition in [0, 1] {
        cluster.produce("orders", partition, &keys).await;
    }
    let both = [("orders", 0), ("orders", 1)];
    let (kafka, _driver) = assign(&cluster.config(), &both, Settings::default());
    let handled = RefCell::new(BTreeMap::<_, Vec<_>>::new());
    let (mut running, most, mut count) = (RefCell::new(0), RefCell::new(0), 0);
    let work = kafka.run(4, |message| {
        count += 1;
        let is_last = count == 198;
        let (kafka, handled, running, most) = (&kafka, &handled, &running, &most);
        async move {
            *running.borrow_mut() += 1;
            most.replace_with(|most| (*most).max(*running.borrow()));
            let key = (
                message.partition().number(),
                message.key().unwrap().to_vec(),
            );
            handled
                .borrow_mut()
                .entry(key)
                .or_default()
                .push(message.offset());
            until(|| *most.borrow() == 4).await;
            *running.borrow_mut() -= 1;
            if is_last {
                kafka.stop();
            }
            Ok::<_, Failure>(())
        }
    });
    timeout(LONG, work).await.unwrap().unwrap();
    kafka.close().await.unwrap();
    assert_eq!(*running.get_mut(), 0);
    assert_eq!(most.into_inner(), 4);
    let handled = handled.into_inner();
    assert_eq!(handled.len(), 6);
    for offsets in handled.values() {
        assert_eq!(offsets.len(), 33);
        assert!(offsets.is_sorted());
    }
    for partition in [0, 1] {
        assert_eq!(cluster.committed("orders", partition).0, Some(99));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_first_failure_ends_it_and_what_failed_is_not_committed() {
    let cluster = Cluster::new(&[("orders", 1)]);
    cluster.produce_distinct("orders", 0, 10).await;
    let log = Log::new();
    let settings = Settings::default().observer(log.clone());
    let (kafka, _driver) = assign(&cluster.config(), &[("orders", 0)], settings);
    let work = kafka.run(16, |message| async move {
        match message.offset() {
            3 => Err(Failure::Handler(3)),
            5 => pending().await,
            _ => Ok(()),
        }
    });
    let failure = timeout(LONG, work).await.unwrap().unwrap_err();
    assert!(matches!(failure, Failure::Handler(3)), "{failure:?}");
    kafka.close().await.unwrap();
    assert_eq!(cluster.committed("orders", 0).0, Some(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_error_of_the_consumer_becomes_one_of_the_service() {
    let cluster = Cluster::new(&[("orders", 1)]);
    let (kafka, driver) = assign(&cluster.config(), &[("orders", 0)], Settings::default());
    driver.abort();
    let work = kafka.run(1, |_| async { Ok::<_, Failure>(()) });
    let failure = timeout(LONG, work).await.unwrap().unwrap_err();
    assert!(
        matches!(failure, Failure::Kafka(Error::DriverGone)),
        "{failure:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_waits_at_a_stop_is_not_committed() {
    let cluster = Cluster::new(&[("orders", 1)]);
    cluster.produce("orders", 0, &[Some("a"); 10]).await;
    let (kafka, _driver) = assign(&cluster.config(), &[("orders", 0)], Settings::default());
    let work = kafka.run(16, |message| {
        let kafka = &kafka;
        async move {
            let position = message.position();
            if position.offset() == 3 {
                while position.lease().in_flight() < 7 {
                    tokio::task::yield_now().await;
                }
                kafka.stop();
            }
            Ok::<_, Failure>(())
        }
    });
    timeout(LONG, work).await.unwrap().unwrap();
    kafka.close().await.unwrap();
    assert_eq!(cluster.committed("orders", 0), (Some(4), String::new()));
}

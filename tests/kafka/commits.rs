//! What is committed, and where a consumer begins.

use std::cell::RefCell;
use std::future::pending;
use std::time::Duration;

use ordered_by_group::kafka::Settings;
use tokio::time::timeout;

use crate::cluster::{Cluster, LONG};
use crate::log::Log;
use crate::service::{assign, serve};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_was_done_is_committed_and_the_next_consumer_goes_on_behind_it() {
    let cluster = Cluster::new(&[("orders", 1)]);
    cluster.produce_distinct("orders", 0, 100).await;
    for (first, last) in [(0, 99), (100, 149)] {
        let log = Log::new();
        let settings = Settings::default().observer(log.clone());
        let (kafka, driver) = assign(&cluster.config(), &[("orders", 0)], settings);
        let handled = RefCell::new(Vec::new());
        let work = serve(&kafka, |message| {
            let offset = message.offset();
            handled.borrow_mut().push(offset);
            if offset == last {
                kafka.stop();
            }
            async {}
        });
        timeout(LONG, work).await.unwrap().unwrap();
        kafka.close().await.unwrap();
        driver.await.unwrap().unwrap();
        assert_eq!(handled.into_inner(), (first..=last).collect::<Vec<_>>());
        assert_eq!(
            cluster.committed("orders", 0),
            (Some(last + 1), String::new())
        );
        cluster.produce_distinct("orders", 0, 50).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_done_past_a_stuck_message_is_not_done_again() {
    let cluster = Cluster::new(&[("orders", 1)]);
    cluster.produce_distinct("orders", 0, 1_000).await;
    let log = Log::new();
    let settings = Settings::default()
        .commit_every(Duration::from_millis(50))
        .observer(log.clone());
    let (kafka, driver) = assign(&cluster.config(), &[("orders", 0)], settings);
    let handled = RefCell::new(0);
    let work = serve(&kafka, |message| {
        *handled.borrow_mut() += 1;
        let is_stuck = message.offset() == 3;
        async move {
            if is_stuck {
                pending().await
            }
        }
    });
    let all_committed = async {
        while cluster.committed("orders", 0).1 != all_past_three() {
            log.until_count("committed", log.count("committed") + 1)
                .await;
        }
    };
    tokio::select! {
        end = work => panic!("{end:?}"),
        () = all_committed => {}
    }
    drop(kafka);
    driver.abort();
    let _ = driver.await;

    let settings = Settings::default().observer(Log::new());
    let (kafka, _driver) = assign(&cluster.config(), &[("orders", 0)], settings);
    let again = RefCell::new(Vec::new());
    cluster.produce_distinct("orders", 0, 1).await;
    let work = serve(&kafka, |message| {
        again.borrow_mut().push(message.offset());
        if message.offset() == 1_000 {
            kafka.stop();
        }
        async {}
    });
    timeout(LONG, work).await.unwrap().unwrap();
    kafka.close().await.unwrap();
    assert_eq!(again.into_inner(), [3, 1_000]);
    assert_eq!(cluster.committed("orders", 0).0, Some(1_001));
}

/// What a commit says if all of a thousand messages are done but that at 3.
fn all_past_three() -> String {
    use ordered_by_group::positions::{Done, Lease};

    let lease = Lease::new((), Some(3), Done::default());
    for offset in 3..1_000 {
        lease.read(offset).unwrap().settle(offset > 3);
    }
    lease.commit().unwrap().done.encode(4_096)
}

//! What is committed, and where a consumer begins.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error as _;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ordered_by_group::kafka::rdkafka::types::RDKafkaRespErr;
use ordered_by_group::kafka::rdkafka::{Offset, TopicPartitionList};
use ordered_by_group::kafka::{CommitBy, Error, Settings};
use ordered_by_group::positions::{Done, Lease};
use ordered_by_group::prelude::*;
use tokio::time::timeout;

use crate::cluster::{Cluster, LONG};
use crate::log::Log;
use crate::service::{assign, assign_list, serve, until};

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
        while cluster.committed("orders", 0).1 != done_past(3, &(4..1_000).collect::<Vec<_>>()) {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_commit_that_is_refused_is_due_until_it_is_taken() {
    let cluster = Cluster::new(&[("orders", 1)]);
    cluster.produce_distinct("orders", 0, 10).await;
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_COMMIT_OFFSET_SIZE;
    cluster.refuse_commits(2, refused);
    let log = Log::new();
    let settings = Settings::default()
        .commit_every(Duration::from_millis(20))
        .observer(log.clone());
    let (kafka, _driver) = assign(&cluster.config(), &[("orders", 0)], settings);
    let committed = async {
        log.until("committed orders [0] at 10").await;
        kafka.stop();
    };
    let (work, ()) = tokio::join!(serve(&kafka, |_| async {}), committed);
    work.unwrap();
    assert_eq!(log.count("refused"), 2);
    assert_eq!(cluster.committed("orders", 0).0, Some(10));
    kafka.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_last_commit_is_tried_three_times() {
    for refusals in [2, 3] {
        let cluster = Cluster::new(&[("orders", 1)]);
        cluster.produce_distinct("orders", 0, 10).await;
        let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_COMMIT_OFFSET_SIZE;
        cluster.refuse_commits(refusals, refused);
        let log = Log::new();
        let settings = Settings::default()
            .commit_every(Duration::from_secs(60))
            .observer(log.clone());
        let (kafka, driver) = assign(&cluster.config(), &[("orders", 0)], settings);
        let work = serve(&kafka, |message| {
            if message.offset() == 9 {
                kafka.stop();
            }
            async {}
        });
        timeout(LONG, work).await.unwrap().unwrap();
        let end = kafka.close().await;
        assert_eq!(log.count("refused"), refusals);
        let committed = cluster.committed("orders", 0).0;
        if refusals == 2 {
            end.unwrap();
            assert_eq!(committed, Some(10));
        } else {
            let error = end.unwrap_err();
            assert!(matches!(error, Error::LastCommit(_)), "{error:?}");
            let told = log.lines_of("refused").pop().unwrap();
            let told = told.strip_prefix("refused ").unwrap();
            assert_eq!(error.source().unwrap().to_string(), told);
            assert!(error.to_string().ends_with(told), "{error}");
            assert_eq!(committed, None);
            assert!(driver.await.unwrap().is_err());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn metadata_of_another_program_is_overwritten() {
    for metadata in [
        &b"written by another program"[..],
        b"\xff\xfe no text",
        b"obg1rAAAAAA",
    ] {
        let cluster = Cluster::new(&[("orders", 1)]);
        cluster.produce_distinct("orders", 0, 10).await;
        cluster.commit_foreign("orders", 0, 4, metadata);
        let handled = handle_all(&cluster, Settings::default()).await;
        assert_eq!(handled, [4, 5, 6, 7, 8, 9]);
        assert_eq!(cluster.committed("orders", 0), (Some(10), String::new()));
    }
}

/// Handles ten messages of one partition, up to the last one.
async fn handle_all(cluster: &Cluster, settings: Settings) -> Vec<i64> {
    let (kafka, _driver) = assign(&cluster.config(), &[("orders", 0)], settings);
    let handled = RefCell::new(Vec::new());
    let work = serve(&kafka, |message| {
        handled.borrow_mut().push(message.offset());
        if message.offset() == 9 {
            kafka.stop();
        }
        async {}
    });
    timeout(LONG, work).await.unwrap().unwrap();
    kafka.close().await.unwrap();
    handled.into_inner()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_metadata_none_is_read_or_written() {
    let cluster = Cluster::new(&[("orders", 1)]);
    cluster.produce_distinct("orders", 0, 10).await;
    let done = done_past(4, &[6, 7]);
    cluster.commit_foreign("orders", 0, 4, done.as_bytes());
    let settings = Settings::default().metadata(0);
    let (kafka, _driver) = assign(&cluster.config(), &[("orders", 0)], settings);
    let handled = RefCell::new(Vec::new());
    let last = RefCell::new(None);
    let work = serve(&kafka, |message| {
        handled.borrow_mut().push(message.offset());
        let is_first = message.offset() == 4;
        if message.offset() == 9 {
            last.replace(Some(message.position()));
        }
        async move {
            if is_first {
                pending().await
            }
        }
    });
    let all_but_one = until(|| {
        let last = last.borrow();
        last.as_ref()
            .is_some_and(|last| last.lease().in_flight() == 1)
    });
    tokio::select! {
        end = work => panic!("{end:?}"),
        () = all_but_one => {}
    }
    kafka.close().await.unwrap();
    assert_eq!(handled.into_inner(), [4, 5, 6, 7, 8, 9]);
    assert_eq!(cluster.committed("orders", 0), (Some(4), String::new()));
    assert_eq!(
        handle_all(&cluster, Settings::default()).await,
        [4, 5, 6, 7, 8, 9]
    );
}

/// The metadata which says that these offsets past the position are done.
fn done_past(next: i64, offsets: &[i64]) -> String {
    let lease = Lease::new((), Some(next), Done::default());
    for offset in next..=offsets[offsets.len() - 1] {
        let is_done = offsets.contains(&offset);
        lease.read(offset).unwrap().settle(is_done);
    }
    lease.commit().unwrap().done.encode(4_096)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_an_earlier_consumer_has_done_is_not_handed_out() {
    let cluster = Cluster::new(&[("orders", 1)]);
    cluster.produce_distinct("orders", 0, 10).await;
    let done = done_past(4, &[5, 6, 8]);
    cluster.commit_foreign("orders", 0, 4, done.as_bytes());
    let handled = handle_all(&cluster, Settings::default()).await;
    assert_eq!(handled, [4, 7, 9]);
    assert_eq!(cluster.committed("orders", 0), (Some(10), String::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn metadata_that_is_too_long_for_the_broker_is_halved() {
    let cluster = Cluster::new(&[("orders", 1)]);
    cluster.produce_distinct("orders", 0, 300).await;
    let log = Log::new();
    let settings = Settings::default()
        .metadata(60)
        .commit_every(Duration::from_millis(20))
        .observer(log.clone());
    let too_long = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE;
    cluster.refuse_commits(1, too_long);
    let (kafka, _driver) = assign(&cluster.config(), &[("orders", 0)], settings);
    // Every third one is left, so that there is much to say.
    let work = kafka
        .messages()
        .try_ordered_by_group(|message| message.group(), 1)
        .offsets(|message| message.position())
        .and_then_unordered(|message| async move { Ok(message.offset()) })
        .try_drive(|(done, offset)| {
            offset.offset().settle(done % 3 > 0);
            if done == 299 {
                kafka.stop();
            }
            async { Ok(()) }
        });
    work.await.unwrap();
    kafka.close().await.unwrap();
    assert_eq!(log.count("refused"), 1);
    let (next, metadata) = cluster.committed("orders", 0);
    assert_eq!(next, Some(0));
    assert_eq!(metadata.len(), 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn librdkafka_may_commit_what_is_stored() {
    let cluster = Cluster::new(&[("orders", 1)]);
    cluster.produce_distinct("orders", 0, 10).await;
    let done = done_past(4, &[6, 8]);
    cluster.commit_foreign("orders", 0, 4, done.as_bytes());
    let log = Log::new();
    let settings = Settings::default()
        .commit_by(CommitBy::Store)
        .commit_every(Duration::from_secs(60))
        .observer(log.clone());
    let (kafka, _driver) = assign(&cluster.config(), &[("orders", 0)], settings);
    let stuck = serve(&kafka, |message| {
        let is_stuck = message.offset() == 5;
        async move {
            if is_stuck {
                pending().await
            }
        }
    });
    let stored = log.until("committed orders [0] at 5");
    tokio::select! {
        end = stuck => panic!("{end:?}"),
        () = stored => {}
    }
    kafka.close().await.unwrap();
    assert_eq!(
        cluster.committed("orders", 0),
        (Some(5), done_past(5, &[6, 7, 8, 9]))
    );
    cluster.produce_distinct("orders", 0, 1).await;
    let handled = RefCell::new(Vec::new());
    let (kafka, _driver) = assign(
        &cluster.config(),
        &[("orders", 0)],
        Settings::default().commit_by(CommitBy::Store),
    );
    let work = serve(&kafka, |message| {
        handled.borrow_mut().push(message.offset());
        if message.offset() == 10 {
            kafka.stop();
        }
        async {}
    });
    timeout(LONG, work).await.unwrap().unwrap();
    kafka.close().await.unwrap();
    assert_eq!(handled.into_inner(), [5, 10]);
    assert_eq!(cluster.committed("orders", 0), (Some(11), String::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_function_of_the_user_may_commit() {
    let cluster = Cluster::new(&[("orders", 2)]);
    for partition in [0, 1] {
        cluster.produce_distinct("orders", partition, 10).await;
    }
    let log = Log::new();
    let store = Arc::new(Mutex::new(BTreeMap::new()));
    let calls = Arc::new(AtomicUsize::new(0));
    let commit_by = {
        let (store, calls) = (Arc::clone(&store), Arc::clone(&calls));
        CommitBy::with(move |offsets, _group| {
            let is_first = calls.fetch_add(1, Ordering::Relaxed) == 0;
            let store = Arc::clone(&store);
            async move {
                if is_first {
                    return Err("the store is away");
                }
                tokio::task::yield_now().await;
                for element in offsets.elements() {
                    let text = element.metadata().to_owned();
                    let committed = (element.offset(), text);
                    store.lock().unwrap().insert(element.partition(), committed);
                }
                Ok(())
            }
        })
    };
    let settings = Settings::default()
        .commit_by(commit_by)
        .commit_every(Duration::from_millis(20))
        .observer(log.clone());
    let both = [("orders", 0), ("orders", 1)];
    let (kafka, _driver) = assign(&cluster.config(), &both, settings);
    let work = serve(&kafka, |message| {
        let is_stuck = message.partition().number() == 1 && message.offset() == 2;
        async move {
            if is_stuck {
                pending().await
            }
        }
    });
    let done = done_past(2, &[3, 4, 5, 6, 7, 8, 9]);
    let all_but_one = until(|| {
        let stored = store.lock().unwrap();
        stored
            .get(&0)
            .is_some_and(|(next, _)| *next == Offset::Offset(10))
            && stored.get(&1).is_some_and(|(_, text)| *text == done)
    });
    tokio::select! {
        end = work => panic!("{end:?}"),
        () = all_but_one => {}
    }
    kafka.close().await.unwrap();
    let stored = store.lock().unwrap().clone();
    assert_eq!(stored[&0], (Offset::Offset(10), String::new()));
    assert_eq!(stored[&1], (Offset::Offset(2), done));
    assert_eq!(log.lines_of("away"), ["refused the store is away"]);
    assert_eq!(cluster.committed("orders", 0).0, None);

    // And the consumer begins where that store says.
    let mut list = TopicPartitionList::new();
    for (partition, (offset, text)) in stored {
        let mut element = list.add_partition("orders", partition);
        element.set_offset(offset).unwrap();
        element.set_metadata(text);
    }
    cluster.produce_distinct("orders", 0, 1).await;
    let (kafka, _driver) = assign_list(&cluster.config(), &list, Settings::default());
    let handled = RefCell::new(Vec::new());
    let work = serve(&kafka, |message| {
        let place = (message.partition().number(), message.offset());
        handled.borrow_mut().push(place);
        if handled.borrow().len() == 2 {
            kafka.stop();
        }
        async {}
    });
    timeout(LONG, work).await.unwrap().unwrap();
    kafka.close().await.unwrap();
    let mut handled = handled.into_inner();
    handled.sort_unstable();
    assert_eq!(handled, [(0, 10), (1, 2)]);
}

//! What is read.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use ordered_by_group::kafka::rdkafka::consumer::DefaultConsumerContext;
use ordered_by_group::kafka::rdkafka::message::{Headers as _, Message as _};
use ordered_by_group::kafka::rdkafka::types::RDKafkaRespErr;
use ordered_by_group::kafka::{Error, Kafka, Message, Settings};
use ordered_by_group::prelude::*;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::cluster::{Cluster, LONG, partitions};
use crate::context::Context;
use crate::log::Log;
use crate::service::{assign, serve, subscribe, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn equal_keys_of_a_partition_are_a_group_and_messages_without_a_key_are_free() {
    let cluster = Cluster::new(&[("orders", 2), ("returns", 1)]);
    let keys = [Some("ann"), None, Some("bob"), None, Some("ann"), Some("")];
    let all = [("orders", 0), ("orders", 1), ("returns", 0)];
    for (topic, partition) in all {
        cluster.produce(topic, partition, &keys).await;
    }
    let (kafka, _driver) = assign(&cluster.config(), &all, Settings::default());
    let mut groups = Vec::new();
    let mut messages = kafka.messages();
    while groups.len() < 18 {
        let message = next(&mut messages).await;
        assert_eq!(
            message.key().is_none(),
            message.offset() % 2 == 1 && message.offset() < 5
        );
        let payload = message.offset().to_string();
        assert_eq!(message.payload(), Some(payload.as_bytes()));
        assert!(message.timestamp().to_millis().is_some());
        assert!(message.headers().is_none());
        let (partition, copy) = (message.partition(), message.detach());
        assert_eq!(partition.topic(), message.topic());
        assert_eq!(partition.epoch(), message.position().epoch());
        assert_eq!(copy.topic(), message.topic());
        assert_eq!(copy.partition(), partition.number());
        assert_eq!(copy.key(), message.key());
        let place = (
            message.topic().to_owned(),
            partition.number(),
            message.offset(),
        );
        groups.push((place, message.group()));
        message.position().settle(true);
    }
    for ((place, group), n) in groups.iter().zip(0..) {
        for (other, other_group) in &groups[n + 1..] {
            let is_partition = (&place.0, place.1) == (&other.0, other.1);
            let are_ann = [place.2, other.2] == [0, 4];
            assert_eq!(
                group == other_group,
                is_partition && are_ann,
                "{place:?} {other:?}"
            );
        }
    }
    let mut distinct: Vec<_> = groups
        .iter()
        .map(|(place, _)| (&place.0, place.1))
        .collect();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 3);
}

async fn next<'a>(
    messages: &mut ordered_by_group::kafka::Messages<'a, DefaultConsumerContext>,
) -> Message<'a> {
    let next = timeout(LONG, messages.next()).await;
    next.expect("no message").expect("the end").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_pipeline_of_borrowed_messages_can_be_spawned() {
    let cluster = Cluster::new(&[("orders", 1)]);
    cluster.produce_distinct("orders", 0, 10).await;
    let (kafka, _driver) = assign(&cluster.config(), &[("orders", 0)], Settings::default());
    let service = tokio::spawn(async move {
        serve(&kafka, |message| {
            if message.offset() == 9 {
                kafka.stop();
            }
            async {}
        })
        .await?;
        kafka.close().await
    });
    timeout(LONG, service).await.unwrap().unwrap().unwrap();
    assert_eq!(cluster.committed("orders", 0).0, Some(10));
}

/// With three seconds of no reading. The client is served all the same: statistics come, and the broker's requests are met.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_full_window_keeps_the_client_served_and_pauses_it_after_a_while() {
    let cluster = Cluster::new(&[("orders", 2)]);
    for partition in [0, 1] {
        cluster.produce_distinct("orders", partition, 100).await;
    }
    let log = Log::new();
    let settings = Settings::default().observer(log.clone());
    let mut config = cluster.config();
    config.set("statistics.interval.ms", "500");
    let context = Context::default();
    let calls = Arc::clone(&context.calls);
    let list = partitions(&[("orders", 0), ("orders", 1)]);
    let (kafka, driver) = Kafka::assign(&config, &list, context, settings).unwrap();
    let _driver = tokio::spawn(driver);
    let (gate, is_open) = (Notify::new(), AtomicBool::new(false));
    let handled = RefCell::new(Vec::new());
    let work = kafka
        .messages()
        .try_ordered_by_group(|_| (), 1)
        .look_ahead(1)
        .offsets(|message| message.position())
        .and_then(|message| {
            let (gate, is_open, handled) = (&gate, &is_open, &handled);
            async move {
                let place = (message.partition().number(), message.offset());
                let payload = message.offset().to_string();
                assert_eq!(message.payload(), Some(payload.as_bytes()));
                handled.borrow_mut().push(place);
                while !is_open.load(Ordering::SeqCst) {
                    gate.notified().await;
                }
                Ok(())
            }
        })
        .try_drive(|((), offset)| {
            offset.settle(true);
            async { Ok(()) }
        });
    let watch = async {
        log.until_count("paused", 2).await;
        let stats = || {
            calls
                .lock()
                .unwrap()
                .iter()
                .filter(|call| *call == "stats of consumer")
                .count()
        };
        let served = stats();
        assert!(served >= 5, "{served}");
        assert_eq!(handled.borrow().len(), 1);
        is_open.store(true, Ordering::SeqCst);
        gate.notify_one();
        log.until("committed orders [0] at 100").await;
        log.until("committed orders [1] at 100").await;
        assert_eq!(log.count("resumed"), 2);
        kafka.stop();
    };
    let (work, ()) = tokio::join!(work, watch);
    work.unwrap();
    let handled = handled.into_inner();
    for partition in [0, 1] {
        let of = handled.iter().filter(|(of, _)| *of == partition);
        assert!(of.map(|(_, offset)| *offset).eq(0..100), "{handled:?}");
    }
    kafka.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_message_that_is_never_settled_ends_the_stream_with_an_error() {
    let cluster = Cluster::new(&[("orders", 1)]);
    cluster.produce_distinct("orders", 0, 1_000).await;
    let (kafka, _driver) = assign(&cluster.config(), &[("orders", 0)], Settings::default());
    let handled = RefCell::new(0);
    let work = kafka
        .messages()
        .try_ordered_by_group(|message| message.group(), 1)
        .offsets(|message| message.position())
        .and_then_unordered(|_| {
            *handled.borrow_mut() += 1;
            async { Ok(()) }
        })
        .try_drive(|_| async { Ok(()) });
    let error = timeout(LONG, work).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Unsettled(_)), "{error:?}");
    assert!(
        error
            .to_string()
            .starts_with("a message of orders [0] was dropped without being settled")
    );
    let handled = handled.into_inner();
    assert!(handled < 10, "it shows at once: {handled}");
    kafka.close().await.unwrap();
    assert_eq!(cluster.committed("orders", 0).0, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn so_it_does_if_it_was_the_last_one() {
    let cluster = Cluster::new(&[("orders", 1)]);
    cluster.produce_distinct("orders", 0, 1).await;
    let (kafka, _driver) = assign(&cluster.config(), &[("orders", 0)], Settings::default());
    let mut messages = kafka.messages();
    drop(next(&mut messages).await);
    let error = timeout(LONG, messages.next()).await.unwrap();
    let error = error.unwrap().unwrap_err();
    assert!(matches!(error, Error::Unsettled(_)), "{error:?}");
    assert!(messages.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_message_that_was_left_stalls_its_partition_and_the_observer_is_told() {
    let cluster = Cluster::new(&[("orders", 1)]);
    cluster.produce_distinct("orders", 0, 10).await;
    let log = Log::new();
    let settings = Settings::default()
        .commit_every(Duration::from_millis(150))
        .observer(log.clone());
    let (kafka, _driver) = assign(&cluster.config(), &[("orders", 0)], settings);
    let mut messages = kafka.messages();
    for offset in 0..10 {
        let message = next(&mut messages).await;
        message.position().settle(![4, 7].contains(&offset));
    }
    log.until("stalled orders [0] by 2").await;
    for _ in 0..3 {
        // Longer than the driver waits between two looks.
        let commits = log.count("committed");
        cluster.produce_distinct("orders", 0, 1).await;
        next(&mut messages).await.position().settle(true);
        log.until_count("committed", commits + 1).await;
    }
    drop(messages);
    kafka.close().await.unwrap();
    assert_eq!(cluster.committed("orders", 0).0, Some(4));
    assert_eq!(log.count("stalled orders [0] by 2"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[should_panic = "only one stream of messages can be there at a time"]
async fn there_is_one_stream_of_messages_at_a_time() {
    let cluster = Cluster::new(&[("orders", 1)]);
    let (kafka, _driver) = assign(&cluster.config(), &[("orders", 0)], Settings::default());
    drop(kafka.messages());
    let _messages = kafka.messages();
    let _another = kafka.messages();
}

/// The position was past the end, as after a topic was made anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_log_that_has_gone_back_is_read_from_its_start() {
    let cluster = Cluster::new(&[("orders", 1)]);
    cluster.produce_distinct("orders", 0, 10).await;
    cluster.commit_foreign("orders", 0, 100, b"");
    let log = Log::new();
    let settings = Settings::default().observer(log.clone());
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
    assert_eq!(handled.into_inner(), (0..10).collect::<Vec<_>>());
    assert_eq!(log.count("went back orders [0] to 0"), 1);
    assert_eq!(cluster.committed("orders", 0).0, Some(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn so_it_is_if_that_was_seen_while_nobody_read() {
    let cluster = Cluster::new(&[("orders", 2)]);
    for partition in [0, 1] {
        cluster.produce_distinct("orders", partition, 10).await;
    }
    cluster.commit_foreign("orders", 0, 100, b"");
    let mut config = cluster.config();
    config.set("statistics.interval.ms", "50");
    let context = Context::default();
    let calls = Arc::clone(&context.calls);
    let list = partitions(&[("orders", 0), ("orders", 1)]);
    let (kafka, driver) = Kafka::assign(&config, &list, context, Settings::default()).unwrap();
    let _driver = tokio::spawn(driver);
    let handled = RefCell::new(Vec::new());
    // Once a second has passed, as the statistics tell, the driver has read some of both.
    let has_read_ahead = || calls.lock().unwrap().len() > 20;
    let work = kafka.run(1, |message| {
        let place = (message.partition().number(), message.offset());
        handled.borrow_mut().push(place);
        if handled.borrow().len() == 20 {
            kafka.stop();
        }
        async {
            until(has_read_ahead).await;
            Ok::<_, Error>(())
        }
    });
    timeout(LONG, work).await.unwrap().unwrap();
    kafka.close().await.unwrap();
    let mut handled = handled.into_inner();
    handled.sort_unstable();
    let all = [0, 1].map(|partition| (0..10).map(move |offset| (partition, offset)));
    assert!(handled.into_iter().eq(all.into_iter().flatten()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_broker_that_is_away_for_a_while_is_no_end() {
    let cluster = Cluster::new(&[("orders", 1)]);
    cluster.produce_distinct("orders", 0, 10).await;
    let log = Log::new();
    let settings = Settings::default()
        .observer(log.clone())
        .commit_every(Duration::from_millis(50));
    let mut config = cluster.config();
    config.set("reconnect.backoff.ms", "50");
    let (kafka, _driver) = assign(&config, &[("orders", 0)], settings);
    let watch = async {
        log.until("committed orders [0] at 10").await;
        cluster.mock.broker_down(-1).unwrap();
        log.until("error").await;
        assert!(kafka.transient_errors() > 0);
        cluster.mock.broker_up(-1).unwrap();
        cluster.produce_distinct("orders", 0, 10).await;
        log.until("committed orders [0] at 20").await;
        kafka.stop();
    };
    let (work, ()) = tokio::join!(serve(&kafka, |_| async {}), watch);
    work.unwrap();
    kafka.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_broker_that_cannot_be_reached_is_told_and_waited_for() {
    let log = Log::new();
    let settings = Settings::default().observer(log.clone());
    let mut config = Cluster::new(&[]).config();
    config.set("bootstrap.servers", "127.0.0.1:1");
    let (kafka, driver) = subscribe(&config, &["orders"], settings);
    let work = serve(&kafka, |_| async {});
    let told = log.until("error Message consumption error: ");
    tokio::select! {
        end = work => panic!("{end:?}"),
        () = told => {}
    }
    timeout(LONG, kafka.close()).await.unwrap().unwrap();
    driver.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_the_broker_forbids_ends_the_stream_and_says_what_to_do() {
    let cluster = Cluster::new(&[("orders", 1)]);
    let forbidden = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    cluster.mock.topic_error("orders", forbidden).unwrap();
    let (kafka, _driver) = subscribe(&cluster.config(), &["orders"], Settings::default());
    let end = timeout(LONG, serve(&kafka, |_| async {})).await.unwrap();
    let error = end.unwrap_err();
    assert!(matches!(error, Error::Fatal(_)), "{error:?}");
    let text = error.to_string();
    assert!(
        text.starts_with("the Kafka consumer cannot go on: "),
        "{text}"
    );
    assert!(
        text.ends_with("; allow this user to read the topic"),
        "{text}"
    );
    timeout(LONG, kafka.close()).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn headers_and_tombstones_come_through() {
    let cluster = Cluster::new(&[("orders", 1)]);
    cluster
        .produce_tombstone("orders", 0, "key", ("trace", "id"))
        .await;
    let (kafka, _driver) = assign(&cluster.config(), &[("orders", 0)], Settings::default());
    let mut messages = kafka.messages();
    let message = next(&mut messages).await;
    assert_eq!(message.payload(), None);
    assert_eq!(message.key(), Some(&b"key"[..]));
    let header = message.headers().unwrap().get(0);
    assert_eq!((header.key, header.value), ("trace", Some(&b"id"[..])));
    message.position().settle(true);
}

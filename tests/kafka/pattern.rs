//! Topics that are subscribed to by a pattern.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use ordered_by_group::kafka::Settings;
use tokio::time::timeout;

use crate::cluster::{Cluster, LONG};
use crate::log::Log;
use crate::service::{serve, subscribe};

const KEYS: [Option<&str>; 4] = [Some("ann"), Some("bob"), Some("ann"), Some("bob")];

/// In the order in which they were handled: the offsets, by topic, partition and key.
type Handled = BTreeMap<(String, i32, String), Vec<i64>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn all_topics_that_match_are_read_and_so_is_one_that_is_made_later() {
    let cluster = Cluster::new(&[("orders-eu", 2), ("orders-us", 1), ("returns-eu", 1)]);
    for (topic, partition) in [("orders-eu", 0), ("orders-eu", 1), ("orders-us", 0)] {
        cluster.produce(topic, partition, &KEYS).await;
    }
    cluster.produce("returns-eu", 0, &KEYS).await;
    let log = Log::new();
    let settings = Settings::default()
        .commit_every(Duration::from_millis(20))
        .observer(log.clone());
    let mut config = cluster.config();
    config
        .set("topic.metadata.refresh.interval.ms", "100")
        .set("session.timeout.ms", "3500");
    let (kafka, _driver) = subscribe(&config, &["^orders-.*"], settings);
    let handled = RefCell::new(Handled::new());
    let running = RefCell::new(Vec::new());
    let work = serve(&kafka, |message| {
        let group = (
            message.topic().to_owned(),
            message.partition().number(),
            String::from_utf8(message.key().unwrap().to_vec()).unwrap(),
        );
        assert!(!running.borrow().contains(&group), "two at once: {group:?}");
        running.borrow_mut().push(group.clone());
        let mut handled = handled.borrow_mut();
        let offsets = handled.entry(group.clone()).or_default();
        offsets.push(message.offset());
        let running = &running;
        async move {
            tokio::task::yield_now().await;
            running.borrow_mut().retain(|other| *other != group);
        }
    });
    let watch = async {
        for partition in ["orders-eu [0]", "orders-eu [1]", "orders-us [0]"] {
            log.until(&format!("committed {partition} at 4")).await;
        }
        cluster.mock.create_topic("orders-asia", 1, 1).unwrap();
        cluster.produce("orders-asia", 0, &KEYS).await;
        log.until("committed orders-asia [0] at 4").await;
        // And those that were there before are read on.
        cluster.produce("orders-us", 0, &KEYS).await;
        log.until("committed orders-us [0] at 8").await;
        kafka.stop();
    };
    let both = async { tokio::join!(work, watch) };
    let (work, ()) = timeout(LONG, both).await.unwrap();
    work.unwrap();
    kafka.close().await.unwrap();
    let expected = [
        ("orders-asia", 0, 4),
        ("orders-eu", 0, 4),
        ("orders-eu", 1, 4),
        ("orders-us", 0, 8),
    ];
    let groups = expected.iter().flat_map(|(topic, partition, count)| {
        [("ann", 0), ("bob", 1)].map(|(key, first)| {
            let group = ((*topic).to_owned(), *partition, key.to_owned());
            (group, (first..*count).step_by(2).collect())
        })
    });
    assert_eq!(handled.into_inner(), groups.collect());
    for (topic, partition, count) in expected {
        assert_eq!(cluster.committed(topic, partition).0, Some(count));
    }
    assert_eq!(log.lines_of("returns-eu"), [""; 0]);
}

//! What is refused at once, with a reason.

use std::time::Duration;

use ordered_by_group::kafka::rdkafka::consumer::DefaultConsumerContext;
use ordered_by_group::kafka::rdkafka::{ClientConfig, TopicPartitionList};
use ordered_by_group::kafka::{CommitBy, Error, Kafka, Settings};

fn config() -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", "127.0.0.1:1")
        .set("group.id", "group");
    config
}

/// Why a consumer cannot be created.
fn refusal(config: &ClientConfig, settings: Settings) -> String {
    let created = Kafka::subscribe(config, &["orders"], DefaultConsumerContext, settings);
    created.map(|_| ()).unwrap_err().to_string()
}

#[track_caller]
fn assert_starts(text: &str, start: &str) {
    assert!(text.starts_with(start), "{text}");
}

#[tokio::test]
async fn what_librdkafka_would_commit_by_itself_is_refused() {
    for value in ["true", "1", "TRUE"] {
        assert_starts(
            &refusal(
                config().set("enable.auto.commit", value),
                Settings::default(),
            ),
            "the setting enable.auto.commit is true, so",
        );
        assert_starts(
            &refusal(
                config().set("enable.auto.offset.store", value),
                Settings::default().commit_by(CommitBy::Store),
            ),
            "the setting enable.auto.offset.store is true, so",
        );
    }
    assert_starts(
        &refusal(
            config().set("enable.auto.commit", "false"),
            Settings::default().commit_by(CommitBy::Store),
        ),
        "the setting enable.auto.commit is false, so",
    );
}

#[tokio::test]
async fn settings_that_agree_are_taken() {
    let cases = [
        ("enable.auto.commit", "false", CommitBy::Sync),
        ("enable.auto.commit", "true", CommitBy::Store),
        ("enable.auto.offset.store", "false", CommitBy::Sync),
        ("fetch.queue.backoff.ms", "1000", CommitBy::Sync),
        ("auto.commit.interval.ms", "100", CommitBy::Store),
    ];
    for (name, value, commit_by) in cases {
        let settings = Settings::default().commit_by(commit_by);
        let config = config().set(name, value).clone();
        let created = Kafka::subscribe(&config, &["orders"], DefaultConsumerContext, settings);
        assert!(created.is_ok(), "{name}: {created:?}");
    }
}

#[tokio::test]
async fn a_group_is_needed() {
    for config in [config().remove("group.id"), config().set("group.id", "")] {
        let reason = "the setting group.id is missing: ";
        assert_starts(&refusal(config, Settings::default()), reason);
    }
}

#[tokio::test]
async fn a_drain_must_end_before_the_broker_gives_the_partition_away() {
    let mut config = config();
    config
        .set("session.timeout.ms", "6000")
        .set("max.poll.interval.ms", "8000");
    let created = |within| {
        let settings = Settings::default().drain_within(within);
        Kafka::subscribe(&config, &["orders"], DefaultConsumerContext, settings).map(|_| ())
    };
    assert!(created(Duration::from_secs(6)).is_ok());
    assert_eq!(
        created(Duration::from_millis(6_001))
            .unwrap_err()
            .to_string(),
        "the setting drain_within is 6.001s, but the broker takes the partitions away after max.poll.interval.ms, which is \
         8s: set at most 6s, or a longer max.poll.interval.ms"
    );
}

#[tokio::test]
async fn settings_out_of_their_range_are_refused() {
    let often = Settings::default().commit_every(Duration::from_millis(9));
    assert_starts(
        &refusal(&config(), often),
        "the setting commit_every is 9ms: ",
    );
    let none = Settings::default().in_flight(0);
    assert_starts(&refusal(&config(), none), "the setting in_flight is 0, ");
    let no_topics = Kafka::subscribe(&config(), &[], DefaultConsumerContext, Settings::default());
    let no_topics = no_topics.map(|_| ()).unwrap_err().to_string();
    assert_starts(&no_topics, "the setting topics is empty: ");
    let mut list = TopicPartitionList::new();
    let assigned = |list: &TopicPartitionList| {
        let created = Kafka::assign(&config(), list, DefaultConsumerContext, Settings::default());
        created.map(|_| ()).unwrap_err().to_string()
    };
    assert_starts(&assigned(&list), "the setting partitions is empty: ");
    list.add_topic_unassigned("orders");
    assert_starts(
        &assigned(&list),
        "the setting partitions has the topic orders without the number of a partition: ",
    );
}

#[tokio::test]
async fn what_librdkafka_does_not_know_is_named() {
    let error = Kafka::subscribe(
        config().set("no.such.setting", "1"),
        &["orders"],
        DefaultConsumerContext,
        Settings::default(),
    );
    let error = error.map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::Client(_)));
    assert!(error.to_string().contains("no.such.setting"), "{error}");
}

#[test]
fn a_runtime_is_needed() {
    let reason = refusal(&config(), Settings::default());
    assert_starts(&reason, "the setting runtime is missing: ");
}

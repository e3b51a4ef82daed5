//! Config: what is set in a client's configuration, and what may not be.

use std::time::Duration;

use rdkafka::ClientConfig;

use crate::kafka::{CommitBy, Error, Settings};

/// How long a full queue of fetched messages keeps librdkafka from fetching again. Its default is a second, which is all
/// that one sees of a consumer that is slower than its broker for a moment.
const FETCH_BACK_OFF: &str = "10";

const DRAIN_WITHIN: Duration = Duration::from_secs(10);
const LEAST_COMMIT_EVERY: Duration = Duration::from_millis(10);

/// The user's configuration, completed and checked.
pub(super) struct Checked {
    pub(super) config: ClientConfig,
    pub(super) drain_within: Duration,
    /// `max.poll.interval.ms`: how long the broker waits for a consumer in a rebalance.
    pub(super) patience: Duration,
}

pub(super) fn check(config: &ClientConfig, settings: &Settings) -> Result<Checked, Error> {
    let mut config = config.clone();
    if config.get("group.id").is_none_or(str::is_empty) {
        let reason = "is missing: positions are committed for a group, also if you assign the partitions yourself";
        return Err(Error::setting("group.id", reason));
    }
    let stores = matches!(settings.commit_by, CommitBy::Store);
    match (stores, config.get("enable.auto.commit").map(is_true)) {
        (false, Some(true)) => {
            let reason = "is true, so librdkafka would commit messages that are not done: remove it, or commit by \
                          `CommitBy::Store`";
            return Err(Error::setting("enable.auto.commit", reason));
        }
        (true, Some(false)) => {
            let reason = "is false, so `CommitBy::Store` would never commit: remove it, or commit by `CommitBy::Sync`";
            return Err(Error::setting("enable.auto.commit", reason));
        }
        _ => config.set("enable.auto.commit", stores.to_string()),
    };
    if config.get("enable.auto.offset.store").is_some_and(is_true) {
        let reason = "is true, so librdkafka would commit messages that are not done: remove it";
        return Err(Error::setting("enable.auto.offset.store", reason));
    }
    config.set("enable.auto.offset.store", "false");
    set_default(&mut config, "fetch.queue.backoff.ms", FETCH_BACK_OFF);
    if settings.commit_every < LEAST_COMMIT_EVERY {
        let reason = format!("is {:?}: set at least 10 ms", settings.commit_every);
        return Err(Error::setting("commit_every", reason));
    }
    if settings.in_flight == 0 {
        let reason = "is 0, so no message could be handed out: set at least 1";
        return Err(Error::setting("in_flight", reason));
    }
    let interval = settings.commit_every.as_millis().min(86_400_000);
    set_default(
        &mut config,
        "auto.commit.interval.ms",
        &interval.to_string(),
    );
    let native = config.create_native_config().map_err(Error::Client)?;
    let patience = native
        .get("max.poll.interval.ms")
        .map_err(Error::Client)?
        .parse()
        .map_or(Duration::from_secs(300), Duration::from_millis);
    let drain_within = drain_within(settings.drain_within, patience)?;
    Ok(Checked {
        config,
        drain_within,
        patience,
    })
}

/// What librdkafka takes for true.
fn is_true(value: &str) -> bool {
    ["true", "t", "1"]
        .iter()
        .any(|word| value.eq_ignore_ascii_case(word))
}

fn set_default(config: &mut ClientConfig, name: &str, value: &str) {
    if config.get(name).is_none() {
        config.set(name, value);
    }
}

fn drain_within(asked: Option<Duration>, patience: Duration) -> Result<Duration, Error> {
    let most = patience * 3 / 4;
    match asked {
        None => Ok(DRAIN_WITHIN.min(most)),
        Some(asked) if asked <= most => Ok(asked),
        Some(asked) => Err(Error::setting(
            "drain_within",
            format!(
                "is {asked:?}, but the broker takes the partitions away after max.poll.interval.ms, which is {patience:?}: set \
                 at most {most:?}, or a longer max.poll.interval.ms"
            ),
        )),
    }
}

//! Args: what the members have in common.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use rdkafka::ClientConfig;

use crate::handler::Handler;
use crate::journal::Journal;

/// A member of a consumer group. It ends cleanly when it gets SIGTERM.
#[derive(Debug, Parser)]
pub struct Args {
    /// Where the broker listens, such as 127.0.0.1:19092.
    #[arg(long)]
    pub brokers: String,

    /// The topic to read.
    #[arg(long)]
    pub topic: String,

    /// The group to join.
    #[arg(long)]
    pub group: String,

    /// The file to write down in what the handlers do.
    #[arg(long)]
    pub journal: PathBuf,

    /// How partitions are shared out.
    #[arg(long, value_enum, default_value = "range")]
    pub protocol: Protocol,

    /// How many handlers run at once.
    #[arg(long, default_value_t = 64)]
    pub slots: usize,

    /// How long a handler takes, in milliseconds: from and to.
    #[arg(long, num_args = 2, value_names = ["FROM", "TO"], default_values_t = [5, 50])]
    pub takes: Vec<u64>,

    /// How long the handler of a record with the key `stuck` takes, in milliseconds, instead of what others take.
    #[arg(long)]
    pub stuck_for: Option<u64>,

    /// The name of a static member.
    #[arg(long)]
    pub instance: Option<String>,

    /// Milliseconds after which the broker takes a member that it does not hear of for dead. With the protocol of KIP-848 the
    /// broker has a time of its own.
    #[arg(long, default_value_t = 6_000)]
    pub session_timeout: u64,

    /// Milliseconds between two commits.
    #[arg(long, default_value_t = 1_000)]
    pub commit_every: u64,

    /// Milliseconds after which the broker takes the partitions of a member that does not poll.
    #[arg(long, default_value_t = 60_000)]
    pub max_poll_interval: u64,

    /// What a member still does before it gives partitions up: what runs, or all that is admitted.
    #[arg(long, value_enum, default_value = "running")]
    pub drain: Drain,

    /// The most milliseconds that a member takes to give partitions up, if not what is the default.
    #[arg(long)]
    pub drain_within: Option<u64>,

    /// The most milliseconds that a member waits for its handlers when it is asked to end. What runs then is dropped.
    #[arg(long)]
    pub stop_within: Option<u64>,

    /// The longest text of what is done past the position; 0 for none.
    #[arg(long, default_value_t = 4_096)]
    pub metadata: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// All partitions are given up at each rebalance.
    Range,
    /// Only what moves is given up.
    CooperativeSticky,
    /// The broker shares out, as KIP-848 has it.
    Consumer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Drain {
    Running,
    Admitted,
}

impl Args {
    /// The settings of the client.
    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", &self.group)
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false")
            .set("fetch.queue.backoff.ms", "1")
            .set("max.poll.interval.ms", self.max_poll_interval.to_string());
        match self.protocol {
            Protocol::Range => self.classic(&mut config, "range"),
            Protocol::CooperativeSticky => self.classic(&mut config, "cooperative-sticky"),
            // The broker sets the session timeout.
            Protocol::Consumer => config.set("group.protocol", "consumer"),
        };
        if let Some(instance) = &self.instance {
            config.set("group.instance.id", instance);
        }
        config
    }

    /// # Errors
    ///
    /// If the journal cannot be opened, or `--takes` says nothing that can be.
    pub fn handler(&self) -> anyhow::Result<Handler> {
        let takes = self.takes()?;
        let journal = Journal::open(&self.journal)?;
        Ok(Handler::new(journal, takes, self.stuck_for))
    }

    pub fn commit_every(&self) -> Duration {
        Duration::from_millis(self.commit_every)
    }

    fn classic<'a>(&self, config: &'a mut ClientConfig, strategy: &str) -> &'a mut ClientConfig {
        config
            .set("partition.assignment.strategy", strategy)
            .set("session.timeout.ms", self.session_timeout.to_string())
            .set("heartbeat.interval.ms", "500")
    }

    fn takes(&self) -> anyhow::Result<RangeInclusive<u64>> {
        let (from, to) = (self.takes[0], self.takes[1]);
        anyhow::ensure!(
            from <= to,
            "--takes {from} {to}: give the shorter time first"
        );
        Ok(from..=to)
    }
}

impl fmt::Display for Protocol {
    /// As `--protocol` takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Range => "range",
            Self::CooperativeSticky => "cooperative-sticky",
            Self::Consumer => "consumer",
        })
    }
}

//! The command line.

use clap::Parser;

use crate::change::Change;
use crate::load::Load;

/// Writes messages to several queues by the hash of their group, and changes the number of queues while it runs. Each group
/// keeps its order, no message is lost or handled twice, and as few groups as possible move.
#[derive(Parser)]
#[command(name = "queues")]
pub struct Args {
    /// The numbers of queues, one after the other. The changes split the messages into equal parts, and each starts
    /// when the one before is complete
    #[arg(long, value_name = "N,…", default_value = "4,7,3", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=64))]
    pub queues: Vec<u32>,

    /// The number of messages to publish
    #[arg(long, value_name = "N", default_value = "150000", value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub messages: u32,

    /// The number of groups that they belong to
    #[arg(long, value_name = "N", default_value = "5000", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub groups: u32,

    /// The seed of the messages: the same number gives the same load
    #[arg(long, value_name = "N", default_value = "1")]
    pub seed: u64,

    /// The number of points that each queue has on the ring
    #[arg(long, value_name = "N", default_value = "512", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub virtual_nodes: u32,

    /// The maximum number of handlers at once, per queue
    #[arg(long, value_name = "N", default_value = "16", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub max_parallel: u32,

    /// The maximum number of messages held back during a change; at that limit, nothing is published until a queue has
    /// drained
    #[arg(long, value_name = "N", default_value = "10000", value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub hold: u32,

    /// Show what goes wrong if the groups move at once
    #[arg(long, conflicts_with = "hold")]
    pub no_drain: bool,

    /// Show how the run ends if the handler of this message fails; the first message is number 1
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub fail_at: Option<u32>,
}

impl Args {
    pub fn load(&self) -> Load {
        Load {
            seed: self.seed,
            groups: self.groups,
            messages: self.messages,
        }
    }

    pub fn changes(&self) -> impl Iterator<Item = Change> {
        let share = u64::from(self.messages);
        let parts = self.queues.len() as u64;
        (1..)
            .zip(self.queues.windows(2))
            .map(move |(part, queues)| Change {
                from: queues[0],
                to: queues[1],
                after: (share * part / parts) as u32,
            })
    }
}

//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::mode::Mode;

/// Publishes messages to NATS JetStream, consumes them one at a time per group and many groups at once, acknowledges each,
/// breaks everything that can break meanwhile, and counts.
#[derive(Parser)]
#[command(name = "ack_queue", after_help = COUNTS, subcommand_negates_reqs = true, args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub struct Args {
    #[command(flatten)]
    pub settings: Settings,

    #[command(subcommand)]
    pub role: Option<Role>,
}

#[derive(Clone, clap::Args)]
pub struct Settings {
    /// A running server, such as nats://127.0.0.1:4222, which is not restarted. By default, one is started for the run
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,

    /// The number of messages to publish, within about three seconds
    #[arg(long, value_name = "N", default_value = "2000", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub messages: u64,

    /// The number of groups that they belong to; the first gets every sixth message, more than it can handle in time
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub groups: u32,

    /// When a message is acknowledged
    #[arg(long, default_value = "at-least-once")]
    pub mode: Mode,

    /// The maximum number of messages handled at once
    #[arg(long, value_name = "N", default_value = "32", value_parser = clap::value_parser!(u16).range(1..))]
    pub max_parallel: u16,
}

#[derive(Subcommand)]
pub enum Role {
    /// The child process that the program starts in order to kill it
    #[command(hide = true)]
    Consume(Task),
}

/// What a consumer needs to know.
#[derive(clap::Args)]
pub struct Task {
    #[arg(long)]
    pub url: String,
    #[arg(long)]
    pub queue: String,
    #[arg(long)]
    pub journal: PathBuf,
    #[arg(long)]
    pub mode: Mode,
    #[arg(long)]
    pub max_parallel: u16,
}

const COUNTS: &str = "\
What is counted:
  published        messages that the server confirmed
  delivered        how often a message reached a consumer
  redelivered      of these, deliveries of a message that was delivered before
  processed        messages whose handler finished and took effect
  processed twice  how often a message came to a handler that had processed it before
  applied twice    of these, how often it took effect again, which an idempotent handler prevents
  out of order     messages that took effect after a later one of their group
  lost             messages published but never processed

With --mode at-least-once, the last three are 0. With --mode at-most-once, \
nothing is processed twice or out of order, and messages that were being handled when the consumer was killed are lost. \
The exit code is 0 if the counts say so.";

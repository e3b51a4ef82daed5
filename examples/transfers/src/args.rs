//! The command line.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use clap::Parser;

use crate::log::Log;

/// Makes transfers between the accounts of a bank and audits its branches. Transfers that share no account run at once, and
/// no transfer runs during an audit of its branch. Kill it at any moment and start it again: no cent is lost.
#[derive(Parser)]
#[command(name = "transfers")]
pub struct Args {
    /// The number of transfers; an audit follows every 400 of them
    #[arg(long, value_name = "N", default_value = "200000")]
    pub transfers: NonZeroU64,

    /// The seed of the transfers and audits: the same number gives the same log
    #[arg(long, value_name = "N", default_value = "1")]
    pub seed: u64,

    /// The folder for the accounts and the position in the log
    #[arg(long, value_name = "FOLDER", default_value = "target/transfers")]
    pub state: PathBuf,

    /// Discard what the state folder holds and start at the first row
    #[arg(long)]
    pub fresh: bool,

    /// The maximum number of transfers and audits at once
    #[arg(long, value_name = "N", default_value = "128")]
    pub max_parallel: NonZeroUsize,

    /// The maximum number of rows that share a commit
    #[arg(long, value_name = "N", default_value = "5000")]
    pub max_commit: NonZeroUsize,

    /// Show what goes wrong if nothing waits for anything, in memory: the state folder is not touched
    #[arg(long, conflicts_with_all = ["state", "fresh"])]
    pub unordered: bool,

    /// Only print every account in the state folder, as CSV
    #[arg(long, conflicts_with_all = ["transfers", "seed", "fresh", "unordered"])]
    pub dump: bool,
}

impl Args {
    pub fn log(&self) -> Log {
        Log {
            seed: self.seed,
            transfers: self.transfers.get(),
        }
    }
}

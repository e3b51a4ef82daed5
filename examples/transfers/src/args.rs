//! The command line.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use clap::Parser;

use crate::log::Log;

/// Makes transfers between the accounts of a bank and audits its branches: any transfers at once that share no account,
/// no transfer during an audit of its branch, and no cent lost when it is killed and started again.
#[derive(Parser)]
#[command(name = "transfers")]
pub struct Args {
    /// How many transfers there are; after every 400 of them there is an audit
    #[arg(long, value_name = "N", default_value = "200000")]
    pub transfers: NonZeroU64,

    /// Which transfers and audits: the same number, the same log
    #[arg(long, value_name = "N", default_value = "1")]
    pub seed: u64,

    /// Where the accounts and the position in the log are kept
    #[arg(long, value_name = "FOLDER", default_value = "target/transfers")]
    pub state: PathBuf,

    /// Forget what the state folder holds, and start at the first row
    #[arg(long)]
    pub fresh: bool,

    /// The most transfers and audits in work at once
    #[arg(long, value_name = "N", default_value = "128")]
    pub max_parallel: NonZeroUsize,

    /// Commit after so many rows, or a quarter of a second
    #[arg(long, value_name = "N", default_value = "5000")]
    pub commit_every: NonZeroU64,

    /// See what goes wrong if nothing waits for anything, in memory: the state folder is left alone
    #[arg(long, conflicts_with_all = ["state", "fresh"])]
    pub unordered: bool,

    /// Print every account in the state folder as CSV, and do nothing else
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

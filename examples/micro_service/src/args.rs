//! The command line.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use clap::Parser;

use crate::mode::Mode;

/// Adds up the purchases of every customer of an online shop: one at a time for each customer, many customers at once,
/// and no purchase lost or counted twice when it is killed and started again.
#[derive(Parser)]
#[command(name = "micro_service")]
pub struct Args {
    /// The purchases
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/data/purchases.csv"))]
    pub data: PathBuf,

    /// Where the customers, the position in the file and the dead letters are kept
    #[arg(long, value_name = "FOLDER", default_value = "target/micro_service")]
    pub state: PathBuf,

    /// Forget what the state folder holds, and start at the first row
    #[arg(long)]
    pub fresh: bool,

    /// The most purchases in work at once
    #[arg(long, value_name = "N", default_value = "64")]
    pub max_parallel: NonZeroUsize,

    /// Commit after so many rows, or a quarter of a second
    #[arg(long, value_name = "N", default_value = "1000")]
    pub commit_every: NonZeroU64,

    /// Try one way to order the first rows, in memory: the state folder is left alone
    #[arg(long, conflicts_with_all = ["state", "fresh"])]
    pub mode: Option<Mode>,

    /// How many rows to try a mode on
    #[arg(long, value_name = "N", default_value = "5000", requires = "mode", value_parser = clap::value_parser!(u64).range(1..))]
    pub rows: u64,

    /// Print every customer in the state folder as CSV, and do nothing else
    #[arg(long, conflicts_with_all = ["data", "fresh", "mode"])]
    pub dump: bool,
}

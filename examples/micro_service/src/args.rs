//! The command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Parser;

use crate::mode::Mode;

/// Adds up the purchases of every customer of an online shop, one at a time per customer and many customers at once. Kill
/// it at any moment and start it again: no purchase is lost or counted twice.
#[derive(Parser)]
#[command(name = "micro_service")]
pub struct Args {
    /// The file of purchases
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/data/purchases.csv"))]
    pub data: PathBuf,

    /// The folder for the customers, the position in the file and the dead letters
    #[arg(long, value_name = "FOLDER", default_value = "target/micro_service")]
    pub state: PathBuf,

    /// Discard what the state folder holds and start at the first row
    #[arg(long)]
    pub fresh: bool,

    /// The maximum number of purchases handled at once
    #[arg(long, value_name = "N", default_value = "64")]
    pub max_parallel: NonZeroUsize,

    /// The maximum number of rows that share a commit
    #[arg(long, value_name = "N", default_value = "1000")]
    pub max_commit: NonZeroUsize,

    /// Try another way to order the first rows, in memory: the state folder is not touched
    #[arg(long, conflicts_with_all = ["state", "fresh"])]
    pub mode: Option<Mode>,

    /// How many rows to try a mode on
    #[arg(long, value_name = "N", default_value = "5000", requires = "mode", value_parser = clap::value_parser!(u64).range(1..))]
    pub rows: u64,

    /// Only print every customer in the state folder, as CSV
    #[arg(long, conflicts_with_all = ["data", "fresh", "mode"])]
    pub dump: bool,
}

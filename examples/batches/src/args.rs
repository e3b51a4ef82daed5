//! The command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Parser;

use crate::ledger::MAX_ROWS;

/// Adds up the purchases of every customer of an online shop in an SQLite database, with one statement for many purchases of
/// an account. Kill it at any moment and start it again: no purchase is lost or counted twice.
#[derive(Parser)]
#[command(name = "batches")]
pub struct Args {
    /// The file of purchases
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../micro_service/data/purchases.csv"))]
    pub data: PathBuf,

    /// The database for the totals and the position in the file
    #[arg(long, value_name = "FILE", default_value = "target/batches.sqlite")]
    pub database: PathBuf,

    /// Discard what the database holds and start at the first row
    #[arg(long)]
    pub fresh: bool,

    /// The maximum number of rows in a statement, up to 8,191: SQLite allows 32,766 parameters, and a row has four
    #[arg(long, value_name = "N", default_value = "500", value_parser = clap::value_parser!(u16).range(1..=MAX_ROWS))]
    pub max_batch: u16,

    /// Use a statement for each purchase, to compare
    #[arg(long, conflicts_with = "max_batch")]
    pub one_by_one: bool,

    /// The maximum number of statements that are made or wait for the database
    #[arg(long, value_name = "N", default_value = "8")]
    pub max_parallel: NonZeroUsize,
}

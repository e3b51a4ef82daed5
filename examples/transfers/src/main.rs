//! Transfers and audits of a bank, ordered by the accounts that they touch.
//!
//! A transfer uses two accounts of a branch exclusively. An audit adds up a whole branch: it shares the branch's hundred
//! accounts with other audits, waits for the transfers before it, and holds up those after it, while the other branches
//! continue. Neither takes a lock, and every audit finds the same sum in a branch. Kill the program at any moment and start
//! it again: it resumes from its last commit, and no cent is lost.
//!
//! ```text
//! cargo run --release -p transfers
//! cargo run --release -p transfers -- --unordered
//! ```

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;
use futures::{FutureExt as _, stream};
use ordered_by_group::prelude::*;

use crate::args::Args;
use crate::bank::Bank;
use crate::broken_pipe::is_broken_pipe;
use crate::checkpoint::Checkpoint;
use crate::dump::dump;
use crate::log::Log;
use crate::progress::{Gauge, Progress};
use crate::refused::Refused;
use crate::report::Report;
use crate::store::Store;
use crate::tally::Tally;

mod account;
mod args;
mod bank;
mod broken_pipe;
mod checkpoint;
mod dump;
mod figures;
mod log;
mod progress;
mod refused;
mod report;
mod state_file;
mod store;
mod tally;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has gone away, as `head -1` does.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("transfers: {error:#}");
            ExitCode::from(if error.is::<Refused>() { 2 } else { 1 })
        }
    }
}

async fn run(args: Args) -> Result<()> {
    if args.dump {
        return dump(&Store::open_existing(&args.state)?);
    }
    let log = args.log();
    let store = match args.unordered {
        false => Store::open(&args.state, log, args.fresh)?,
        true => Store::in_memory(log)?,
    };
    let bank = Bank::load(&store)?;
    if store.checkpoint().row < log.rows() {
        serve_with_progress(&args, log, &bank, &store).await?;
    } else {
        eprintln!("every row is done: use --fresh to start over");
    }
    Report::new(&args, &bank, store.checkpoint()).print()
}

async fn serve_with_progress(args: &Args, log: Log, bank: &Bank, store: &Store) -> Result<()> {
    let gauge = Gauge::new(store.checkpoint().row);
    let progress = Progress::start(log.rows(), &gauge);
    tokio::select! {
        biased;
        served = serve(args, log, bank, store, &gauge) => served,
        never = progress.show(&gauge) => match never {},
    }
}

/// Serves every row of the log past the last commit.
async fn serve(args: &Args, log: Log, bank: &Bank, store: &Store, gauge: &Gauge) -> Result<()> {
    let mut tally = Tally::after(store.checkpoint());

    stream::iter(log.rows_after(store.checkpoint().row))
        .ordered_by_access(
            |row| row.entry.accesses().filter(|_| !args.unordered),
            args.max_parallel.get(),
        )
        .offsets(|row| row.number)
        .monitor(gauge.monitor())
        .try_then(|row| bank.handle(row).map(Ok))
        // A durable commit takes milliseconds, so the rows that finish meanwhile share the next one.
        .try_drive_chunks(args.max_commit.get(), |outcomes| {
            commit(tally.add(&outcomes), bank, store, gauge)
        })
        .await
}

/// Makes durable what the accounts hold now, together with the fact that every row up to the checkpoint is in them.
async fn commit(checkpoint: Checkpoint, bank: &Bank, store: &Store, gauge: &Gauge) -> Result<()> {
    store.commit(checkpoint, bank.take_unsaved()).await?;
    gauge.committed(checkpoint.row);
    Ok(())
}

//! Batches: one SQL statement for many purchases of an account, exactly once.
//!
//! While a transaction waits for the disk, the purchases of the other accounts gather, and the next transaction of an account
//! takes all that wait of it. The position of the account is part of the transaction. Kill the program at any moment and
//! start it again: no purchase is lost or counted twice.
//!
//! The purchases are those of the example `micro_service`. Its 23,570 customers made three each, so a customer's purchases
//! would hardly ever form a batch. The shop keeps a hundred accounts instead, by the last two digits of the customer's
//! number, like the partitions of a table: a customer is in one account, so its purchases stay in order.
//!
//! ```text
//! cargo run --release -p batches
//! cargo run --release -p batches -- --fresh --one-by-one
//! ```

use std::cell::RefCell;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser as _;
use futures::{StreamExt as _, stream};
use ordered_by_group::TryRunning;
use ordered_by_group::prelude::*;

use crate::args::Args;
use crate::broken_pipe::is_broken_pipe;
use crate::ledger::{Ledger, Posted};
use crate::purchases::Purchases;
use crate::refused::Refused;
use crate::report::Report;
use crate::tally::{Tally, say};

mod args;
mod broken_pipe;
mod connection;
mod ledger;
mod purchases;
mod refused;
mod report;
mod tally;

/// How many purchases may wait: about a hundred of each account.
const LOOK_AHEAD: usize = 10_000;

/// Results that share a commit of the position.
const MAX_COMMIT: usize = 1_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has gone away, as `head -1` does.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("batches: {error:#}");
            ExitCode::from(if error.is::<Refused>() { 2 } else { 1 })
        }
    }
}

async fn run(args: Args) -> Result<()> {
    let purchases = Purchases::read(&args.data)?;
    let ledger = Ledger::open(&args.database, purchases.fingerprint, args.fresh)?;
    let mut tally = Tally::after(ledger.position, purchases.count());
    if ledger.position < purchases.count() {
        post_all(&args, &purchases, &ledger, &mut tally).await?;
    } else {
        say("every row is posted: use --fresh to start over");
    }
    if tally.position < purchases.count() {
        say("stopped: start it again to continue");
    }
    let report = Report::new(&args, &tally, &purchases, &ledger.totals().await?);
    report.print()?;
    ensure!(
        report.differ == 0,
        "totals that differ from those of a serial loop: {}",
        report.differ
    );
    Ok(())
}

/// Posts every purchase past the position. After Ctrl-C it reads no more, and posts what it has read.
async fn post_all(
    args: &Args,
    purchases: &Purchases,
    ledger: &Ledger,
    tally: &mut Tally,
) -> Result<()> {
    let interrupted = Box::pin(tokio::signal::ctrl_c());
    let ordered = stream::iter(purchases.after(ledger.position))
        .take_until(interrupted)
        .ordered_by_group(|purchase| purchase.account(), args.max_parallel.get())
        .offsets(|purchase| purchase.row);
    if args.one_by_one {
        let results = ordered.try_then(|purchase| ledger.post(vec![purchase]));
        commit(results, ledger, tally).await
    } else {
        let results = ordered
            .look_ahead(LOOK_AHEAD)
            .batches(args.max_batch.into())
            .try_then(|batch| ledger.post(batch));
        commit(results, ledger, tally).await
    }
}

/// Sets the position to the offsets: in source order, everything up to an offset has been posted.
async fn commit<S>(results: S, ledger: &Ledger, tally: &mut Tally) -> Result<()>
where
    S: TryRunning<Item = Result<(Posted, u64)>, Offset = u64>,
{
    let tally = RefCell::new(tally);
    results
        .try_drive_chunks(MAX_COMMIT, |results| {
            let tally = &tally;
            async move {
                let mut position = tally.borrow().position;
                for (posted, offset) in results {
                    tally.borrow_mut().add(posted);
                    position = offset;
                }
                ledger.set_position(position).await?;
                tally.borrow_mut().committed(position);
                Ok(())
            }
        })
        .await
}

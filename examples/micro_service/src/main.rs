//! A micro-service from end to end, *decode → handle → interpret*, over the real purchases of an online shop.
//!
//! A message is a row of the file. Its group is the customer, and its offset is the number of the row. Each customer's
//! purchases are handled one at a time and in order, many customers at once. The position in the file is committed in the
//! same transaction that makes the work durable. Kill the program at any moment and start it again: it resumes from its
//! last commit, and no purchase is lost or counted twice.
//!
//! ```text
//! cargo run --release -p micro_service
//! cargo run --release -p micro_service -- --mode parallel
//! ```

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;
use futures::{StreamExt as _, stream};
use ordered_by_group::prelude::*;

use crate::args::Args;
use crate::broken_pipe::is_broken_pipe;
use crate::decode::{Message, decode};
use crate::dump::dump;
use crate::handle::handle;
use crate::input::Input;
use crate::interpret::interpret;
use crate::mode::Mode;
use crate::outcome::Outcome;
use crate::progress::{Gauge, Progress};
use crate::refused::Refused;
use crate::report::Report;
use crate::store::Store;
use crate::tally::Tally;

mod args;
mod broken_pipe;
mod checkpoint;
mod customer;
mod dead_letters;
mod decode;
mod dump;
mod figures;
mod handle;
mod input;
mod interpret;
mod mode;
mod outcome;
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
            eprintln!("micro_service: {error:#}");
            ExitCode::from(if error.is::<Refused>() { 2 } else { 1 })
        }
    }
}

async fn run(args: Args) -> Result<()> {
    if args.dump {
        return dump(&Store::open_existing(&args.state)?);
    }
    let mut input = Input::read(&args.data)?;
    let store = match args.mode {
        None => Store::open(&args.state, input.fingerprint(), args.fresh)?,
        Some(_) => {
            input.truncate(args.rows);
            Store::in_memory()?
        }
    };
    if store.checkpoint().row < input.rows() {
        serve_with_progress(&args, &input, &store).await?;
    } else {
        eprintln!("every row is done: use --fresh to start over");
    }
    Report::new(&args, input.rows(), &store)?.print()
}

async fn serve_with_progress(args: &Args, input: &Input, store: &Store) -> Result<()> {
    let gauge = Gauge::new(store.checkpoint().row);
    let progress = Progress::start(input.rows(), &gauge);
    tokio::select! {
        biased;
        served = serve(args, input, store, &gauge) => served,
        never = progress.show(&gauge) => match never {},
    }
}

/// Serves every row past the last commit.
async fn serve(args: &Args, input: &Input, store: &Store, gauge: &Gauge) -> Result<()> {
    let mode = args.mode.unwrap_or(Mode::Hybrid);
    let mut tally = Tally::after(store.checkpoint());

    stream::iter(input.rows_after(store.checkpoint().row))
        .map(decode)
        .ordered_by_group(|message| mode.group(message), args.max_parallel.get())
        .offsets(|message| message.row)
        .monitor(gauge.monitor())
        .try_then(|message| process(message, store))
        // A durable commit takes milliseconds, so the rows that finish meanwhile share the next one.
        .try_drive_chunks(args.max_commit.get(), |outcomes| {
            let (checkpoint, dead_letters) = tally.add(outcomes);
            async move {
                store.commit(checkpoint, dead_letters).await?;
                gauge.committed(checkpoint.row);
                Ok(())
            }
        })
        .await
}

/// Processes one message. A row that cannot be decoded is an outcome, not an error: it holds nothing up.
async fn process(message: Message<'_>, store: &Store) -> Result<Outcome> {
    match message.purchase {
        Ok(purchase) => {
            let change = handle(message.row, purchase, store).await?;
            interpret(change, store)
        }
        Err(reason) => Ok(Outcome::undecodable(message.row, message.content, reason)),
    }
}

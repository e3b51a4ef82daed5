//! Many queues: a publisher writes each message to one of n queues, by the hash of its group, and n consumers read them.
//! Then n changes under full load, and each group keeps its order.
//!
//! Consistent hashing moves only a few groups at each change. A moving group is *drained, then moved*: its messages are held
//! back until its old queue has committed everything written to it before the change. All other groups continue. With
//! `--no-drain`, groups move at once and get out of order.
//!
//! ```text
//!              ╭── queue 0 ── consumer 0
//!  publisher ──┼── queue 1 ── consumer 1     each queue has its own offsets, and each consumer
//!              ╰── queue 2 ── consumer 2     commits how far its queue is done
//! ```
//!
//! ```text
//! cargo run --release -p queues
//! cargo run --release -p queues -- --no-drain
//! cargo run --release -p queues -- --queues 1,2,4,8,4,2,1
//! ```
//!
//! The example assumes that there is one publisher, and that messages it held back when it died come again from their
//! source. A publisher that died during a change must let all queues drain before it continues.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use clap::Parser as _;

use crate::args::Args;
use crate::broken_pipe::is_broken_pipe;
use crate::consumer::Consumer;
use crate::gauge::Gauge;
use crate::ledger::Ledger;
use crate::publisher::Publisher;
use crate::queues::Queues;
use crate::report::Report;

mod args;
mod broken_pipe;
mod change;
mod consumer;
mod figures;
mod gauge;
mod ledger;
mod load;
mod moving;
mod publisher;
mod queue;
mod queues;
mod report;
mod ring;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has gone away, as `head -1` does.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("queues: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<()> {
    let ledger = Arc::new(Ledger::of(args.load()));
    let gauge = Gauge::start(Arc::clone(&ledger));
    let queues = Queues::open(
        args.queues[0],
        Consumer {
            max_parallel: args.max_parallel as usize,
            fail_at: args.fail_at,
            ledger: Arc::clone(&ledger),
        },
    );
    let publisher = Publisher::new(&args, queues, &gauge);

    let changes = tokio::select! {
        biased;
        changes = publisher.run() => changes?,
        never = gauge.show() => match never {},
    };
    Report {
        args: &args,
        changes,
        counts: ledger.compare(args.load()),
        time: gauge.elapsed(),
    }
    .print()
}

//! Graceful shutdown: at Ctrl-C or SIGTERM, nothing new is read. What was read is finished and committed for up to
//! `--drain` seconds, and what is not finished by then is reported.
//!
//! With `--leave-waiting`, running items are finished and waiting items are left: the queue delivers them again.
//!
//! ```text
//! cargo run -p shutdown
//! cargo run -p shutdown -- --leave-waiting
//! ```

use std::cell::Cell;
use std::pin::pin;
use std::time::Duration;

use clap::Parser;
use futures::{StreamExt as _, stream};
use ordered_by_group::prelude::*;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Works through an endless queue until it is asked to stop.
#[derive(Parser)]
struct Args {
    /// How long to keep finishing what was read
    #[arg(long, value_name = "SECONDS", default_value = "5")]
    drain: u64,

    /// Finish running items and leave waiting ones
    #[arg(long)]
    leave_waiting: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let args = Args::parse();
    let stop = CancellationToken::new();
    tokio::spawn(cancel_when_told(stop.clone()));
    let read = Cell::new(0);
    let handler = async |message| {
        if args.leave_waiting && stop.is_cancelled() {
            return None;
        }
        Some(handle(message).await)
    };

    let mut results = pin!(
        stream::iter(0_u64..)
            .take_until(stop.cancelled())
            .inspect(|_| read.set(read.get() + 1))
            .ordered_by_group(|message| message % 3, 4)
            .look_ahead(16)
            .then_unordered(handler)
    );
    let mut deadline = pin!(async {
        stop.cancelled().await;
        sleep(Duration::from_secs(args.drain)).await;
    });
    let (mut committed, mut left) = (0, Vec::new());
    loop {
        tokio::select! {
            biased;
            next = results.next() => match next {
                Some((Some(receipt), _)) => {
                    results.as_mut().alongside(commit(receipt)).await;
                    committed += 1;
                }
                Some((None, offset)) => left.push(*offset.offset()),
                None => break,
            },
            () = &mut deadline => break,
        }
    }

    println!("read {}, committed {committed}", read.get());
    println!("left {left:?}");
    println!("unfinished {:?}", results.unfinished().collect::<Vec<_>>());
}

/// Takes 20 ms to 1.28 s.
async fn handle(message: u64) -> u64 {
    sleep(Duration::from_millis(20 << (message % 7))).await;
    message
}

async fn commit(message: u64) {
    sleep(Duration::from_millis(5)).await;
    println!("committed {message}");
}

async fn cancel_when_told(stop: CancellationToken) {
    let interrupt = async {
        tokio::signal::ctrl_c().await.expect("Ctrl-C can be heard");
    };
    #[cfg(unix)]
    let terminate = async {
        use tokio::signal::unix::{SignalKind, signal};
        let signals = signal(SignalKind::terminate());
        signals.expect("SIGTERM can be heard").recv().await;
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
    eprintln!("stopping: nothing new is read");
    stop.cancel();
}

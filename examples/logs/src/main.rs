//! Log lines that name the group and the offset, through a `tracing` span around each handler.
//!
//! Two orders are handled at once and their lines interleave, but each line says which order it belongs to. The waits are in
//! virtual time, so every run prints the same.
//!
//! ```text
//! cargo run -p logs
//! ```

use std::time::Duration;

use futures::stream;
use ordered_by_group::prelude::*;
use ordered_by_group::without_slot;
use tokio::time::sleep;
use tracing::{Instrument as _, info, info_span, warn};

struct Message {
    offset: u64,
    order: &'static str,
    step: &'static str,
    work: Duration,
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    tracing_subscriber::fmt()
        .without_time()
        .with_target(false)
        .with_ansi(false)
        .init();

    stream::iter(messages())
        .ordered_by_group(|message| message.order, 2)
        .offsets(|message| message.offset)
        .then(|message| {
            let span = info_span!("order", group = message.order, offset = message.offset);
            handle(message).instrument(span)
        })
        .drive(|_| async {})
        .await;
}

/// Knows nothing of offsets: the span adds them, even to the lines of libraries that the handler calls.
async fn handle(message: Message) {
    info!("{}", message.step);
    sleep(message.work).await;
    if message.step == "pay" {
        warn!("the bank is busy, again in a second");
        without_slot(sleep(Duration::from_secs(1))).await;
    }
    info!("{}: done", message.step);
}

fn messages() -> Vec<Message> {
    let message = |offset, order, step, milliseconds| Message {
        offset,
        order,
        step,
        work: Duration::from_millis(milliseconds),
    };
    vec![
        message(41, "anna", "reserve", 30),
        message(42, "bert", "pay", 20),
        message(43, "anna", "ship", 50),
        message(44, "bert", "ship", 10),
    ]
}

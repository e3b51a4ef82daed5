//! The recipe in `src/guide/logs.md`: a span around each handler names its group and its offset in every line.

use std::fs;
use std::io::{self, Write};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::stream;
use ordered_by_group::prelude::*;
use ordered_by_group::without_slot;
use tokio::time::sleep;
use tracing::{Instrument as _, info, info_span};
use tracing_subscriber::fmt::MakeWriter;

const PROGRAM: &str = env!("CARGO_BIN_EXE_logs");
const SOURCE: &str = "src/main.rs";
const RECIPE: &str = "../../src/guide/logs.md";
const ITEMS: u64 = 40;

#[tokio::test(start_paused = true)]
async fn every_line_of_a_handler_carries_its_group_and_its_offset() {
    let written = Written::default();
    let subscriber = tracing_subscriber::fmt()
        .without_time()
        .with_target(false)
        .with_ansi(false)
        .with_writer(written.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);

    stream::iter((0..ITEMS).map(Item::at))
        .ordered_by_group(|item| item.group, 3)
        .offsets(|item| item.offset)
        .then_unordered(|item| {
            let span = info_span!("order", group = item.group, offset = item.offset);
            handle(item).instrument(span)
        })
        .drive(|(_, offset)| async move { info!("handed over {}", offset.offset()) })
        .await;
    drop(guard);

    let text = written.text();
    let (of_handlers, of_the_consumer): (Vec<_>, Vec<_>) =
        text.lines().partition(|line| line.contains("{"));
    let said = of_handlers.iter().map(|line| {
        let (span, message) = line.split_once(": ").unwrap();
        let offset = message.rsplit(' ').next().unwrap().parse().unwrap();
        let Item { group, offset } = Item::at(offset);
        let expected = format!(" INFO order{{group=\"{group}\" offset={offset}}}");
        assert_eq!(span, expected, "{line}");
        offset
    });
    let said: Vec<u64> = said.collect();

    for offset in 0..ITEMS {
        let lines = said.iter().filter(|of| **of == offset);
        assert_eq!(lines.count(), 4, "offset {offset}");
    }
    let interleaved = said.windows(2).filter(|pair| {
        let returns =
            said.iter().rposition(|of| *of == pair[0]) > said.iter().rposition(|of| *of == pair[1]);
        pair[0] != pair[1] && returns
    });
    assert!(interleaved.count() > 0, "one after the other: {said:?}");

    // Outside the handlers no span is left entered.
    assert_eq!(of_the_consumer.len() as u64, ITEMS);
    for line in of_the_consumer {
        assert!(line.starts_with(" INFO handed over "), "{line}");
    }
}

#[test]
fn the_recipe_shows_what_the_example_does_and_what_it_prints() {
    let end = Command::new(PROGRAM).output().unwrap();
    assert!(end.status.success());
    let printed = String::from_utf8(end.stdout).unwrap();
    let recipe = fs::read_to_string(RECIPE).unwrap();
    let (_, sample) = recipe.split_once("```text\n").unwrap();
    let (sample, _) = sample.split_once("```").unwrap();
    assert_eq!(printed, sample);
    for line in printed.lines() {
        assert!(line.contains("order{group=\""), "{line}");
        assert!(line.contains("\" offset=4"), "{line}");
    }

    let source = fs::read_to_string(SOURCE).unwrap();
    for line in [
        "let span = info_span!(\"order\", group = message.order, offset = message.offset);",
        "handle(message).instrument(span)",
    ] {
        assert!(source.contains(line), "{line}");
        assert!(recipe.contains(line), "{line}");
    }
}

struct Item {
    group: &'static str,
    offset: u64,
}

impl Item {
    fn at(offset: u64) -> Self {
        let group = ["a", "b", "c", "d"][offset as usize % 4];
        Self { group, offset }
    }
}

/// Logs in each part of its life: at its start, when it is polled again, in a future of its own, and without a slot.
async fn handle(item: Item) {
    let Item { offset, .. } = item;
    info!("starts {offset}");
    sleep(Duration::from_millis(offset * 7 % 10)).await;
    info!("works on {offset}");
    let backs_off = async {
        sleep(Duration::from_millis(20)).await;
        info!("waited without a slot for {offset}");
    };
    without_slot(backs_off).await;
    info!("ends {offset}");
}

/// What was logged.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Written {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

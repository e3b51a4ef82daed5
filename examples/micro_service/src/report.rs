//! The table at the end.

use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::Result;

use crate::args::Args;
use crate::checkpoint::Checkpoint;
use crate::figures::{count, dollars, rate, ratio, seconds};
use crate::mode::Mode;
use crate::store::Store;

pub struct Report {
    mode: Mode,
    rows: u64,
    checkpoint: Checkpoint,
    totals: Totals,
    dead_letters_file: Option<PathBuf>,
}

#[derive(Default)]
struct Totals {
    customers: u64,
    purchases: u64,
    items: u64,
    cents: u64,
    most: u64,
    most_by: u32,
}

impl Report {
    pub fn new(args: &Args, rows: u64, store: &Store) -> Result<Self> {
        let mut totals = Totals::default();
        store.for_each_customer(|id, customer| {
            totals.customers += 1;
            totals.purchases += customer.purchases;
            totals.items += customer.items;
            totals.cents += customer.cents;
            if customer.purchases > totals.most {
                totals.most = customer.purchases;
                totals.most_by = id;
            }
            Ok(())
        })?;
        Ok(Self {
            mode: args.mode.unwrap_or(Mode::Hybrid),
            rows,
            checkpoint: store.checkpoint(),
            totals,
            dead_letters_file: store.dead_letters_file(),
        })
    }

    pub fn print(&self) -> Result<()> {
        let mut table = format!("\n{}\n\n", self.mode.describe());
        for (name, value) in self.lines() {
            table.push_str(&format!("{name:>18}  {value}\n"));
        }
        Ok(io::stdout().write_all(table.as_bytes())?)
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        let Checkpoint {
            row,
            dead_letters,
            order_violations,
            handled_again,
            runs,
            worked,
            ..
        } = self.checkpoint;
        let totals = &self.totals;
        let decoded = row - dead_letters;
        let counted = totals.purchases;
        let (one_at_a_time, speed_up) = self.speed_up();
        vec![
            ("rows", format!("{} of {}", count(row), count(self.rows))),
            ("customers", count(totals.customers)),
            ("items", count(totals.items)),
            ("dollars", dollars(totals.cents)),
            ("most purchases", totals.most_purchases()),
            ("time", seconds(worked)),
            ("rate", format!("{} rows/s", count(rate(row, worked)))),
            ("one at a time", one_at_a_time),
            ("speed-up", speed_up),
            ("order violations", count(order_violations)),
            ("lost purchases", count(decoded.saturating_sub(counted))),
            ("counted twice", count(counted.saturating_sub(decoded))),
            ("dead letters", self.dead_letters()),
            (
                "runs",
                format!("{runs}, rows handled again: {}", count(handled_again)),
            ),
        ]
    }

    /// A lower bound: one at a time takes longer than the sum of its remote calls.
    fn speed_up(&self) -> (String, String) {
        let Checkpoint {
            remote_calls,
            worked,
            ..
        } = self.checkpoint;
        let speed_up = ratio(remote_calls.as_secs_f64(), worked);
        match self.mode {
            Mode::Serial => ("that is this mode".to_owned(), "none".to_owned()),
            Mode::Parallel | Mode::Hybrid => (
                format!("at least {}: the remote calls alone", seconds(remote_calls)),
                format!("at least {speed_up:.1} times"),
            ),
        }
    }

    fn dead_letters(&self) -> String {
        match (self.checkpoint.dead_letters, &self.dead_letters_file) {
            (number @ 1.., Some(file)) => format!("{}, in {}", count(number), file.display()),
            (number, _) => count(number),
        }
    }
}

impl Totals {
    fn most_purchases(&self) -> String {
        match self.most {
            0 => "none".to_owned(),
            most => format!("{most}, by customer {}", self.most_by),
        }
    }
}

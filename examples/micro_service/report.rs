//! The table at the end.

use std::io::{self, Write as _};
use std::time::Duration;

use anyhow::Result;
use indicatif::HumanCount;

use crate::args::Args;
use crate::checkpoint::Checkpoint;
use crate::mode::Mode;
use crate::store::Store;

pub struct Report {
    mode: Mode,
    max_parallel: usize,
    rows: u64,
    checkpoint: Checkpoint,
    totals: Totals,
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
            max_parallel: args.max_parallel.get(),
            rows,
            checkpoint: store.checkpoint(),
            totals,
        })
    }

    pub fn print(&self) -> Result<()> {
        let mut table = format!("\n{}\n\n", self.mode.describe());
        for (name, value) in self.lines() {
            table.push_str(&format!("{name:>18}  {value}\n"));
        }
        match io::stdout().write_all(table.as_bytes()) {
            // Nobody reads it, as behind `| head -1`.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => Ok(written?),
        }
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
        let Totals {
            customers,
            purchases,
            items,
            cents,
            most,
            most_by,
        } = self.totals;
        let lost = row - dead_letters - purchases;
        vec![
            ("rows", format!("{} of {}", count(row), count(self.rows))),
            ("customers", count(customers)),
            ("purchases", count(purchases)),
            ("items", count(items)),
            (
                "dollars",
                format!("{}.{:02}", count(cents / 100), cents % 100),
            ),
            ("most purchases", format!("{most}, by customer {most_by}")),
            (
                "time",
                format!("{:.1} s, runs: {runs}", worked.as_secs_f64()),
            ),
            ("rate", format!("{} rows/s", count(rate(row, worked)))),
            ("speed-up", self.speed_up()),
            ("order violations", count(order_violations)),
            ("lost purchases", count(lost)),
            ("dead letters", count(dead_letters)),
            ("handled again", count(handled_again)),
        ]
    }

    /// A careful one: one at a time takes more than the sum of its remote calls.
    fn speed_up(&self) -> String {
        if self.mode == Mode::Serial {
            return "1 x: this is one at a time".to_owned();
        }
        let Checkpoint {
            remote_calls,
            worked,
            ..
        } = self.checkpoint;
        format!(
            "{:.1} x over one at a time, whose remote calls alone take {:.1} s (--max-parallel {})",
            remote_calls.as_secs_f64() / worked.as_secs_f64().max(f64::MIN_POSITIVE),
            remote_calls.as_secs_f64(),
            self.max_parallel,
        )
    }
}

fn rate(rows: u64, time: Duration) -> u64 {
    (rows as f64 / time.as_secs_f64().max(f64::MIN_POSITIVE)) as u64
}

fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

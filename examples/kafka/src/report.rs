//! The table at the end.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::HumanCount;

use crate::customers::Customers;
use crate::outcome::Outcome;
use crate::progress::Progress;

#[derive(Default)]
pub struct Report {
    began: Option<Instant>,
    took: Duration,
    applied: u64,
    dead_letters: u64,
}

impl Report {
    pub fn count(&mut self, outcome: &Outcome) {
        self.took = self.began.get_or_insert_with(Instant::now).elapsed();
        match outcome {
            Outcome::Applied(_) => self.applied += 1,
            Outcome::DeadLetter => self.dead_letters += 1,
        }
    }

    pub fn handled(&self) -> u64 {
        self.applied + self.dead_letters
    }

    pub fn print(&self, customers: &Customers, progress: &Progress) -> Result<()> {
        let (mut number, mut purchases, mut items, mut cents) = (0, 0, 0, 0);
        customers.for_each(|_, customer| {
            number += 1;
            purchases += customer.purchases;
            items += customer.items;
            cents += customer.cents;
        });
        let (committed, drained, fenced) = progress.totals();
        let rate = self.handled() as f64 / self.took.as_secs_f64().max(f64::MIN_POSITIVE);
        let lines = [
            ("rows", count(self.handled())),
            ("customers", count(number)),
            ("items", count(items)),
            (
                "dollars",
                format!("${}.{:02}", count(cents / 100), cents % 100),
            ),
            ("time", format!("{:.1} s", self.took.as_secs_f64())),
            ("rate", format!("{} rows/s", count(rate as u64))),
            ("order violations", count(customers.order_violations())),
            (
                "lost purchases",
                count(self.applied.saturating_sub(purchases)),
            ),
            ("dead letters", count(self.dead_letters)),
            ("committed", count(committed)),
            ("partitions", format!("{drained} drained, {fenced} lost")),
        ];
        let mut table = String::from("\n");
        for (name, value) in lines {
            table.push_str(&format!("{name:>18}  {value}\n"));
        }
        Ok(io::stdout().write_all(table.as_bytes())?)
    }
}

fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

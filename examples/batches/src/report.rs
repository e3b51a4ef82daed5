//! The table at the end.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::time::Duration;

use anyhow::Result;

use crate::args::Args;
use crate::purchases::{Purchases, Total};
use crate::tally::Tally;

pub struct Report<'a> {
    pub args: &'a Args,
    pub tally: &'a Tally,
    pub customers: u64,
    /// Customers whose total is not that of a serial loop over the same rows.
    pub differ: u64,
    pub all_rows: u64,
}

impl<'a> Report<'a> {
    pub fn new(
        args: &'a Args,
        tally: &'a Tally,
        purchases: &Purchases,
        totals: &HashMap<u32, Total>,
    ) -> Self {
        let expected = purchases.totals(tally.position);
        let wrong = totals
            .iter()
            .filter(|(customer, total)| expected.get(customer) != Some(total));
        let missing = expected
            .keys()
            .filter(|customer| !totals.contains_key(customer));
        Self {
            args,
            tally,
            customers: totals.len() as u64,
            differ: (wrong.count() + missing.count()) as u64,
            all_rows: purchases.count(),
        }
    }

    pub fn print(&self) -> Result<()> {
        let mut table = format!("\n{}\n\n", self.describe());
        for (name, value) in self.lines() {
            table.push_str(&format!("{name:>15}  {value}\n"));
        }
        Ok(io::stdout().write_all(table.as_bytes())?)
    }

    fn describe(&self) -> String {
        match self.args.one_by_one {
            false => format!(
                "batches: a statement for up to {} purchases of an account",
                count(self.args.max_batch.into())
            ),
            true => "one by one: a statement for each purchase".to_owned(),
        }
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        let tally = self.tally;
        vec![
            (
                "position",
                format!("row {} of {}", count(tally.position), count(self.all_rows)),
            ),
            ("rows", count(tally.rows)),
            ("left out", format!("{}, posted before", count(tally.again))),
            ("calls", count(tally.calls)),
            (
                "commits",
                format!("{}, of the position", count(tally.commits)),
            ),
            ("most rows", format!("{} in a call", count(tally.most_rows))),
            ("time", format!("{:.2} s", tally.time.as_secs_f64())),
            (
                "rate",
                format!("{} rows/s", count(rate(tally.rows, tally.time))),
            ),
            ("customers", count(self.customers)),
            ("differ", count(self.differ)),
        ]
    }
}

pub fn rate(rows: u64, time: Duration) -> u64 {
    (rows as f64 / time.as_secs_f64().max(f64::MIN_POSITIVE)) as u64
}

/// A number with a comma before every three digits.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

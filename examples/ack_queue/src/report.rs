//! The table at the end.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use indicatif::HumanCount;

use crate::mode::Mode;
use crate::queue::LEASE;
use crate::tally::Tally;

pub struct Report {
    pub mode: Mode,
    pub kills: usize,
    pub restarts: usize,
    pub ran: Duration,
    pub tally: Tally,
}

impl Report {
    /// The exit code says whether the counts are what the mode promises.
    pub fn print(&self) -> Result<ExitCode> {
        let mut table = format!("\n{}\n", self.mode.describe());
        for part in [self.faults(), self.effort(), self.counts()] {
            table.push('\n');
            for (name, value) in part {
                table.push_str(&format!("{name:>22}  {value}\n"));
            }
        }
        io::stdout().write_all(table.as_bytes())?;
        Ok(if self.is_as_promised() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    fn faults(&self) -> Vec<(&'static str, String)> {
        let counts = &self.tally.counts;
        vec![
            ("consumer killed", self.kills.to_string()),
            ("server restarted", self.restarts.to_string()),
            ("acknowledgements lost", count(counts.acknowledgements_lost)),
            ("leases not extended", count(counts.not_extended)),
            ("handlers failed", self.handlers_failed()),
        ]
    }

    fn handlers_failed(&self) -> String {
        let counts = &self.tally.counts;
        let failed = count(counts.failed);
        match self.mode {
            Mode::AtLeastOnce => format!(
                "{failed}, given back with {} behind them",
                count(counts.given_back_behind)
            ),
            Mode::AtMostOnce => format!("{failed}, retried in place"),
        }
    }

    fn effort(&self) -> Vec<(&'static str, String)> {
        let counts = &self.tally.counts;
        vec![
            ("time", seconds(self.ran)),
            (
                "begun at the oldest",
                format!("{} times", count(counts.began)),
            ),
            (
                "leases extended",
                format!("{} times, by {} s", count(counts.extended), LEASE.as_secs()),
            ),
            (
                "longest wait",
                format!("{} until acknowledged", seconds(counts.longest)),
            ),
        ]
    }

    fn counts(&self) -> Vec<(&'static str, String)> {
        let counts = &self.tally.counts;
        let mut lines = vec![
            ("published", count(self.tally.published())),
            ("delivered", count(counts.delivered)),
            ("redelivered", count(counts.redelivered)),
            ("processed", count(self.tally.processed())),
            ("processed twice", count(counts.processed_twice)),
            ("applied twice", count(counts.applied_twice)),
            ("out of order", count(counts.out_of_order)),
            ("lost", count(self.tally.lost())),
        ];
        if counts.left_alone > 0 {
            lines.push(("left alone", count(counts.left_alone)));
        }
        lines
    }

    fn is_as_promised(&self) -> bool {
        let counts = &self.tally.counts;
        let for_this_mode = match self.mode {
            Mode::AtLeastOnce => self.tally.lost() == 0,
            Mode::AtMostOnce => counts.processed_twice == 0,
        };
        for_this_mode && counts.applied_twice == 0 && counts.out_of_order == 0
    }
}

fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

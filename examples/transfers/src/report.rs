//! The table at the end.

use std::io::{self, Write as _};

use anyhow::Result;

use crate::args::Args;
use crate::bank::{BRANCH_SUM, Bank};
use crate::checkpoint::Checkpoint;
use crate::figures::{count, dollars, rate, seconds};
use crate::log::{ACCOUNTS, ACCOUNTS_PER_BRANCH, BRANCHES};

const ALL: u64 = BRANCHES as u64 * BRANCH_SUM;

pub struct Report<'a> {
    args: &'a Args,
    bank: &'a Bank,
    checkpoint: Checkpoint,
}

impl<'a> Report<'a> {
    pub fn new(args: &'a Args, bank: &'a Bank, checkpoint: Checkpoint) -> Self {
        Self {
            args,
            bank,
            checkpoint,
        }
    }

    pub fn print(&self) -> Result<()> {
        let mut table = format!("\n{}\n\n", self.describe());
        for (name, value) in self.lines() {
            table.push_str(&format!("{name:>15}  {value}\n"));
        }
        Ok(io::stdout().write_all(table.as_bytes())?)
    }

    fn describe(&self) -> &'static str {
        match self.args.unordered {
            false => {
                "by access: a transfer has its two accounts to itself, an audit shares its branch"
            }
            true => "unordered: nothing waits for anything",
        }
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        let Checkpoint {
            log,
            row,
            audits,
            violations,
            handled_again,
            runs,
            worked,
        } = self.checkpoint;
        let declined = (0..ACCOUNTS).map(|id| self.bank.account(id).declined).sum();
        let sum = self.bank.sum(0..ACCOUNTS);
        vec![
            ("rows", format!("{} of {}", count(row), count(log.rows()))),
            ("transfers", count(row - audits)),
            ("declined", count(declined)),
            (
                "audits",
                format!("{}, of {ACCOUNTS_PER_BRANCH} accounts each", count(audits)),
            ),
            ("violations", count(violations)),
            ("a branch has", dollars(BRANCH_SUM)),
            ("all have", dollars(sum)),
            ("lost", dollars(ALL.saturating_sub(sum))),
            ("made of nothing", dollars(sum.saturating_sub(ALL))),
            ("time", seconds(worked)),
            ("rate", format!("{} rows/s", count(rate(row, worked)))),
            (
                "runs",
                format!("{runs}, transfers handled again: {}", count(handled_again)),
            ),
        ]
    }
}

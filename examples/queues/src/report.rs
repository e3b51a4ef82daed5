//! The tables at the end.

use std::io::{self, Write as _};
use std::time::Duration;

use anyhow::Result;

use crate::args::Args;
use crate::change::Change;
use crate::figures::{count, rate, seconds};
use crate::ledger::Counts;
use crate::moving::Figures;

pub struct Report<'a> {
    pub args: &'a Args,
    pub changes: Vec<Figures>,
    pub counts: Counts,
    pub time: Duration,
}

impl Report<'_> {
    pub fn print(&self) -> Result<()> {
        let mut tables = format!("\n{}\n\n", self.describe());
        if !self.changes.is_empty() {
            tables.push_str(&self.changes());
            tables.push('\n');
        }
        for (name, value) in self.lines() {
            tables.push_str(&format!("{name:>13}  {value}\n"));
        }
        Ok(io::stdout().write_all(tables.as_bytes())?)
    }

    fn describe(&self) -> &'static str {
        match self.args.no_drain {
            false => {
                "drain, then move: a group continues in its new queue once its old one has drained"
            }
            true => "no drain: a group continues in its new queue at once",
        }
    }

    /// A column for each change.
    fn changes(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        for (change, figures) in self.args.changes().zip(&self.changes) {
            for (number, (name, cell)) in self.column(change, figures).into_iter().enumerate() {
                if number == lines.len() {
                    lines.push(format!("{name:>13}"));
                }
                lines[number].push_str(&format!("  {cell:>11}"));
            }
        }
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    fn column(&self, change: Change, figures: &Figures) -> Vec<(&'static str, String)> {
        let groups = self.args.groups;
        let shift = change.shift(groups, self.args.virtual_nodes);
        let share = |part| percent(f64::from(part) / f64::from(groups));
        let mean = f64::from(groups) / f64::from(change.to);
        let fullest = f64::from(shift.fullest) / mean;
        let mut column = vec![
            ("queues", format!("{} to {}", change.from, change.to)),
            ("groups moved", count(shift.moved.into())),
            ("share", share(shift.moved)),
            ("ideal", percent(change.ideal())),
            ("by hash % n", share(shift.moved_by_remainder)),
            ("fullest queue", format!("{fullest:.2} × mean")),
        ];
        if !self.args.no_drain {
            column.extend([
                ("not held back", count(figures.passed)),
                ("held at most", count(figures.held_at_most as u64)),
                ("held longest", milliseconds(figures.longest)),
            ]);
        }
        column
    }

    fn lines(&self) -> [(&'static str, String); 8] {
        let Counts {
            published,
            handled,
            out_of_order,
            lost,
            twice,
        } = self.counts;
        let [groups, published, handled, out_of_order, lost, twice] = [
            self.args.groups,
            published,
            handled,
            out_of_order,
            lost,
            twice,
        ]
        .map(u64::from);
        [
            ("groups", count(groups)),
            ("published", count(published)),
            ("handled", count(handled)),
            ("out of order", count(out_of_order)),
            ("lost", count(lost)),
            ("handled twice", count(twice)),
            ("time", seconds(self.time)),
            (
                "rate",
                format!("{} messages/s", count(rate(handled, self.time))),
            ),
        ]
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{} ms", count(time.as_millis() as u64))
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

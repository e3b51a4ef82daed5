//! How far the job is. The transaction of a commit writes it together with the accounts.

use std::time::Duration;

use redb::{ReadableTable, StorageError, Table};

use crate::log::Log;

#[derive(Clone, Copy, Default)]
pub struct Checkpoint {
    pub log: Log,
    /// Every row up to this one is done.
    pub row: u64,
    pub audits: u64,
    /// Audits that came to a wrong sum.
    pub violations: u64,
    pub handled_again: u64,
    pub runs: u64,
    /// The time from start to last commit, of all runs.
    pub worked: Duration,
}

impl Checkpoint {
    pub fn load(table: &impl ReadableTable<&'static str, u64>) -> Result<Self, StorageError> {
        let number = |name| Ok::<_, StorageError>(table.get(name)?.map_or(0, |n| n.value()));
        Ok(Self {
            log: Log {
                seed: number("seed")?,
                transfers: number("transfers")?,
            },
            row: number("row")?,
            audits: number("audits")?,
            violations: number("violations")?,
            handled_again: number("handled again")?,
            runs: number("runs")?,
            worked: Duration::from_nanos(number("worked, in ns")?),
        })
    }

    pub fn save(&self, table: &mut Table<'_, &'static str, u64>) -> Result<(), StorageError> {
        for (name, number) in [
            ("seed", self.log.seed),
            ("transfers", self.log.transfers),
            ("row", self.row),
            ("audits", self.audits),
            ("violations", self.violations),
            ("handled again", self.handled_again),
            ("runs", self.runs),
            (
                "worked, in ns",
                self.worked.as_nanos().try_into().unwrap_or(u64::MAX),
            ),
        ] {
            table.insert(name, number)?;
        }
        Ok(())
    }
}

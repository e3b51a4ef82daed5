//! How far the job is. The transaction of a commit writes it together with the customers.

use std::time::Duration;

use redb::{ReadableTable, StorageError, Table};

use crate::input::Fingerprint;

#[derive(Clone, Copy, Default)]
pub struct Checkpoint {
    pub input: Fingerprint,
    /// Every row up to this one is done.
    pub row: u64,
    pub dead_letters: u64,
    pub dead_letter_bytes: u64,
    pub order_violations: u64,
    pub handled_again: u64,
    pub runs: u64,
    /// The time from start to last commit, of all runs.
    pub worked: Duration,
    /// What the remote calls of all rows take one after the other.
    pub remote_calls: Duration,
}

impl Checkpoint {
    pub fn load(table: &impl ReadableTable<&'static str, u64>) -> Result<Self, StorageError> {
        let number = |name| Ok::<_, StorageError>(table.get(name)?.map_or(0, |n| n.value()));
        Ok(Self {
            input: Fingerprint {
                bytes: number("input bytes")?,
                hash: number("input hash")?,
            },
            row: number("row")?,
            dead_letters: number("dead letters")?,
            dead_letter_bytes: number("dead-letter bytes")?,
            order_violations: number("order violations")?,
            handled_again: number("handled again")?,
            runs: number("runs")?,
            worked: Duration::from_nanos(number("worked, in ns")?),
            remote_calls: Duration::from_nanos(number("remote calls, in ns")?),
        })
    }

    pub fn save(&self, table: &mut Table<'_, &'static str, u64>) -> Result<(), StorageError> {
        for (name, number) in [
            ("input bytes", self.input.bytes),
            ("input hash", self.input.hash),
            ("row", self.row),
            ("dead letters", self.dead_letters),
            ("dead-letter bytes", self.dead_letter_bytes),
            ("order violations", self.order_violations),
            ("handled again", self.handled_again),
            ("runs", self.runs),
            ("worked, in ns", nanos(self.worked)),
            ("remote calls, in ns", nanos(self.remote_calls)),
        ] {
            table.insert(name, number)?;
        }
        Ok(())
    }
}

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos().try_into().unwrap_or(u64::MAX)
}

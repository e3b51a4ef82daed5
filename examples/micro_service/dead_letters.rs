//! The rows that could not be decoded: a file of offset, reason and row.
//!
//! It is written before the commit and its length is part of the commit. What is past that length after a crash is cut
//! off, and comes again with its rows: each dead letter is there once.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use anyhow::Result;

use crate::refused::Refused;

pub struct DeadLetter {
    pub row: u64,
    pub reason: String,
    pub content: Vec<u8>,
}

pub struct DeadLetters {
    file: File,
}

impl DeadLetters {
    /// Opens the file as it was at the last commit.
    pub fn open(path: &Path, committed_bytes: u64) -> Result<Self> {
        let refuse = |problem: String| {
            Refused(format!(
                "{}: {problem}; put it right, or start over with --fresh",
                path.display()
            ))
        };
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .map_err(|error| refuse(error.to_string()))?;
        let bytes = file.metadata()?.len();
        if bytes < committed_bytes {
            return Err(refuse(format!(
                "{bytes} bytes, but {committed_bytes} were committed"
            ))
            .into());
        }
        file.set_len(committed_bytes)?;
        Ok(Self { file })
    }

    /// Makes some more lines durable.
    pub fn append(&self, lines: &[u8]) -> Result<()> {
        (&self.file).write_all(lines)?;
        self.file.sync_data()?;
        Ok(())
    }
}

/// The lines for some dead letters, the first of all below a header.
pub fn to_lines(dead_letters: &[DeadLetter], with_header: bool) -> Result<Vec<u8>> {
    let mut lines = csv::Writer::from_writer(Vec::new());
    if with_header {
        lines.write_record(["offset", "reason", "row"])?;
    }
    for DeadLetter {
        row,
        reason,
        content,
    } in dead_letters
    {
        lines.write_record([row.to_string().as_bytes(), reason.as_bytes(), content])?;
    }
    Ok(lines.into_inner()?)
}

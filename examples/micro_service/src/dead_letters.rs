//! The rows that could not be decoded, in a file of offset, reason and row.
//!
//! The file is written before the commit, and its length is part of the commit. After a crash, whatever is past that length
//! is cut off and written again with its rows, so each dead letter is there once.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::refused::Refused;

pub struct DeadLetter {
    pub row: u64,
    pub reason: String,
    pub content: Vec<u8>,
}

pub struct DeadLetters {
    path: PathBuf,
    file: File,
}

impl DeadLetters {
    /// Whether the file holds all that was committed.
    pub fn check(path: &Path, committed_bytes: u64) -> Result<()> {
        let bytes = fs::metadata(path).map_or(0, |file| file.len());
        if bytes < committed_bytes {
            return Err(Refused(format!(
                "{} has {bytes} bytes, but {committed_bytes} were committed; \
                 restore it, or start over with --fresh",
                path.display()
            ))
            .into());
        }
        Ok(())
    }

    /// Opens the file as it was at the last commit.
    pub fn open(path: &Path, committed_bytes: u64) -> Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        file.set_len(committed_bytes)?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
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

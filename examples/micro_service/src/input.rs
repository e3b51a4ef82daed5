//! The file as a source of messages. Each line is a message, however broken, and its number is its offset.

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::refused::Refused;

const HEADER: &str = "date,customer,items,dollars";

pub struct Input {
    content: Vec<u8>,
    fingerprint: Fingerprint,
    rows: u64,
}

/// Tells one input from another, wherever it lies.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Fingerprint {
    pub bytes: u64,
    pub hash: u64,
}

/// A line of the file. The rows below the header count from 1, so a position of 0 is before the first.
pub struct Row<'a> {
    pub number: u64,
    pub content: &'a [u8],
}

impl Input {
    pub fn read(file: &Path) -> Result<Self> {
        let content = fs::read(file).map_err(|error| {
            Refused(format!(
                "cannot read {}: {error}; name the file of purchases with --data FILE",
                file.display()
            ))
        })?;
        if lines(&content).next() != Some(HEADER.as_bytes()) {
            return Err(Refused(format!(
                "{} does not begin with the header `{HEADER}`; \
                 add it, or name the file of purchases with --data FILE",
                file.display()
            ))
            .into());
        }
        Ok(Self {
            fingerprint: Fingerprint::of(&content),
            rows: lines(&content).count() as u64 - 1,
            content,
        })
    }

    /// Leaves the first rows only.
    pub fn truncate(&mut self, rows: u64) {
        self.rows = self.rows.min(rows);
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Every row past a position.
    pub fn rows_after(&self, position: u64) -> impl Iterator<Item = Row<'_>> {
        (0..=self.rows)
            .zip(lines(&self.content))
            .map(|(number, content)| Row { number, content })
            .skip_while(move |row| row.number <= position)
    }
}

impl Fingerprint {
    /// FNV-1a, since it must be the same with every build.
    fn of(content: &[u8]) -> Self {
        let hash = content.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self {
            bytes: content.len() as u64,
            hash,
        }
    }
}

/// The lines, with whatever they hold: a stray quote or a byte that is not UTF-8 stays within its own.
fn lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    content
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\n").unwrap_or(line))
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

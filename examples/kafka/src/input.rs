//! The file of purchases. Each line below the header is a message.

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::refused::Refused;

const HEADER: &str = "date,customer,items,dollars";

pub struct Input(String);

impl Input {
    pub fn read(file: &Path) -> Result<Self> {
        let content = fs::read_to_string(file).map_err(|error| {
            Refused(format!(
                "cannot read {}: {error}; name the file of purchases with --data FILE",
                file.display()
            ))
        })?;
        if content.lines().next() != Some(HEADER) {
            return Err(Refused(format!(
                "{} does not begin with the header `{HEADER}`; \
                 add it, or name the file of purchases with --data FILE",
                file.display()
            ))
            .into());
        }
        Ok(Self(content))
    }

    pub fn rows(&self) -> u64 {
        self.lines().count() as u64
    }

    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.lines().skip(1)
    }
}

/// The key of a row: the customer, whatever else is in it.
pub fn key(row: &str) -> &str {
    row.split(',').nth(1).unwrap_or_default()
}

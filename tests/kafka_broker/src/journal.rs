//! Journal: what a process writes down for the judge, a line at a time.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use kafka_judge::event::{Event, What};

use crate::clock;

/// A file that this process alone writes to.
///
/// Each line is one write to the end of the file, with nothing kept back, so `kill -9` takes none that was written.
#[derive(Debug)]
pub struct Journal(File);

impl Journal {
    /// # Errors
    ///
    /// If the file cannot be opened, or made.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Ok(Self(file))
    }

    /// Writes what happens in this process now.
    ///
    /// # Panics
    ///
    /// If it cannot be written: without it, no verdict would be right.
    pub fn write(&self, what: What) {
        self.write_for(std::process::id(), what);
    }

    /// Writes what happens to another process now.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn write_for(&self, process: u32, what: What) {
        let at = clock::now();
        let line = format!("{}\n", Event { at, process, what });
        let mut file = &self.0;
        file.write_all(line.as_bytes())
            .expect("the journal can be written");
    }
}

//! What happened, one event per line. It is also the handlers' database: to be processed is the whole effect of a message,
//! so the effect and the note that it took place are one write, which a kill cannot split.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};

#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// A consumer begins at the oldest message that is not acknowledged.
    Began,
    Delivered(u64),
    Processed(u64),
    /// Processed before, so nothing was done.
    FoundDone(u64),
    /// Acknowledged, and about to be processed.
    MayNotBeProcessedAgain(u64),
    /// Acknowledged before, and delivered again all the same.
    LeftAlone(u64),
    /// So long after it was received.
    Acknowledged(Duration),
    AcknowledgementLost(u64),
    Failed(u64),
    GivenBackBehind(u64),
    NotExtended(u64),
    /// So many leases.
    Extended(u64),
}

pub struct Journal {
    file: File,
    done: Mutex<HashSet<u64>>,
}

impl Journal {
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(path)?;
        let journal = Self {
            file,
            done: Mutex::default(),
        };
        for line in fs::read_to_string(path)?.lines() {
            journal.note(Event::parse(line)?);
        }
        Ok(journal)
    }

    pub fn write(&self, event: Event) -> Result<()> {
        (&self.file).write_all(event.line().as_bytes())?;
        self.note(event);
        Ok(())
    }

    /// Whether a message was processed, or may not be processed any more.
    pub fn is_done(&self, number: u64) -> bool {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.contains(&number)
    }

    fn note(&self, event: Event) {
        if let Event::Processed(number) | Event::MayNotBeProcessedAgain(number) = event {
            let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
            done.insert(number);
        }
    }
}

impl Event {
    pub fn line(self) -> String {
        let (letter, value) = match self {
            Self::Began => ('b', 0),
            Self::Delivered(number) => ('d', number),
            Self::Processed(number) => ('p', number),
            Self::FoundDone(number) => ('f', number),
            Self::MayNotBeProcessedAgain(number) => ('m', number),
            Self::LeftAlone(number) => ('l', number),
            Self::Acknowledged(age) => ('a', age.as_millis() as u64),
            Self::AcknowledgementLost(number) => ('x', number),
            Self::Failed(number) => ('e', number),
            Self::GivenBackBehind(number) => ('g', number),
            Self::NotExtended(number) => ('n', number),
            Self::Extended(leases) => ('t', leases),
        };
        format!("{letter} {value}\n")
    }

    pub fn parse(line: &str) -> Result<Self> {
        let parts = line.split_once(' ');
        let (letter, value) = parts.with_context(|| format!("not an event: {line}"))?;
        let value = value.parse()?;
        Ok(match letter {
            "b" => Self::Began,
            "d" => Self::Delivered(value),
            "p" => Self::Processed(value),
            "f" => Self::FoundDone(value),
            "m" => Self::MayNotBeProcessedAgain(value),
            "l" => Self::LeftAlone(value),
            "a" => Self::Acknowledged(Duration::from_millis(value)),
            "x" => Self::AcknowledgementLost(value),
            "e" => Self::Failed(value),
            "g" => Self::GivenBackBehind(value),
            "n" => Self::NotExtended(value),
            "t" => Self::Extended(value),
            _ => anyhow::bail!("not an event: {line}"),
        })
    }
}

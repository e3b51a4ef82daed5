//! Counts what is in the journal, regardless of what the handlers believe.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::args::Settings;
use crate::journal::Event;
use crate::message::group;

pub struct Tally {
    journal: PathBuf,
    read: u64,
    groups: u32,
    messages: Vec<Message>,
    /// The latest message of each group that took effect, and one more.
    next: Vec<u64>,
    pub counts: Counts,
}

#[derive(Clone, Default)]
struct Message {
    deliveries: u64,
    processed: u64,
}

#[derive(Default)]
pub struct Counts {
    pub began: u64,
    pub delivered: u64,
    pub redelivered: u64,
    pub processed_twice: u64,
    pub applied_twice: u64,
    pub left_alone: u64,
    pub out_of_order: u64,
    pub acknowledged: u64,
    pub acknowledgements_lost: u64,
    pub failed: u64,
    pub given_back_behind: u64,
    pub not_extended: u64,
    pub extended: u64,
    pub longest: Duration,
}

impl Tally {
    pub fn of(journal: PathBuf, settings: &Settings) -> Self {
        Self {
            journal,
            read: 0,
            groups: settings.groups,
            messages: vec![Message::default(); settings.messages as usize],
            next: vec![0; settings.groups as usize],
            counts: Counts::default(),
        }
    }

    /// Counts what was written since the last time.
    pub fn read_on(&mut self) -> Result<()> {
        let mut file = match File::open(&self.journal) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        file.seek(SeekFrom::Start(self.read))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        for line in text.split_inclusive('\n') {
            if let Some(line) = line.strip_suffix('\n') {
                self.count(Event::parse(line)?);
                self.read += line.len() as u64 + 1;
            }
        }
        Ok(())
    }

    pub fn acknowledged(&self) -> u64 {
        self.counts.acknowledged
    }

    pub fn published(&self) -> u64 {
        self.messages.len() as u64
    }

    pub fn processed(&self) -> u64 {
        let processed = self.messages.iter().filter(|message| message.processed > 0);
        processed.count() as u64
    }

    pub fn lost(&self) -> u64 {
        self.published() - self.processed()
    }

    fn count(&mut self, event: Event) {
        let counts = &mut self.counts;
        match event {
            Event::Began => counts.began += 1,
            Event::Delivered(number) => {
                let message = &mut self.messages[number as usize];
                message.deliveries += 1;
                counts.delivered += 1;
                counts.redelivered += u64::from(message.deliveries > 1);
            }
            Event::Processed(number) => {
                let message = &mut self.messages[number as usize];
                message.processed += 1;
                if message.processed > 1 {
                    counts.processed_twice += 1;
                    counts.applied_twice += 1;
                }
                let next = &mut self.next[group(number, self.groups) as usize];
                counts.out_of_order += u64::from(number < *next);
                *next = (*next).max(number + 1);
            }
            Event::FoundDone(_) => counts.processed_twice += 1,
            Event::MayNotBeProcessedAgain(_) => {}
            Event::LeftAlone(_) => counts.left_alone += 1,
            Event::Acknowledged(age) => {
                counts.acknowledged += 1;
                counts.longest = counts.longest.max(age);
            }
            Event::AcknowledgementLost(_) => counts.acknowledgements_lost += 1,
            Event::Failed(_) => counts.failed += 1,
            Event::GivenBackBehind(_) => counts.given_back_behind += 1,
            Event::NotExtended(_) => counts.not_extended += 1,
            Event::Extended(leases) => counts.extended += leases,
        }
    }
}

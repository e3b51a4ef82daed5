//! Formats figures for people.

use std::time::Duration;

use indicatif::HumanCount;

pub fn dollars(cents: u64) -> String {
    format!("${}.{:02}", count(cents / 100), cents % 100)
}

pub fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

pub fn rate(rows: u64, time: Duration) -> u64 {
    (rows as f64 / time.as_secs_f64().max(f64::MIN_POSITIVE)) as u64
}

pub fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

//! Judges what Kafka consumers did, from what their handlers wrote down.
//!
//! Each process writes a journal, a line for each [event](event). The judge reads the journals of all processes, puts the
//! lines in the order of their time, and counts what must not be. It knows nothing of Kafka's client and nothing of the
//! crate that is judged.
#![forbid(unsafe_code)]

pub mod event;
mod fault;
mod history;
mod journals;
mod keys;
mod positions;
mod repeats;
mod verdict;

pub use self::fault::{Fault, Kind};
pub use self::journals::read;
pub use self::verdict::{Verdict, judge};

//! What the members and the tests of this package share. [The README](../README.md) says how to run them.
#![forbid(unsafe_code)]
#![allow(missing_docs)]

pub mod args;
pub mod broker;
pub mod clock;
pub mod handler;
pub mod journal;
pub mod outcome;
pub mod scenario;
pub mod stage;
pub mod stop;

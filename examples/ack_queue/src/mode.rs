//! When a message is acknowledged.

use clap::ValueEnum;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// After it is processed: nothing is lost
    AtLeastOnce,
    /// Before it is processed: nothing is processed twice
    AtMostOnce,
}

impl Mode {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::AtLeastOnce => "at-least-once",
            Self::AtMostOnce => "at-most-once",
        }
    }

    pub fn describe(self) -> &'static str {
        match self {
            Self::AtLeastOnce => "at least once: acknowledged after processing",
            Self::AtMostOnce => "at most once: acknowledged before processing",
        }
    }
}

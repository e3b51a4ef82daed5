//! The outcome of a message.

use crate::dead_letters::DeadLetter;

pub enum Outcome {
    Applied,
    AppliedBefore,
    Undecodable(DeadLetter),
}

impl Outcome {
    pub fn undecodable(row: u64, content: &[u8], reason: String) -> Self {
        Self::Undecodable(DeadLetter {
            row,
            reason,
            content: content.to_vec(),
        })
    }
}

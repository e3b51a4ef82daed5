//! The outcome of a message.

use crate::decode::Purchase;

pub enum Outcome {
    Applied(Purchase),
    DeadLetter,
}

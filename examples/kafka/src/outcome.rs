//! The outcome of a message.

pub enum Outcome {
    Applied,
    DeadLetter,
}

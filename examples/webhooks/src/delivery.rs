//! A delivery and its outcome.

use crate::args::Args;

#[derive(Clone, Copy)]
pub struct Delivery {
    /// Its offset in the stream.
    pub number: usize,
    /// Its group.
    pub endpoint: usize,
}

impl Delivery {
    /// Each endpoint's in turn.
    pub fn all(args: &Args) -> impl Iterator<Item = Self> + use<> {
        let endpoints = args.endpoints;
        (0..args.deliveries).map(move |number| Self {
            number,
            endpoint: number % endpoints,
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Delivered,
    DeadLettered,
    Skipped,
}

//! Who was woken, told apart: who holds a slot, and who waits without one and may be done waiting.
//!
//! Used only while anyone waits without a slot. Who is done waiting goes before what is younger, so it must be found
//! whatever else was woken, and before the source is read.

use std::collections::VecDeque;

/// The places that were woken and have not been polled since, the first to be found first.
pub(super) struct ToldApart {
    holders: VecDeque<usize>,
    /// How many of the holders belong to this round: the others were polled in it already, or may have been.
    in_round: usize,
    returning: VecDeque<usize>,
    /// Those of the returning that were looked at in this round, and woken again.
    looked_at: Vec<usize>,
    round: u32,
}

impl ToldApart {
    pub(super) fn new() -> Self {
        Self {
            holders: VecDeque::new(),
            in_round: 0,
            returning: VecDeque::new(),
            looked_at: Vec::new(),
            round: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.holders.is_empty() && self.returning.is_empty() && self.looked_at.is_empty()
    }

    /// The number of this round, which may come again after four billion others.
    pub(super) fn round(&self) -> u32 {
        self.round
    }

    /// A round begins, to which all belong that are here.
    pub(super) fn begin_round(&mut self) {
        self.round = self.round.wrapping_add(1);
        self.in_round = self.holders.len();
        self.returning.extend(self.looked_at.drain(..));
    }

    /// Whether a holder of this round is left.
    pub(super) fn has_holder(&self) -> bool {
        self.in_round > 0
    }

    pub(super) fn push_holder(&mut self, place: usize, is_of_round: bool) {
        self.holders.push_back(place);
        self.in_round += usize::from(is_of_round);
    }

    /// Takes the next holder of this round.
    pub(super) fn pop_holder(&mut self) -> Option<usize> {
        self.in_round = self.in_round.checked_sub(1)?;
        self.holders.pop_front()
    }

    pub(super) fn push_returning(&mut self, place: usize, looked_at: u32) {
        if looked_at == self.round {
            self.looked_at.push(place);
        } else {
            self.returning.push_back(place);
        }
    }

    /// The next that may be done waiting.
    pub(super) fn returning(&self) -> Option<usize> {
        self.returning.front().copied()
    }

    pub(super) fn pop_returning(&mut self) -> Option<usize> {
        self.returning.pop_front()
    }

    /// Nobody waits without a slot any more.
    pub(super) fn forget_returning(&mut self) {
        self.returning.clear();
        self.looked_at.clear();
    }

    pub(super) fn clear(&mut self) {
        self.forget_returning();
        self.holders.clear();
        self.in_round = 0;
    }
}

//! What others see of the streams while these run.
//!
//! The fold counts nothing for it on the way of an item: it adds up what its parts know as the task goes to sleep, since
//! nothing changes until it runs again, and after so many results. The figures of a stream are written by that stream alone
//! and read by anybody, without a lock.

mod board;
mod figures;
mod snapshot;
mod timing;

pub(crate) use self::board::Board;
use self::board::Entry;
pub use self::snapshot::{Snapshot, Times};
use self::timing::Timing;

use std::sync::Arc;

/// One stream's side of a board.
pub(crate) struct Watch {
    entry: Entry,
    /// Only where there is a clock.
    timing: Option<Timing>,
}

impl Watch {
    pub(crate) fn new(board: &Arc<Board>) -> Self {
        Self {
            entry: Board::enter(board),
            timing: board.has_clock().then(Timing::new),
        }
    }

    pub(crate) fn is_timed(&self) -> bool {
        self.timing.is_some()
    }

    /// Shows what the stream does, given the counts and totals. So many items that were timed or went through at once are
    /// among them.
    pub(crate) fn publish(&mut self, mut snapshot: Snapshot) {
        let mut oldest = None;
        if let Some(timing) = &self.timing {
            let finished = snapshot.admitted_total - timing.unfinished();
            (snapshot.in_queue, snapshot.in_handler) = timing.times(finished);
            oldest = timing.oldest();
        }
        self.entry.publish(&snapshot, oldest);
    }

    /// An unfinished item is admitted. `is_first` says whether nothing else has been timed in this poll.
    pub(crate) fn admit(&mut self, arrival: u64, is_first: bool) {
        if let Some(timing) = self.now(is_first) {
            timing.admit(arrival);
        }
    }

    /// An item is started in a place.
    pub(crate) fn start(&mut self, place: usize, is_first: bool) {
        if let Some(timing) = self.now(is_first) {
            timing.start(place);
        }
    }

    /// An item is finished; another may go on in its place at once.
    pub(crate) fn finish(&mut self, place: usize, arrival: u64, is_first: bool) {
        if let Some(timing) = self.now(is_first) {
            timing.finish(place, arrival);
        }
    }

    /// The stream has ended: nothing is unfinished any more.
    pub(crate) fn end(&mut self) {
        if let Some(timing) = &mut self.timing {
            timing.end();
        }
    }

    /// Gives back storage of which far less is used than there is.
    pub(crate) fn shrink(&mut self) {
        if let Some(timing) = &mut self.timing {
            timing.shrink();
        }
    }

    fn now(&mut self, is_first: bool) -> Option<&mut Timing> {
        let timing = self.timing.as_mut()?;
        if is_first {
            timing.set_now(self.entry.now());
        }
        Some(timing)
    }
}

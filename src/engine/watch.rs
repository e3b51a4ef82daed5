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
pub(crate) use self::timing::Timing;

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

    /// What is timed, at the time that the clock shows. `is_first` says whether it has not been read in this poll.
    pub(crate) fn timing(&mut self, is_first: bool) -> Option<&mut Timing> {
        let timing = self.timing.as_mut()?;
        if is_first {
            timing.set_now(self.entry.now());
        }
        Some(timing)
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
}

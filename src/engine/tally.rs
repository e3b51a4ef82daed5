//! How many items went in and how many results came out, and who is shown it.

use std::sync::Arc;

use crate::engine::watch::{Board, Snapshot, Watch};

/// How many results come out one after the other before the operator gives way to its task's neighbours.
const RESULTS_PER_TURN: u32 = 256;

/// After how many results that do not count for the turn they are shown.
const RESULTS_PER_PUBLICATION: u64 = 256;

/// Counts as little as it can on the way of an item: what goes through at once is known from the results.
pub(crate) struct Tally {
    /// How many results may still come out in this turn.
    turn: u32,
    /// Results that came out and do not count for the turn.
    uncounted: u64,
    /// Results of the turns before.
    emitted: u64,
    /// Items that stayed when they went in, and how many of them have come out.
    stayed: u64,
    left: u64,
    failed: u64,
    /// Items that have come out with the last of their batch.
    with_others: u64,
    watch: Option<Box<Watch>>,
    is_timed: bool,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            turn: RESULTS_PER_TURN,
            uncounted: 0,
            emitted: 0,
            stayed: 0,
            left: 0,
            failed: 0,
            with_others: 0,
            watch: None,
            is_timed: false,
        }
    }

    /// Shows on this board what comes from here on.
    pub(crate) fn show_on(&mut self, board: &Arc<Board>) {
        let watch = Watch::new(board);
        self.is_timed = watch.is_timed();
        self.watch = Some(Box::new(watch));
    }

    /// An item went in, and nothing came out for it.
    #[inline(always)]
    pub(crate) fn stay(&mut self) {
        self.stayed += 1;
    }

    /// A result came out as an item went in.
    #[inline(always)]
    pub(crate) fn pass(&mut self) {
        self.turn -= 1;
    }

    /// The result of an item that had stayed comes out.
    #[inline(always)]
    pub(crate) fn leave(&mut self) {
        self.left += 1;
        self.turn -= 1;
    }

    /// A result comes out that was kept. It counts for the turn if anything was done in this poll. Says whether it is time to
    /// show so: what does not count for the turn makes no pause.
    #[must_use]
    pub(crate) fn leave_kept(&mut self, counts: bool) -> bool {
        self.left += 1;
        self.turn -= u32::from(counts);
        self.uncounted += u64::from(!counts);
        !counts && self.is_watched() && self.uncounted % RESULTS_PER_PUBLICATION == 0
    }

    /// An item has failed, or the source.
    pub(crate) fn fail(&mut self) {
        self.failed += 1;
    }

    /// So many items have come out with the last of their batch, in all.
    pub(crate) fn come_with_others(&mut self, items: u64) {
        self.with_others = items;
    }

    /// Whether so many results have come out that the task's neighbours go first.
    pub(crate) fn has_given_enough(&self) -> bool {
        self.turn == 0
    }

    /// The task's neighbours have their turn.
    pub(crate) fn pause(&mut self) {
        self.emitted = self.emitted();
        self.turn = RESULTS_PER_TURN;
        self.uncounted = 0;
    }

    /// Whether somebody is shown this.
    pub(crate) fn is_watched(&self) -> bool {
        self.watch.is_some()
    }

    /// Whether somebody is shown how long things take.
    #[inline(always)]
    pub(crate) fn is_timed(&self) -> bool {
        self.is_timed
    }

    pub(crate) fn watch(&mut self) -> Option<&mut Watch> {
        self.watch.as_deref_mut()
    }

    /// Shows how it stands. The counts are given; the totals are known here.
    pub(crate) fn publish(&mut self, counts: Snapshot) {
        let emitted = self.emitted();
        let totals = Snapshot {
            admitted_total: emitted - self.left + self.stayed,
            emitted_total: emitted + self.with_others,
            failed_total: self.failed,
            ..counts
        };
        if let Some(watch) = &mut self.watch {
            watch.publish(totals);
        }
    }

    /// Shows that the stream has ended.
    pub(crate) fn end(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.end();
        }
        self.publish(Snapshot::default());
    }

    fn emitted(&self) -> u64 {
        self.emitted + u64::from(RESULTS_PER_TURN - self.turn) + self.uncounted
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn results_for_which_nothing_was_done_do_not_count() {
        let mut tally = Tally::new();
        for _ in 0..RESULTS_PER_TURN {
            let _ = tally.leave_kept(false);
            assert!(!tally.has_given_enough());
            let _ = tally.leave_kept(true);
        }
        assert!(tally.has_given_enough());
        tally.pause();
        assert!(!tally.has_given_enough());
        assert_eq!(tally.emitted(), u64::from(RESULTS_PER_TURN) * 2);
    }

    #[test]
    fn only_results_for_which_nothing_was_done_are_shown_without_a_pause() {
        let mut tally = Tally::new();
        tally.show_on(&Arc::default());
        for _ in 0..2 {
            let counted = (1..RESULTS_PER_TURN).filter(|_| tally.leave_kept(true));
            assert_eq!(counted.count(), 0);
            let uncounted = (0..2 * RESULTS_PER_PUBLICATION).filter(|_| tally.leave_kept(false));
            assert_eq!(uncounted.count(), 2);
            tally.pause();
        }
    }
}

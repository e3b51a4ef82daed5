//! Batches: one result for several items, in the place and with the offset of the last.

use std::fmt;

use super::Window;

/// Emits one result for each batch.
///
/// Underneath, each item has its place. What comes out for one that gives nothing of its own is dropped here.
pub struct Batches<W> {
    window: W,
    /// How many items of the batch that finishes now came before its last.
    finishing: usize,
    /// How many items have left the window underneath before the result of their batch.
    gone: usize,
    with_others: u64,
}

/// What an item has of the result of its batch.
#[derive(Debug)]
pub enum Share<R> {
    /// Nothing.
    Nothing,
    /// All, as the last of it. So many came before.
    Last(R, usize),
}

impl<W> Batches<W> {
    pub(crate) fn new(window: W) -> Self {
        Self {
            window,
            finishing: 0,
            gone: 0,
            with_others: 0,
        }
    }

    /// The share of an item that is the last of its batch.
    fn last<R>(&mut self, result: R) -> Share<R> {
        Share::Last(result, std::mem::take(&mut self.finishing))
    }

    /// The result that comes out, given what comes out underneath.
    fn skip<L, R, O>(&mut self, mut next: Option<(Share<R>, O)>) -> Option<(R, O)>
    where
        W: Window<L, Result = Share<R>, Emitted = (Share<R>, O)>,
    {
        loop {
            match next? {
                (Share::Nothing, _) => self.gone += 1,
                (Share::Last(result, others), offset) => {
                    self.gone -= others;
                    self.with_others += others as u64;
                    return Some((result, offset));
                }
            }
            next = self.window.emit();
        }
    }
}

impl<L, R, O, W> Window<L> for Batches<W>
where
    W: Window<L, Result = Share<R>, Emitted = (Share<R>, O)>,
{
    type Offset = W::Offset;
    type Result = R;
    type Emitted = (R, O);

    fn has_room(&self, look_ahead: usize) -> bool {
        look_ahead > self.gone && self.window.has_room(look_ahead - self.gone)
    }

    fn next_ticket(&self) -> u64 {
        self.window.next_ticket()
    }

    fn arrival(&self, ticket: u64) -> u64 {
        self.window.arrival(ticket)
    }

    fn admit(&mut self, offset: W::Offset, partition: L) {
        self.window.admit(offset, partition);
    }

    fn pass(&mut self, offset: W::Offset, partition: L, result: R) -> Option<(R, O)> {
        let last = self.last(result);
        let next = self.window.pass(offset, partition, last);
        self.skip(next)
    }

    fn finish(&mut self, ticket: u64, result: R) -> Option<(R, O)> {
        let last = self.last(result);
        let next = self.window.finish(ticket, last);
        self.skip(next)
    }

    fn keep(&mut self, ticket: u64, result: R) {
        let last = self.last(result);
        self.window.keep(ticket, last);
    }

    fn fail(&mut self, ticket: u64) {
        self.window.fail(ticket);
    }

    fn are_of_one_partition(&self, ticket: u64, other: u64) -> bool {
        self.window.are_of_one_partition(ticket, other)
    }

    fn finish_with_others(&mut self, ticket: u64) {
        self.window.keep(ticket, Share::Nothing);
        self.finishing += 1;
    }

    fn with_others(&self) -> u64 {
        self.with_others
    }

    fn emit(&mut self) -> Option<(R, O)> {
        let next = self.window.emit();
        self.skip(next)
    }

    fn has_reached(&self, arrival: u64) -> bool {
        self.window.has_reached(arrival)
    }

    fn admitted(&self) -> usize {
        self.window.admitted() + self.gone
    }

    fn finished(&self) -> usize {
        self.window.finished() + self.gone
    }

    fn unfinished<'a>(&'a self) -> impl Iterator<Item = &'a W::Offset>
    where
        W::Offset: 'a,
    {
        self.window.unfinished()
    }

    fn shrink(&mut self) {
        self.window.shrink();
    }

    fn clear(&mut self) {
        self.window.clear();
        (self.finishing, self.gone) = (0, 0);
    }
}

impl<W> fmt::Debug for Batches<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batches").finish_non_exhaustive()
    }
}

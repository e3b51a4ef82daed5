//! The admitted items in arrival order, and which result comes out next. No async.

mod completion_order;
mod ring;
mod source_order;

pub use self::completion_order::CompletionOrder;
pub use self::source_order::SourceOrder;

/// Keeps each admitted item's offset, and its result until it comes out.
pub trait Window<O, R> {
    /// What comes out: a result with its offset.
    type Emitted;

    fn new() -> Self
    where
        Self: Sized;

    /// Whether one more item may be admitted.
    fn has_room(&self, look_ahead: usize) -> bool;

    /// The arrival number of the next item to be admitted.
    fn next_seq(&self) -> u64;

    /// Admits an unfinished item.
    fn admit(&mut self, offset: O);

    /// Admits an item that is finished already, and says what comes out next, if anything: one in, one out, so that
    /// results do not pile up while there is somebody to take them.
    fn pass(&mut self, offset: O, result: R) -> Option<Self::Emitted>;

    /// An admitted item is finished: what comes out next, if anything.
    fn finish(&mut self, seq: u64, result: R) -> Option<Self::Emitted>;

    /// An admitted item is finished, and its result stays.
    fn keep(&mut self, seq: u64, result: R);

    /// An admitted item has failed: nothing comes out for it, and it is never passed.
    fn fail(&mut self, seq: u64);

    /// What comes out next, of what was kept.
    fn emit(&mut self) -> Option<Self::Emitted>;

    /// Whether all before this arrival number has come out, and nothing past it is about to.
    fn has_reached(&self, seq: u64) -> bool;

    /// How many admitted items have not come out.
    fn admitted(&self) -> usize;

    /// How many of them are finished.
    fn finished(&self) -> usize;

    /// The offsets of those that are not, in source order.
    fn unfinished<'a>(&'a self) -> impl Iterator<Item = &'a O>
    where
        O: 'a;

    /// Drops all.
    fn clear(&mut self);
}

//! What a handler takes at a time.

use crate::engine::sealed::Sealed;

/// Says what the handlers take.
pub trait Feeds: Sealed {
    /// An item.
    type Input;
}

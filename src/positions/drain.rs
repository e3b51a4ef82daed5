//! Drain: what is still done when a partition is about to be given up.

/// What a lease still lets happen while it [drains](crate::positions::Lease::drain).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Drain {
    /// Everything that was handed out goes on, including what waits for its group. Nothing more is handed out.
    ///
    /// Use it where [`Done`](crate::positions::Done) has nowhere to go: with everything finished, the position alone says
    /// it all. A drain takes as long as the longest queue of a group.
    Admitted,
    /// Handlers that run go on; no other starts. Nothing more is handed out.
    ///
    /// A drain takes as long as the slowest handler that runs. What was done past what is left is in the last
    /// [`Commit`](crate::positions::Commit), so it is not repeated.
    Running,
}

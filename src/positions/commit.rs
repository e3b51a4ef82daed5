//! Commit: what a lease asks to be written.

use crate::positions::Done;

/// A position to commit, with what is done past it. See [`Lease::commit`](crate::positions::Lease::commit).
///
/// Write both together, in one row, one message or one transaction, and tell the lease when they are written with
/// [`confirm`](crate::positions::Lease::confirm).
///
/// ```
/// use ordered_by_group::positions::{Done, Lease};
///
/// let lease = Lease::new(0, Some(7), Done::default());
/// let [_stuck, eight] = [7, 8].map(|offset| lease.read(offset).expect("not done before"));
/// eight.settle(true);
///
/// let commit = lease.commit().expect("there is something new");
/// assert_eq!(commit.next, 7);
/// assert!(commit.done.contains(8));
/// ```
#[derive(Clone, Debug)]
pub struct Commit {
    /// The next offset to read: everything before it is done.
    ///
    /// It is one more than the last offset that was done, which is what Kafka calls the committed offset. If your log
    /// stores the last offset instead, subtract 1.
    pub next: i64,
    /// What is done past `next`.
    pub done: Done,
    pub(super) epoch: u64,
    /// How many changes of the lease it contains.
    pub(super) changes: u64,
}

//! Access: how an item uses a key.

/// How an item uses a key, for [`ordered_by_access`](crate::StreamExt::ordered_by_access).
///
/// ```
/// use std::time::Duration;
///
/// use futures::{StreamExt as _, stream};
/// use ordered_by_group::{Access, prelude::*};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let start = tokio::time::Instant::now();
/// // Two audits of an account run together; the transfer waits for both.
/// let accesses = [Access::Shared("ann"), Access::Shared("ann"), Access::Exclusive("ann")];
/// stream::iter(accesses)
///     .ordered_by_access(|access| [access.clone()], 8)
///     .then(|_| tokio::time::sleep(Duration::from_secs(1)))
///     .for_each(|_| async {})
///     .await;
/// assert_eq!(start.elapsed(), Duration::from_secs(2));
/// # }
/// ```
#[doc(alias = "read_write")]
#[doc(alias = "rwlock")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access<K> {
    /// Items that use the key in this way run together.
    Shared(K),
    /// An item that uses the key in this way runs alone among those that use the key.
    Exclusive(K),
}

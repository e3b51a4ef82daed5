//! The two simplest relations for [`ordered_unless`](crate::StreamExt::ordered_unless).

/// All items can run together: parallel execution, with `max_parallel` at once.
///
/// ```
/// use std::time::Duration;
///
/// use futures::{StreamExt as _, stream};
/// use ordered_by_group::{can_run_together, prelude::*};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let start = tokio::time::Instant::now();
/// stream::iter(0..8)
///     .ordered_unless(|_| (), can_run_together::always, 4)
///     .then(|_| tokio::time::sleep(Duration::from_secs(1)))
///     .for_each(|_| async {})
///     .await;
/// assert_eq!(start.elapsed(), Duration::from_secs(2));
/// # }
/// ```
pub fn always<K>(_earlier: &K, _later: &K) -> bool {
    true
}

/// No two items can run together: serial execution.
///
/// ```
/// use std::time::Duration;
///
/// use futures::{StreamExt as _, stream};
/// use ordered_by_group::{can_run_together, prelude::*};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let start = tokio::time::Instant::now();
/// stream::iter(0..8)
///     .ordered_unless(|_| (), can_run_together::never, 4)
///     .then(|_| tokio::time::sleep(Duration::from_secs(1)))
///     .for_each(|_| async {})
///     .await;
/// assert_eq!(start.elapsed(), Duration::from_secs(8));
/// # }
/// ```
pub fn never<K>(_earlier: &K, _later: &K) -> bool {
    false
}

//! Drained: waiting until nothing of a lease is in flight.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::positions::Lease;

/// Future for the [`drained`](Lease::drained) method.
///
/// # Cancel safety
///
/// Dropping it stops the waiting, and nothing else.
#[must_use = "futures do nothing unless polled"]
pub struct Drained<'a, P> {
    lease: &'a Lease<P>,
    /// Under which the lease knows this future once it waits.
    key: Option<usize>,
}

impl<'a, P> Drained<'a, P> {
    pub(super) fn new(lease: &'a Lease<P>) -> Self {
        Self { lease, key: None }
    }
}

impl<P> Future for Drained<'_, P> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let lease = self.lease;
        match lease.poll_drained(&mut self.key, cx.waker().clone()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

impl<P> Drop for Drained<'_, P> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.lease.wait_no_more(key);
        }
    }
}

impl<P> fmt::Debug for Drained<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drained").finish_non_exhaustive()
    }
}

//! A future that is pending once, and wakes itself.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Made with `false`: whether it has yielded.
pub struct OneYield(pub bool);

impl Future for OneYield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

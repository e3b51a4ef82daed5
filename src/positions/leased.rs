//! Leased: a handler that runs for as long as its lease allows it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use pin_project::pin_project;

use crate::positions::Position;

/// Future for the [`run`](Position::run) method.
///
/// # Cancel safety
///
/// Dropping it drops the handler where it awaits. The item is not settled by that.
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct Leased<P, F> {
    /// Dropped before the lease learns that it has gone.
    #[pin]
    handler: Option<F>,
    /// There until the handler is dropped, if it was started.
    running: Option<Running<P>>,
}

/// A handler that the lease knows of.
struct Running<P> {
    position: Position<P>,
    /// Under which the lease has its waker.
    key: Option<usize>,
    /// What the fence wakes, if it is anything.
    waker: Option<Waker>,
}

impl<P, F> Leased<P, F> {
    pub(super) fn start(position: &Position<P>, handler: impl FnOnce() -> F) -> Self {
        let running = Running::start(position);
        Self {
            handler: running.is_some().then(handler),
            running,
        }
    }
}

impl<P, F: Future> Future for Leased<P, F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(running) = this.running else {
            return Poll::Ready(None);
        };
        let mut output = None;
        if !running.is_fenced() {
            let handler = this.handler.as_mut().as_pin_mut();
            match handler.expect("a handler that was started").poll(cx) {
                Poll::Ready(ready) => output = Some(ready),
                Poll::Pending if running.wake_by_fence(cx.waker()) => return Poll::Pending,
                Poll::Pending => {}
            }
        }
        this.handler.set(None);
        *this.running = None;
        Poll::Ready(output)
    }
}

impl<P> Running<P> {
    fn start(position: &Position<P>) -> Option<Self> {
        position.lease().start_handler().then(|| Self {
            position: position.clone(),
            key: None,
            waker: None,
        })
    }

    fn is_fenced(&self) -> bool {
        self.position.lease().is_fenced()
    }

    /// `false` if the fence has come already.
    fn wake_by_fence(&mut self, waker: &Waker) -> bool {
        if self.waker.as_ref().is_some_and(|own| own.will_wake(waker)) {
            return true;
        }
        self.waker = Some(waker.clone());
        let lease = self.position.lease();
        lease.wake_by_fence(&mut self.key, waker.clone())
    }
}

impl<P> Drop for Running<P> {
    fn drop(&mut self) {
        self.position.lease().end_handler(self.key);
    }
}

impl<P, F> fmt::Debug for Leased<P, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leased")
            .field("is_running", &self.running.is_some())
            .finish_non_exhaustive()
    }
}

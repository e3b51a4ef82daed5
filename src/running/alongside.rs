//! Alongside: a future of the caller's, with the handlers going on.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project::pin_project;

use crate::running::{Running, debug_counts};

/// Future for the [`alongside`](Running::alongside) method.
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct Alongside<'a, S, A> {
    stream: Pin<&'a mut S>,
    #[pin]
    future: A,
}

impl<'a, S, A> Alongside<'a, S, A> {
    pub(crate) fn new(stream: Pin<&'a mut S>, future: A) -> Self {
        Self { stream, future }
    }
}

impl<S, A> Future for Alongside<'_, S, A>
where
    S: Running,
    A: Future,
{
    type Output = A::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<A::Output> {
        let this = self.project();
        let polled = this.future.poll(cx);
        if polled.is_pending() {
            this.stream.as_mut().poll_advance(cx);
        }
        polled
    }
}

impl<S: Running, A> fmt::Debug for Alongside<'_, S, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Alongside");
        debug_counts(&mut debug, self.stream.as_ref().get_ref());
        debug.finish_non_exhaustive()
    }
}

//! Drive: consumes a stream while its handlers go on.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project::pin_project;

use crate::running::Running;
use crate::running::consumer::Consumer;

/// Future for the [`drive`](Running::drive) method.
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct Drive<S, C, CFut> {
    #[pin]
    consumer: Consumer<S, C, CFut>,
}

impl<S, C, CFut> Drive<S, C, CFut> {
    pub(crate) fn new(stream: S, consume: C) -> Self {
        Self {
            consumer: Consumer::new(stream, consume),
        }
    }
}

impl<S, C, CFut> Future for Drive<S, C, CFut>
where
    S: Running,
    C: FnMut(S::Item) -> CFut,
    CFut: Future<Output = ()>,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut consumer = self.project().consumer;
        loop {
            ready!(consumer.as_mut().poll_idle(cx));
            match ready!(consumer.as_mut().poll_next(cx)) {
                Some(item) => consumer.as_mut().consume(item),
                None => return Poll::Ready(()),
            }
        }
    }
}

impl<S: Running, C, CFut> fmt::Debug for Drive<S, C, CFut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.consumer.debug(f.debug_struct("Drive"))
    }
}

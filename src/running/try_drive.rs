//! TryDrive: consumes a stream that can fail while its handlers go on.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project::pin_project;

use crate::running::Running;
use crate::running::consumer::Consumer;

/// Future for the [`try_drive`](crate::TryRunning::try_drive) method.
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct TryDrive<S, C, CFut> {
    #[pin]
    consumer: Consumer<S, C, CFut>,
}

impl<S, C, CFut> TryDrive<S, C, CFut> {
    pub(crate) fn new(stream: S, consume: C) -> Self {
        Self {
            consumer: Consumer::new(stream, consume),
        }
    }
}

impl<S, C, CFut, Item, E> Future for TryDrive<S, C, CFut>
where
    S: Running<Item = Result<Item, E>>,
    C: FnMut(Item) -> CFut,
    CFut: Future<Output = Result<(), E>>,
{
    type Output = Result<(), E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        let mut consumer = self.project().consumer;
        loop {
            if let Some(Err(error)) = ready!(consumer.as_mut().poll_idle(cx)) {
                consumer.stop();
                return Poll::Ready(Err(error));
            }
            match ready!(consumer.as_mut().poll_next(cx)) {
                Some(Ok(item)) => consumer.as_mut().consume(item),
                Some(Err(error)) => {
                    consumer.stop();
                    return Poll::Ready(Err(error));
                }
                None => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<S: Running, C, CFut> fmt::Debug for TryDrive<S, C, CFut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.consumer.debug(f.debug_struct("TryDrive"))
    }
}

//! Then: results in source order.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::{FusedStream, Stream};
use pin_project::pin_project;

use crate::alongside::Alongside;
use crate::drive::Drive;
use crate::fold::Fold;
use crate::offsets::ReadOffset;
use crate::order::Order;
use crate::running::{Running, running_stream};
use crate::source::Plain;
use crate::verdict::Always;
use crate::window::SourceOrder;

/// Stream for the [`then`](crate::Ordered::then) method.
#[pin_project]
#[must_use = "streams do nothing unless polled"]
pub struct Then<St, T, O, R, By, Off, H, Fut> {
    #[pin]
    fold: Fold<St, Plain, T, Infallible, By, Off, H, Fut, Always, SourceOrder<O, R>>,
}

impl<St, T, O, R, By, Off, H, Fut> Then<St, T, O, R, By, Off, H, Fut> {
    pub(crate) fn new(
        fold: Fold<St, Plain, T, Infallible, By, Off, H, Fut, Always, SourceOrder<O, R>>,
    ) -> Self {
        Self { fold }
    }
}

running_stream! {
    impl<St, T, O, R, By, Off, H, Fut> Then of (R, O);
    verb "then(|_| std::future::pending::<()>())"
}

impl<St, T, O, R, By, Off, H, Fut> Stream for Then<St, T, O, R, By, Off, H, Fut>
where
    St: Stream<Item = T>,
    By: Order<T>,
    Off: ReadOffset<T, Offset = O>,
    H: FnMut(T) -> Fut,
    Fut: Future<Output = R>,
{
    type Item = (R, O);

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.project()
            .fold
            .poll_emit(cx)
            .map(|next| next.map(|Ok(emitted)| emitted))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.fold.size_hint(false)
    }
}

impl<St, T, O, R, By, Off, H, Fut> FusedStream for Then<St, T, O, R, By, Off, H, Fut>
where
    St: Stream<Item = T>,
    By: Order<T>,
    Off: ReadOffset<T, Offset = O>,
    H: FnMut(T) -> Fut,
    Fut: Future<Output = R>,
{
    fn is_terminated(&self) -> bool {
        self.fold.is_terminated()
    }
}

impl<St, T, O, R, By, Off, H, Fut> Running for Then<St, T, O, R, By, Off, H, Fut>
where
    St: Stream<Item = T>,
    By: Order<T>,
    Off: ReadOffset<T, Offset = O>,
    H: FnMut(T) -> Fut,
    Fut: Future<Output = R>,
{
    fn poll_advance(self: Pin<&mut Self>, cx: &mut Context<'_>) {
        self.project().fold.poll_advance(cx);
    }
}

impl<St, T, O, R, By, Off, H, Fut> fmt::Debug for Then<St, T, O, R, By, Off, H, Fut>
where
    By: Order<T>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fold.debug(f.debug_struct("Then"))
    }
}

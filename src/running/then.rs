//! Then: results in source order.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::{FusedStream, Stream};
use pin_project::pin_project;

use crate::engine::fold::Fold;
use crate::engine::item::offsets::ReadOffset;
use crate::engine::item::partitions::Partitions;
use crate::engine::item::source::Plain;
use crate::engine::order::Order;
use crate::engine::run::Run;
use crate::engine::window::Window;
use crate::running::{Running, of_the_fold, running_stream};

/// Stream for the [`then`](crate::Ordered::then) method.
#[pin_project]
#[must_use = "streams do nothing unless polled"]
pub struct Then<St, T, By, Off, P, X, W> {
    #[pin]
    fold: Fold<St, Plain, T, Infallible, By, Off, P, X, W>,
}

impl<St, T, By, Off, P, X, W> Then<St, T, By, Off, P, X, W> {
    pub(crate) fn new(fold: Fold<St, Plain, T, Infallible, By, Off, P, X, W>) -> Self {
        Self { fold }
    }
}

running_stream! {
    impl<St, T, By, Off, P, X, W> Then;
    verb "then(|_| std::future::pending::<()>())"
}

impl<St, T, O, R, By, Off, P, X, W> Stream for Then<St, T, By, Off, P, X, W>
where
    St: Stream<Item = T>,
    By: Order<T>,
    Off: ReadOffset<T, Offset = O>,
    P: Partitions<T>,
    X: Run<By::Input, Ok = R, Error = Infallible>,
    W: Window<P::Key, Offset = O, Result = R, Emitted = (R, O)>,
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

impl<St, T, O, R, By, Off, P, X, W> FusedStream for Then<St, T, By, Off, P, X, W>
where
    St: Stream<Item = T>,
    By: Order<T>,
    Off: ReadOffset<T, Offset = O>,
    P: Partitions<T>,
    X: Run<By::Input, Ok = R, Error = Infallible>,
    W: Window<P::Key, Offset = O, Result = R, Emitted = (R, O)>,
{
    fn is_terminated(&self) -> bool {
        self.fold.is_terminated()
    }
}

impl<St, T, O, R, By, Off, P, X, W> Running for Then<St, T, By, Off, P, X, W>
where
    St: Stream<Item = T>,
    By: Order<T>,
    Off: ReadOffset<T, Offset = O>,
    P: Partitions<T>,
    X: Run<By::Input, Ok = R, Error = Infallible>,
    W: Window<P::Key, Offset = O, Result = R, Emitted = (R, O)>,
{
    type Offset = O;

    of_the_fold!();
}

impl<St, T, By, Off, P, X, W> fmt::Debug for Then<St, T, By, Off, P, X, W>
where
    By: Order<T>,
    P: Partitions<T>,
    X: Run<By::Input>,
    W: Window<P::Key>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fold.debug(f.debug_struct("Then"))
    }
}

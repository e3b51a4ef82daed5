//! AndThen: results in source order, up to the first failure.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::{FusedStream, Stream};
use pin_project::pin_project;

use crate::engine::fold::Fold;
use crate::engine::item::offsets::ReadOffset;
use crate::engine::item::partitions::Partitions;
use crate::engine::item::source::Read;
use crate::engine::order::Order;
use crate::engine::run::Run;
use crate::engine::window::Window;
use crate::running::{Running, of_the_fold, running_stream};

/// Stream for the [`try_then`](crate::Ordered::try_then) and [`and_then`](crate::TryOrdered::and_then) methods.
#[pin_project]
#[must_use = "streams do nothing unless polled"]
pub struct AndThen<St, M, T, E, By, Off, P, X, W> {
    #[pin]
    fold: Fold<St, M, T, E, By, Off, P, X, W>,
}

impl<St, M, T, E, By, Off, P, X, W> AndThen<St, M, T, E, By, Off, P, X, W> {
    pub(crate) fn new(fold: Fold<St, M, T, E, By, Off, P, X, W>) -> Self {
        Self { fold }
    }
}

running_stream! {
    impl<St, M, T, E, By, Off, P, X, W> AndThen;
    verb "try_then(|_| std::future::pending::<Result<(), ()>>())"
}

impl<St, M, T, O, R, E, By, Off, P, X, W> Stream for AndThen<St, M, T, E, By, Off, P, X, W>
where
    M: Read<St, T, E>,
    By: Order<T>,
    Off: ReadOffset<T, Offset = O>,
    P: Partitions<T>,
    X: Run<By::Input, Ok = R, Error = E>,
    W: Window<P::Key, Offset = O, Result = R, Emitted = (R, O)>,
{
    type Item = Result<(R, O), E>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.project().fold.poll_emit(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.fold.size_hint(true)
    }
}

impl<St, M, T, O, R, E, By, Off, P, X, W> FusedStream for AndThen<St, M, T, E, By, Off, P, X, W>
where
    M: Read<St, T, E>,
    By: Order<T>,
    Off: ReadOffset<T, Offset = O>,
    P: Partitions<T>,
    X: Run<By::Input, Ok = R, Error = E>,
    W: Window<P::Key, Offset = O, Result = R, Emitted = (R, O)>,
{
    fn is_terminated(&self) -> bool {
        self.fold.is_terminated()
    }
}

impl<St, M, T, O, R, E, By, Off, P, X, W> Running for AndThen<St, M, T, E, By, Off, P, X, W>
where
    M: Read<St, T, E>,
    By: Order<T>,
    Off: ReadOffset<T, Offset = O>,
    P: Partitions<T>,
    X: Run<By::Input, Ok = R, Error = E>,
    W: Window<P::Key, Offset = O, Result = R, Emitted = (R, O)>,
{
    type Offset = O;

    of_the_fold!();
}

impl<St, M, T, E, By, Off, P, X, W> fmt::Debug for AndThen<St, M, T, E, By, Off, P, X, W>
where
    By: Order<T>,
    P: Partitions<T>,
    X: Run<By::Input>,
    W: Window<P::Key>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fold.debug(f.debug_struct("AndThen"))
    }
}

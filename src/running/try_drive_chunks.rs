//! TryDriveChunks: consumes what is there in one go, up to the first failure, while the handlers go on.

use std::convert::identity;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use pin_project::pin_project;

use crate::running::Running;
use crate::running::chunks::Chunks;

/// Future for the [`try_drive_chunks`](crate::TryRunning::try_drive_chunks) method.
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct TryDriveChunks<S, C, CFut, T, E> {
    #[pin]
    chunks: Chunks<S, C, CFut, T, E>,
}

impl<S, C, CFut, T, E> TryDriveChunks<S, C, CFut, T, E> {
    #[track_caller]
    pub(crate) fn new(stream: S, max: usize, consume: C) -> Self {
        Self {
            chunks: Chunks::new(stream, max, consume),
        }
    }
}

impl<S, C, CFut, T, E> Future for TryDriveChunks<S, C, CFut, T, E>
where
    S: Running + Stream<Item = Result<T, E>>,
    C: FnMut(Vec<T>) -> CFut,
    CFut: Future<Output = Result<(), E>>,
{
    type Output = Result<(), E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        let chunks = self.project().chunks;
        chunks.poll(cx, identity, identity)
    }
}

impl<S: Running, C, CFut, T, E> fmt::Debug for TryDriveChunks<S, C, CFut, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.chunks.debug(f.debug_struct("TryDriveChunks"))
    }
}

//! DriveChunks: consumes what is there in one go while the handlers go on.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use pin_project::pin_project;

use crate::running::Running;
use crate::running::chunks::Chunks;

/// Future for the [`drive_chunks`](Running::drive_chunks) method.
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct DriveChunks<S, C, CFut, T> {
    #[pin]
    chunks: Chunks<S, C, CFut, T, Infallible>,
}

impl<S, C, CFut, T> DriveChunks<S, C, CFut, T> {
    #[track_caller]
    pub(crate) fn new(stream: S, max: usize, consume: C) -> Self {
        Self {
            chunks: Chunks::new(stream, max, consume),
        }
    }
}

impl<S, C, CFut, T> Future for DriveChunks<S, C, CFut, T>
where
    S: Running + Stream<Item = T>,
    C: FnMut(Vec<T>) -> CFut,
    CFut: Future<Output = ()>,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().chunks.poll(cx, Ok, Ok).map(|Ok(())| ())
    }
}

impl<S: Running, C, CFut, T> fmt::Debug for DriveChunks<S, C, CFut, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.chunks.debug(f.debug_struct("DriveChunks"))
    }
}

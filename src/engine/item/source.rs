//! How the source is read: a stream of items, or one of results.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::{Stream, TryStream};

use crate::engine::sealed::Sealed;

/// Reads a source, whether it can fail or not.
pub trait Read<St, T, E>: Sealed {
    /// Asks for the next item.
    #[doc(hidden)]
    fn poll_item(source: Pin<&mut St>, cx: &mut Context<'_>) -> Poll<Option<Result<T, E>>>;

    /// How many items are left, as [`Stream::size_hint`] says.
    #[doc(hidden)]
    fn items_left(source: &St) -> (usize, Option<usize>);
}

/// A source that cannot fail.
#[derive(Debug)]
pub enum Plain {}

/// A source that yields `Result`s.
#[derive(Debug)]
pub enum Fallible {}

impl<St, T, E> Read<St, T, E> for Plain
where
    St: Stream<Item = T>,
{
    fn poll_item(source: Pin<&mut St>, cx: &mut Context<'_>) -> Poll<Option<Result<T, E>>> {
        source.poll_next(cx).map(|item| item.map(Ok))
    }

    fn items_left(source: &St) -> (usize, Option<usize>) {
        source.size_hint()
    }
}

impl<St, T, E> Read<St, T, E> for Fallible
where
    St: TryStream<Ok = T, Error = E>,
{
    fn poll_item(source: Pin<&mut St>, cx: &mut Context<'_>) -> Poll<Option<Result<T, E>>> {
        source.try_poll_next(cx)
    }

    fn items_left(source: &St) -> (usize, Option<usize>) {
        source.size_hint()
    }
}

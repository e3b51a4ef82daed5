//! Boxed: a running stream whose type has a name.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::{FusedStream, Stream};

use crate::engine::sealed::Sealed;
use crate::running::{Running, debug_counts};

/// A [`Running`] stream in a box, made by [`boxed_running`](Running::boxed_running). It is `Send`, as
/// [`BoxStream`](https://docs.rs/futures/latest/futures/stream/type.BoxStream.html) is.
///
/// `'a` is how long what the stream borrows lives: `'static` if it borrows nothing. `Item` and `Offset` are those of
/// [`Running`].
pub type BoxRunning<'a, Item, Offset> = Boxed<dyn Erased<Item = Item, Offset = Offset> + Send + 'a>;

/// A [`BoxRunning`] that is not `Send`, made by [`boxed_local_running`](Running::boxed_local_running).
pub type LocalBoxRunning<'a, Item, Offset> = Boxed<dyn Erased<Item = Item, Offset = Offset> + 'a>;

/// What [`BoxRunning`](crate::BoxRunning) and [`LocalBoxRunning`](crate::LocalBoxRunning) are.
#[must_use = "streams do nothing unless polled"]
pub struct Boxed<D: ?Sized> {
    stream: Pin<Box<D>>,
}

/// A running stream without its type.
pub trait Erased: FusedStream {
    /// The offset of the stream.
    type Offset;

    #[doc(hidden)]
    fn poll_advance(self: Pin<&mut Self>, cx: &mut Context<'_>);

    #[doc(hidden)]
    fn running(&self) -> usize;

    #[doc(hidden)]
    fn waiting(&self) -> usize;

    #[doc(hidden)]
    fn finished(&self) -> usize;

    #[doc(hidden)]
    fn groups(&self) -> usize;

    #[doc(hidden)]
    fn unfinished<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self::Offset> + 'a>
    where
        Self::Offset: 'a;
}

impl<S: Running> Erased for S {
    type Offset = S::Offset;

    fn poll_advance(self: Pin<&mut Self>, cx: &mut Context<'_>) {
        Running::poll_advance(self, cx);
    }

    fn running(&self) -> usize {
        Running::running(self)
    }

    fn waiting(&self) -> usize {
        Running::waiting(self)
    }

    fn finished(&self) -> usize {
        Running::finished(self)
    }

    fn groups(&self) -> usize {
        Running::groups(self)
    }

    fn unfinished<'a>(&'a self) -> Box<dyn Iterator<Item = &'a S::Offset> + 'a>
    where
        S::Offset: 'a,
    {
        Box::new(Running::unfinished(self))
    }
}

impl<D: ?Sized> Boxed<D> {
    pub(crate) fn new(stream: Pin<Box<D>>) -> Self {
        Self { stream }
    }
}

impl<D: ?Sized> Sealed for Boxed<D> {}

impl<D: Erased + ?Sized> Stream for Boxed<D> {
    type Item = D::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<D::Item>> {
        self.stream.as_mut().poll_next(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.stream.size_hint()
    }
}

impl<D: Erased + ?Sized> FusedStream for Boxed<D> {
    fn is_terminated(&self) -> bool {
        self.stream.is_terminated()
    }
}

impl<D: Erased + ?Sized> Running for Boxed<D> {
    type Offset = D::Offset;

    fn poll_advance(mut self: Pin<&mut Self>, cx: &mut Context<'_>) {
        self.stream.as_mut().poll_advance(cx);
    }

    fn running(&self) -> usize {
        self.stream.running()
    }

    fn waiting(&self) -> usize {
        self.stream.waiting()
    }

    fn finished(&self) -> usize {
        self.stream.finished()
    }

    fn groups(&self) -> usize {
        self.stream.groups()
    }

    fn unfinished<'a>(&'a self) -> impl Iterator<Item = &'a D::Offset>
    where
        D::Offset: 'a,
    {
        self.stream.unfinished()
    }
}

impl<D: Erased + ?Sized> fmt::Debug for Boxed<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Boxed");
        debug_counts(&mut debug, self);
        debug.finish_non_exhaustive()
    }
}

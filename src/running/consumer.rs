//! What all that drives shares: a stream, a closure, and what the closure is doing.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project::pin_project;

use crate::running::{Running, debug_counts};

#[pin_project]
pub(crate) struct Consumer<S, C, CFut> {
    /// None once all is done.
    #[pin]
    stream: Option<S>,
    consume: C,
    #[pin]
    consuming: Option<CFut>,
    /// Set while the closure and its future run, so it stays set when they panic.
    poisoned: bool,
}

impl<S, C, CFut> Consumer<S, C, CFut> {
    pub(crate) fn new(stream: S, consume: C) -> Self {
        Self {
            stream: Some(stream),
            consume,
            consuming: None,
            poisoned: false,
        }
    }

    /// Waits until the closure is done with what it has, and runs the handlers meanwhile. What it came to, if it did
    /// anything.
    pub(crate) fn poll_idle(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<CFut::Output>>
    where
        S: Running,
        CFut: Future,
    {
        let mut this = self.project();
        assert!(
            !*this.poisoned,
            "ordered_by_group: `drive` polled after a panic in the closure; \
             what it was given is lost: resume from the last committed offset"
        );
        let Some(consuming) = this.consuming.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        *this.poisoned = true;
        let polled = consuming.poll(cx);
        if polled.is_ready() {
            this.consuming.set(None);
        }
        *this.poisoned = false;
        if polled.is_pending() {
            if let Some(stream) = this.stream.as_pin_mut() {
                stream.poll_advance(cx);
            }
        }
        polled.map(Some)
    }

    /// The next item of the stream.
    pub(crate) fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>>
    where
        S: Running,
    {
        let mut this = self.project();
        let stream = this.stream.as_mut().as_pin_mut();
        let next = stream
            .expect("`drive` polled after it has finished")
            .poll_next(cx);
        if let Poll::Ready(None) = next {
            this.stream.set(None);
        }
        next
    }

    /// Calls the closure, which must be idle.
    pub(crate) fn consume<Item>(self: Pin<&mut Self>, item: Item)
    where
        C: FnMut(Item) -> CFut,
    {
        let mut this = self.project();
        *this.poisoned = true;
        let consuming = (this.consume)(item);
        this.consuming.set(Some(consuming));
        *this.poisoned = false;
    }

    /// Whether the stream has not ended yet.
    pub(crate) fn has_stream(&self) -> bool {
        self.stream.is_some()
    }

    /// How many results the stream has kept.
    pub(crate) fn finished(&self) -> usize
    where
        S: Running,
    {
        self.stream.as_ref().map_or(0, Running::finished)
    }

    /// Drops all that is admitted.
    pub(crate) fn stop(self: Pin<&mut Self>) {
        self.project().stream.set(None);
    }

    pub(crate) fn debug(&self, mut debug: fmt::DebugStruct<'_, '_>) -> fmt::Result
    where
        S: Running,
    {
        if let Some(stream) = &self.stream {
            debug_counts(&mut debug, stream);
        }
        debug
            .field("consuming", &self.consuming.is_some())
            .finish_non_exhaustive()
    }
}

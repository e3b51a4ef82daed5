//! What `drive_chunks` and `try_drive_chunks` share: results gather while the closure commits.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project::pin_project;

use crate::running::Running;
use crate::running::consumer::Consumer;

#[pin_project]
pub(crate) struct Chunks<S, C, CFut, T, E> {
    #[pin]
    consumer: Consumer<S, C, CFut>,
    max: usize,
    chunk: Vec<T>,
    /// The stream has failed; what came before is handed over first.
    error: Option<E>,
    has_finished: bool,
}

impl<S, C, CFut, T, E> Chunks<S, C, CFut, T, E> {
    #[track_caller]
    pub(crate) fn new(stream: S, max: usize, consume: C) -> Self {
        assert!(
            max > 0,
            "max is 0, so no result could ever be handed over: pass at least 1"
        );
        Self {
            consumer: Consumer::new(stream, consume),
            max,
            chunk: Vec::new(),
            error: None,
            has_finished: false,
        }
    }

    /// `sort` says what the stream emitted, and `judge` what the closure came to.
    pub(crate) fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        sort: impl Fn(S::Item) -> Result<T, E>,
        judge: impl Fn(CFut::Output) -> Result<(), E>,
    ) -> Poll<Result<(), E>>
    where
        S: Running,
        C: FnMut(Vec<T>) -> CFut,
        CFut: Future,
    {
        let mut this = self.project();
        assert!(
            !*this.has_finished,
            "`drive_chunks` polled after it has finished"
        );
        let mut said_pending = false;
        // Counted once, or a stream that always has something ready would be asked for ever.
        let mut gathered = this.consumer.finished();
        loop {
            if let Some(Err(error)) = ready!(this.consumer.as_mut().poll_idle(cx)).map(&judge) {
                this.consumer.stop();
                *this.has_finished = true;
                return Poll::Ready(Err(error));
            }
            let mut has_given = false;
            while !said_pending && this.consumer.has_stream() && this.chunk.len() < *this.max {
                match this.consumer.as_mut().poll_next(cx) {
                    Poll::Ready(Some(item)) => match sort(item) {
                        Ok(result) => {
                            this.chunk.push(result);
                            gathered = gathered.saturating_sub(1);
                            has_given = true;
                        }
                        Err(error) => {
                            *this.error = Some(error);
                            this.consumer.as_mut().stop();
                        }
                    },
                    Poll::Ready(None) => {}
                    // It may say so to let the task's neighbours go on. So it is asked again only for what had gathered.
                    Poll::Pending if has_given && gathered > 0 => has_given = false,
                    Poll::Pending => said_pending = true,
                }
            }
            if !this.chunk.is_empty() {
                let chunk = mem::take(this.chunk);
                this.consumer.as_mut().consume(chunk);
            } else if this.consumer.has_stream() {
                return Poll::Pending;
            } else {
                *this.has_finished = true;
                return Poll::Ready(this.error.take().map_or(Ok(()), Err));
            }
        }
    }

    pub(crate) fn debug(&self, debug: fmt::DebugStruct<'_, '_>) -> fmt::Result
    where
        S: Running,
    {
        self.consumer.debug(debug)
    }
}

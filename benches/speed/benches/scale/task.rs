//! The task that polls the stream, and knows whether it was woken.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use futures::Stream;

pub struct Task {
    flag: Arc<Flag>,
    waker: Waker,
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Task {
    pub fn new() -> Self {
        let flag = Arc::<Flag>::default();
        let waker = Waker::from(Arc::clone(&flag));
        Self { flag, waker }
    }

    /// Whether it was woken since this was asked last.
    pub fn was_woken(&self) -> bool {
        self.flag.0.swap(false, Ordering::Relaxed)
    }

    pub fn poll<S: Stream>(&self, stream: Pin<&mut S>) -> Poll<Option<S::Item>> {
        stream.poll_next(&mut Context::from_waker(&self.waker))
    }

    /// Polls until nothing is left to do but to wait, as a runtime does. Says how many results came out.
    pub fn run<S: Stream>(&self, mut stream: Pin<&mut S>) -> u64 {
        let mut results = 0;
        loop {
            match self.poll(stream.as_mut()) {
                Poll::Ready(Some(_)) => results += 1,
                Poll::Ready(None) => return results,
                Poll::Pending if self.was_woken() => {}
                Poll::Pending => return results,
            }
        }
    }

    /// The same; says also how long the longest poll took.
    pub fn run_watched<S: Stream>(&self, mut stream: Pin<&mut S>) -> (u64, Duration) {
        let (mut results, mut longest) = (0, Duration::ZERO);
        let mut before = Instant::now();
        loop {
            let polled = self.poll(stream.as_mut());
            let now = Instant::now();
            longest = longest.max(now - before);
            before = now;
            match polled {
                Poll::Ready(Some(_)) => results += 1,
                Poll::Ready(None) => return (results, longest),
                Poll::Pending if self.was_woken() => {}
                Poll::Pending => return (results, longest),
            }
        }
    }
}

//! What is counted beside time: polls and wakes, by a probe around the same work; sleeps and CPU time, by the kernel.

use std::future::{Future, poll_fn};
use std::ops::{Add, Sub};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Wake, Waker};

use crate::answers;
use crate::threads::Used;

#[derive(Clone, Copy)]
pub enum Event {
    /// The runtime polls the task in which the loop runs.
    TaskPoll,
    /// Anybody wakes that task.
    TaskWake,
    /// A handler is polled.
    HandlerPoll,
}

/// Counts, or does nothing and costs nothing.
pub trait Probe: Clone + Send + Sync + 'static {
    const COUNTS: bool;

    fn count(&self, event: Event);

    /// Counts the polls of a handler.
    fn handler<Fut>(self, handler: Fut) -> impl Future<Output = Fut::Output> + Send + 'static
    where
        Fut: Future + Send + 'static,
    {
        async move {
            let mut handler = pin!(handler);
            poll_fn(|cx| {
                self.count(Event::HandlerPoll);
                handler.as_mut().poll(cx)
            })
            .await
        }
    }

    /// Counts the polls and the wakes of a task.
    fn task<Fut>(self, task: Fut) -> impl Future<Output = Fut::Output> + Send
    where
        Fut: Future + Send,
    {
        let probe = self;
        async move {
            if !Self::COUNTS {
                return task.await;
            }
            let mut task = pin!(task);
            let mut waker = None::<(Waker, Waker)>;
            poll_fn(|cx| {
                probe.count(Event::TaskPoll);
                let (_, counting) = match waker.take() {
                    Some(same) if same.0.will_wake(cx.waker()) => waker.insert(same),
                    _ => {
                        let task = cx.waker().clone();
                        let counting = Counting {
                            task: task.clone(),
                            probe: probe.clone(),
                        };
                        waker.insert((task, Waker::from(Arc::new(counting))))
                    }
                };
                task.as_mut().poll(&mut Context::from_waker(counting))
            })
            .await
        }
    }
}

/// Counts nothing.
#[derive(Clone)]
pub struct Unwatched;

impl Probe for Unwatched {
    const COUNTS: bool = false;

    #[inline(always)]
    fn count(&self, _: Event) {}

    fn handler<Fut>(self, handler: Fut) -> impl Future<Output = Fut::Output> + Send + 'static
    where
        Fut: Future + Send + 'static,
    {
        handler
    }
}

/// Counts each event.
#[derive(Clone, Default)]
pub struct Watched(Arc<[AtomicU64; 3]>);

impl Watched {
    pub fn get(&self, event: Event) -> f64 {
        self.0[event as usize].load(Ordering::Relaxed) as f64
    }
}

impl Probe for Watched {
    const COUNTS: bool = true;

    fn count(&self, event: Event) {
        self.0[event as usize].fetch_add(1, Ordering::Relaxed);
    }
}

struct Counting<P> {
    task: Waker,
    probe: P,
}

impl<P: Probe> Wake for Counting<P> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.probe.count(Event::TaskWake);
        self.task.wake_by_ref();
    }
}

/// What the kernel says of the threads of this process: of those that only answer, and of all others.
#[derive(Clone, Copy, Default)]
pub struct Threads {
    pub ours: Used,
    pub answers: Used,
}

impl Threads {
    /// So far. Zero where there is no `/proc`.
    pub fn now() -> Self {
        Self {
            ours: Used::so_far(|name| name != answers::NAME),
            answers: Used::so_far(|name| name == answers::NAME),
        }
    }
}

impl Add for Threads {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self {
            ours: self.ours + more.ours,
            answers: self.answers + more.answers,
        }
    }
}

impl Sub for Threads {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            ours: self.ours - before.ours,
            answers: self.answers - before.answers,
        }
    }
}

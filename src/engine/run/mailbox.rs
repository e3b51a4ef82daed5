//! What the operator and one task hand to each other: jobs and slots for the task, news for the operator.

use std::collections::VecDeque;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};

use super::handover::Handover;
use crate::spare::empty_queue;

#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, AtomicU8, Ordering};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

pub(super) struct Mailbox<Job, News> {
    jobs: Handover<Job>,
    /// Whether the task has looked at them.
    looked: AtomicU8,
    news: Handover<News>,
    /// The operator takes no news any more.
    is_closed: AtomicBool,
    is_granted: AtomicBool,
    /// Whom to wake. A task of tokio has one waker all its life.
    task: OnceLock<Waker>,
}

/// The task has looked at all that was sent.
const SEEN: u8 = 0;
/// The same, and it waits to be woken.
const AWAITED: u8 = 1;
/// A job was sent since it looked.
const SENT: u8 = 2;

impl<Job, News> Mailbox<Job, News> {
    pub(super) fn new() -> Self {
        Self {
            jobs: Handover::new(),
            looked: AtomicU8::new(SEEN),
            news: Handover::new(),
            is_closed: AtomicBool::new(false),
            is_granted: AtomicBool::new(false),
            task: OnceLock::new(),
        }
    }

    /// The task begins. Before it waits for anything.
    pub(super) fn begin(&self, cx: &mut Context<'_>) {
        self.task.get_or_init(|| cx.waker().clone());
    }

    fn is_task(&self, cx: &mut Context<'_>) -> bool {
        let task = self.task.get();
        task.is_some_and(|task| task.will_wake(cx.waker()))
    }

    /// The operator sends the task a job.
    pub(super) fn send_job(&self, job: Job) {
        self.jobs.send(job);
        if self.looked.swap(SENT, Ordering::AcqRel) == AWAITED {
            self.wake_task();
        }
    }

    /// Whether a job was sent since the task has looked.
    pub(super) fn has_job(&self) -> bool {
        self.looked.load(Ordering::Relaxed) == SENT
    }

    /// The task's next job. It takes all that there are at once.
    pub(super) fn poll_job(&self, cx: &mut Context<'_>, taken: &mut VecDeque<Job>) -> Poll<Job> {
        if let Some(job) = taken.pop_front() {
            return Poll::Ready(job);
        }
        empty_queue(taken);
        loop {
            if self.has_job() {
                self.looked.swap(SEEN, Ordering::AcqRel);
                if let Some(job) = self.jobs.take(taken) {
                    return Poll::Ready(job);
                }
            }
            debug_assert!(self.is_task(cx), "another task's mailbox");
            let before =
                self.looked
                    .compare_exchange(SEEN, AWAITED, Ordering::AcqRel, Ordering::Relaxed);
            if before != Err(SENT) {
                return Poll::Pending;
            }
        }
    }

    /// The operator gives the task a slot.
    pub(super) fn grant(&self) {
        self.is_granted.swap(true, Ordering::AcqRel);
        self.wake_task();
    }

    /// The task waits for a slot, which it has asked for.
    pub(super) fn poll_grant(&self) -> Poll<()> {
        if self.is_granted.swap(false, Ordering::AcqRel) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    fn wake_task(&self) {
        if let Some(task) = self.task.get() {
            task.wake_by_ref();
        }
    }

    /// The task has news for the operator, which it has to wake then.
    pub(super) fn report(&self, news: News) {
        self.news.send(news);
        if self.is_closed.load(Ordering::Acquire) {
            self.drop_news();
        }
    }

    /// The operator, which was woken, takes all the news: the first, and the others for an empty queue.
    pub(super) fn take_news(&self, others: &mut VecDeque<News>) -> Option<News> {
        self.news.take(others)
    }

    /// The operator takes no news any more: it is dropped at once.
    pub(super) fn close(&self) {
        self.is_closed.swap(true, Ordering::AcqRel);
        self.drop_news();
    }

    fn drop_news(&self) {
        self.news.take(&mut VecDeque::new());
    }

    /// The task is gone.
    pub(super) fn drop_jobs(&self) {
        self.jobs.take(&mut VecDeque::new());
    }
}

#[cfg(all(loom, test))]
mod tests {
    use std::future::poll_fn;

    use loom::future::block_on;
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicUsize;
    use loom::thread;

    use super::*;

    #[test]
    fn a_task_that_waits_is_woken_for_each_job() {
        loom::model(|| {
            let mailbox = Arc::new(Mailbox::<u32, ()>::new());
            let sent = Arc::clone(&mailbox);
            let operator = thread::spawn(move || (0..2).for_each(|job| sent.send_job(job)));
            let mut taken = VecDeque::new();
            let mut done = Vec::new();
            block_on(poll_fn(|cx| {
                mailbox.begin(cx);
                while done.len() < 2 {
                    done.push(std::task::ready!(mailbox.poll_job(cx, &mut taken)));
                }
                Poll::Ready(())
            }));
            assert_eq!(done, [0, 1]);
            operator.join().unwrap();
        });
    }

    #[test]
    fn a_task_that_has_asked_for_a_slot_is_woken_when_it_has_one() {
        loom::model(|| {
            let mailbox = Arc::new(Mailbox::<(), u32>::new());
            let news = Arc::new(AtomicUsize::new(0));
            let (given, seen) = (Arc::clone(&mailbox), Arc::clone(&news));
            let operator = thread::spawn(move || {
                let mut others = VecDeque::new();
                while seen.swap(0, Ordering::AcqRel) == 0 {
                    thread::yield_now();
                }
                assert_eq!(given.take_news(&mut others), Some(7));
                given.grant();
            });
            let mut has_asked = false;
            block_on(poll_fn(|cx| {
                mailbox.begin(cx);
                if !std::mem::replace(&mut has_asked, true) {
                    mailbox.report(7);
                    news.swap(1, Ordering::AcqRel);
                }
                mailbox.poll_grant()
            }));
            operator.join().unwrap();
        });
    }
}

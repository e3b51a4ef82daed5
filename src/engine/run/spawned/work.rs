//! What one task does: it handles what it is sent, one item after the other.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use crate::engine::item::verdict::Verdict;
use crate::engine::run::mailbox::Mailbox;
use crate::engine::without_slot::{Handler, poll_handler};

/// The most items that a task handles in a row: half of tokio's budget for a task, of which a handler may spend some. A task that
/// has used it up is deferred, and would send an operator that it has woken to the end of the queue.
const MOST_IN_A_ROW: usize = 64;

pub(super) struct Job<T> {
    pub(super) arrival: u64,
    pub(super) item: T,
    /// It comes with a slot; else it follows another.
    pub(super) has_slot: bool,
}

pub(super) enum News<R, E> {
    Done(Result<R, E>),
    Waits,
    NeedsSlot { to_start: bool },
    Lost,
}

impl<R, E> News<R, E> {
    /// Whether it is of a task that needs a slot, which goes to it before anything younger.
    pub(super) fn needs_slot(&self) -> bool {
        matches!(self, Self::NeedsSlot { .. })
    }
}

/// What all tasks share.
pub(super) struct Shared<H> {
    handler: Mutex<H>,
    /// Nothing that arrived then or later starts.
    pub(super) stop_at: AtomicU64,
    /// A task waits for a slot, so those that go on must ask first.
    pub(super) contended: AtomicBool,
    /// A handler has waited without a slot, so what was reported is read before the source: others may have begun to wait, and
    /// ended it, since the last poll.
    pub(super) have_waited: AtomicBool,
    /// After so many items a task gives way.
    most_in_a_row: usize,
}

impl<H> Shared<H> {
    pub(super) fn new(handler: H, max_parallel: usize) -> Self {
        Self {
            handler: Mutex::new(handler),
            stop_at: AtomicU64::new(u64::MAX),
            contended: AtomicBool::new(false),
            have_waited: AtomicBool::new(false),
            most_in_a_row: max_parallel.min(MOST_IN_A_ROW),
        }
    }
}

/// Reports for one task; that it is lost, if it ends by a panic or with its runtime.
pub(super) struct Reporter<T, R, E> {
    pub(super) mailbox: Arc<Mailbox<Job<T>, News<R, E>>>,
    pub(super) operator: Waker,
}

/// One task: handles what it is sent, one after the other.
pub(super) async fn work<T, H, Fut, V, R, E>(shared: Arc<Shared<H>>, reporter: Reporter<T, R, E>)
where
    H: FnMut(T) -> Fut,
    Fut: Future,
    V: Verdict<Fut::Output, Ok = R, Error = E>,
{
    let mailbox = &*reporter.mailbox;
    let most_in_a_row = shared.most_in_a_row;
    let mut taken = VecDeque::new();
    let mut has_slot = false;
    let mut in_a_row = 0;
    poll_fn(|cx| {
        mailbox.begin(cx);
        Poll::Ready(())
    })
    .await;
    loop {
        if in_a_row == most_in_a_row {
            in_a_row = 0;
            // With nothing more to do it gives way anyhow.
            if !taken.is_empty() || mailbox.has_job() {
                give_way().await;
            }
        }
        let job = poll_fn(|cx| mailbox.poll_job(cx, &mut taken)).await;
        in_a_row += 1;
        let Job { arrival, item, .. } = job;
        has_slot |= job.has_slot;
        if !job.has_slot && (!has_slot || shared.contended.load(Ordering::Relaxed)) {
            reporter.says(News::NeedsSlot { to_start: true });
            poll_fn(|_| mailbox.poll_grant()).await;
            has_slot = true;
        }
        let output = {
            let future = {
                let handler = shared.handler.lock();
                let mut handler = handler.unwrap_or_else(PoisonError::into_inner);
                // Only now, since the call of another may take long.
                if arrival >= shared.stop_at.load(Ordering::Relaxed) {
                    continue;
                }
                handler(item)
            };
            let mut future = pin!(future);
            let mut waits = None;
            let mut is_asking = false;
            poll_fn(|cx| {
                loop {
                    if is_asking {
                        std::task::ready!(mailbox.poll_grant());
                        (is_asking, has_slot) = (false, true);
                    }
                    match poll_handler(future.as_mut(), cx, &mut waits, has_slot) {
                        Handler::Ready(output) => return Poll::Ready(output),
                        Handler::WithoutSlot => {
                            if std::mem::take(&mut has_slot) {
                                shared.have_waited.store(true, Ordering::Relaxed);
                                reporter.says(News::Waits);
                            }
                            return Poll::Pending;
                        }
                        Handler::WithSlot if has_slot => return Poll::Pending,
                        Handler::WithSlot => {
                            is_asking = true;
                            reporter.says(News::NeedsSlot { to_start: false });
                        }
                    }
                }
            })
            .await
        };
        let result = V::judge(output);
        if result.is_err() {
            shared.stop_at.fetch_min(arrival, Ordering::Relaxed);
        }
        reporter.says(News::Done(result));
    }
}

/// Lets the tasks go first that the worker has already. `yield_now` of tokio would wait until it has none, or looks at its
/// timers.
async fn give_way() {
    let mut has_given_way = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_given_way, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl<T, R, E> Reporter<T, R, E> {
    fn says(&self, news: News<R, E>) {
        self.mailbox.report(news);
        self.operator.wake_by_ref();
    }
}

impl<T, R, E> Drop for Reporter<T, R, E> {
    fn drop(&mut self) {
        self.says(News::Lost);
    }
}

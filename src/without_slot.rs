//! WithoutSlot: waiting in a handler while another group has the slot.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use pin_project::{pin_project, pinned_drop};

thread_local! {
    /// The handler that this thread polls right now.
    static HANDLER: Cell<Handler> = const { Cell::new(Handler::NONE) };
    /// The number of the last poll of a handler on this thread; 0 before the first.
    static LAST_POLL: Cell<u64> = const { Cell::new(0) };
}

/// Each thread numbers its polls from a start of its own, so that no two polls have one number.
static NEXT_START: AtomicU64 = AtomicU64::new(0);
const POLLS_PER_THREAD: u64 = 1 << 44;

/// What a handler's poll knows, and what the futures in it ask for.
#[derive(Clone, Copy)]
struct Handler {
    /// Which poll of which handler this is; 0 outside any.
    poll: u64,
    has_slot: bool,
    /// How many futures in it wait without a slot.
    waits: u32,
    /// Whether one in it is done and needs the slot to go on.
    returns: bool,
}

impl Handler {
    const NONE: Self = Self {
        poll: 0,
        has_slot: false,
        waits: 0,
        returns: false,
    };
}

/// What a handler that is not finished does about its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// It holds one, or needs one to go on.
    Slot,
    /// It waits, and needs none until it is done.
    None,
}

/// Polls a handler, and says what it wishes if it is pending.
pub(crate) fn poll_handler<Fut: Future>(
    future: Pin<&mut Fut>,
    cx: &mut Context<'_>,
    has_slot: bool,
) -> (Poll<Fut::Output>, Wish) {
    /// Also when the handler panics: this thread polls on.
    struct Restore(Handler);

    impl Drop for Restore {
        fn drop(&mut self) {
            HANDLER.set(self.0);
        }
    }

    let poll = next_poll();
    let _outer = Restore(HANDLER.replace(Handler {
        poll,
        has_slot,
        ..Handler::NONE
    }));
    let polled = future.poll(cx);
    let Handler { waits, returns, .. } = HANDLER.get();
    let wish = if waits > 0 && !returns {
        Wish::None
    } else {
        Wish::Slot
    };
    (polled, wish)
}

fn next_poll() -> u64 {
    let last = match LAST_POLL.get() {
        0 => NEXT_START.fetch_add(POLLS_PER_THREAD, Ordering::Relaxed),
        last => last,
    };
    LAST_POLL.set(last + 1);
    last + 1
}

/// In a handler: awaits `future` without holding a slot, and keeps the group.
///
/// For waiting that is no work: a back-off, a rate limit, a circuit breaker, a call-back from outside. Meanwhile the slot
/// goes to another group, and no item of this handler's group overtakes. When the future is done, the handler gets a slot
/// again before anything younger starts and before the source is read. At most `look_ahead` handlers wait so.
///
/// A plain await elsewhere: outside any operator, and in a task that a handler spawned. In an operator inside a handler it
/// gives up the inner operator's slot. In a `join!` or `select!` the handler as a whole is without a slot until the future
/// is done or dropped: its other branches go on without one. If it is dropped while it waits, the handler goes on to its
/// next await, and from there when it has a slot again.
///
/// # Cancel safety
///
/// Dropping it drops the future, and no more.
///
/// ```
/// use std::time::Duration;
///
/// use futures::{StreamExt as _, stream};
/// use ordered_by_group::{prelude::*, without_slot};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// // One slot: while "a1" backs off, "b1" runs; "a2" waits for "a1".
/// let order: Vec<_> = stream::iter(["a1", "a2", "b1"])
///     .ordered_by_group(|item| item.as_bytes()[0], 1)
///     .then_unordered(|item| async move {
///         if item == "a1" {
///             without_slot(tokio::time::sleep(Duration::from_secs(1))).await;
///         }
///         item
///     })
///     .map(|(item, _)| item)
///     .collect()
///     .await;
/// assert_eq!(order, ["b1", "a1", "a2"]);
/// # }
/// ```
pub fn without_slot<F: Future>(future: F) -> WithoutSlot<F, F::Output> {
    WithoutSlot {
        future,
        output: None,
        waited_in: 0,
    }
}

/// Future for the [`without_slot`] function.
#[pin_project(PinnedDrop)]
#[must_use = "futures do nothing unless polled"]
pub struct WithoutSlot<F, Output> {
    #[pin]
    future: F,
    /// What the future came to, until the handler has a slot again.
    output: Option<Output>,
    /// The poll in which this future was counted among those that wait.
    waited_in: u64,
}

impl<F, Output> Future for WithoutSlot<F, Output>
where
    F: Future<Output = Output>,
{
    type Output = Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Output> {
        let this = self.project();
        if this.output.is_none() {
            match this.future.poll(cx) {
                Poll::Ready(output) => *this.output = Some(output),
                Poll::Pending => {
                    let mut handler = HANDLER.get();
                    if handler.poll != 0 && *this.waited_in != handler.poll {
                        *this.waited_in = handler.poll;
                        handler.waits += 1;
                        HANDLER.set(handler);
                    }
                    return Poll::Pending;
                }
            }
        }
        let mut handler = HANDLER.get();
        if handler.poll != 0 && *this.waited_in == handler.poll {
            // Polled twice in one poll of the handler, and no longer waiting.
            *this.waited_in = 0;
            handler.waits -= 1;
            HANDLER.set(handler);
        }
        if handler.poll == 0 || handler.has_slot {
            let output = this.output.take();
            return Poll::Ready(output.expect("`without_slot` polled after it was done"));
        }
        handler.returns = true;
        HANDLER.set(handler);
        Poll::Pending
    }
}

#[pinned_drop]
impl<F, Output> PinnedDrop for WithoutSlot<F, Output> {
    fn drop(self: Pin<&mut Self>) {
        let mut handler = HANDLER.get();
        if handler.poll != 0 && self.waited_in == handler.poll {
            handler.waits -= 1;
            HANDLER.set(handler);
        }
    }
}

impl<F, Output> fmt::Debug for WithoutSlot<F, Output> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithoutSlot").finish_non_exhaustive()
    }
}

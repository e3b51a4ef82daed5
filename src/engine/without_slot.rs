//! WithoutSlot: waiting in a handler while another group has the slot.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use pin_project::{pin_project, pinned_drop};

thread_local! {
    /// What the futures in the handler that this thread polls right now must know: some of the flags below.
    static HANDLER: Cell<u8> = const { Cell::new(0) };
    /// The waits of the handlers that this thread polls, the outermost first; only of those that have any.
    static WAITS: RefCell<Vec<Arc<Waits>>> = const { RefCell::new(Vec::new()) };
}

const IS_POLLED: u8 = 1;
const HAS_SLOT: u8 = 2;
/// The last of the waits are those of the innermost handler.
const HAS_WAITS: u8 = 4;

/// How many futures in a handler wait without a slot, and above them how many are done and need one to go on.
///
/// Kept from poll to poll, since a poll of the handler need not reach all that it awaits. The futures may be dropped in
/// other threads.
#[derive(Debug, Default)]
pub(crate) struct Waits(AtomicU64);

const WAITING: u64 = 1;
const RETURNING: u64 = 1 << 32;

/// What a poll of a handler came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handler<Output> {
    /// It is finished.
    Ready(Output),
    /// It is pending, and holds a slot or needs one to go on.
    WithSlot,
    /// It waits, and needs no slot until it is done.
    WithoutSlot,
}

/// Polls a handler. Its waits are kept where its future is.
#[inline(always)] // as each poll of each handler goes through here
pub(crate) fn poll_handler<Fut: Future>(
    future: Pin<&mut Fut>,
    cx: &mut Context<'_>,
    waits: &mut Option<Arc<Waits>>,
    has_slot: bool,
) -> Handler<Fut::Output> {
    let flags = IS_POLLED | if has_slot { HAS_SLOT } else { 0 };
    let unwinding = Unwinding(HANDLER.replace(flags));
    if waits.is_some() {
        enter_with(flags, waits);
    }
    let polled = future.poll(cx);
    let outer = unwinding.0;
    std::mem::forget(unwinding);
    let has_waits = HANDLER.replace(outer) & HAS_WAITS != 0;
    let needs_none = has_waits && leave_with(waits, polled.is_ready());
    match polled {
        Poll::Ready(output) => Handler::Ready(output),
        Poll::Pending if needs_none => Handler::WithoutSlot,
        Poll::Pending => Handler::WithSlot,
    }
}

/// Dropped only where a handler panics: this thread polls on, with these flags of the handler around it.
struct Unwinding(u8);

impl Drop for Unwinding {
    fn drop(&mut self) {
        if HANDLER.replace(self.0) & HAS_WAITS != 0 {
            WAITS.with_borrow_mut(Vec::pop);
        }
    }
}

#[cold]
fn enter_with(flags: u8, waits: &mut Option<Arc<Waits>>) {
    // First, as it panics where the thread ends, and must not seem to have been done.
    WAITS.with_borrow_mut(|all| all.extend(waits.take()));
    HANDLER.set(flags | HAS_WAITS);
}

/// Says whether a handler that is pending needs no slot.
#[cold]
fn leave_with(waits: &mut Option<Arc<Waits>>, is_ready: bool) -> bool {
    *waits = WAITS.with_borrow_mut(Vec::pop);
    if is_ready {
        forget(waits);
        return false;
    }
    let counts = waits
        .as_ref()
        .map_or(0, |waits| waits.0.load(Ordering::Acquire));
    (WAITING..RETURNING).contains(&counts)
}

/// A handler has finished. What it leaves behind counts no more.
fn forget(waits: &mut Option<Arc<Waits>>) {
    if waits
        .as_ref()
        .is_some_and(|waits| waits.0.load(Ordering::Acquire) != 0)
    {
        *waits = None;
    }
}

/// Awaits `future` in a handler without holding a slot, while the handler's group keeps waiting for it.
///
/// Use it for waiting that is no work: a back-off, a rate limit, a circuit breaker, a reply from outside. Meanwhile the slot
/// goes to another group, and no item of this handler's group overtakes it. When the future is done, the handler gets a slot
/// back before anything younger starts and before the source is read. There is
/// [one exception](crate::guide::stalls#what-happens-to-the-source), which takes hundreds of waits that end at once. At most
/// `look_ahead` handlers wait in this way.
///
/// # What to watch
///
/// - If you hold a permit, a lock or a connection over a `without_slot`, acquire it in a `without_slot` too. Otherwise
///   handlers that wait for it can take every slot, and nothing moves again.
/// - Put a time-out inside: `without_slot(timeout(..))`. If a `without_slot` is dropped while it waits, the handler runs on to
///   its next await without a slot, and continues from there when it has a slot again.
/// - In a `join!` or `select!`, the handler as a whole is without a slot until the future is done or dropped. The other
///   branches continue without one.
/// - In an operator inside a handler, it gives up the inner operator's slot.
/// - Outside an operator, or in a task that a handler spawned, it is a plain `await`.
///
/// [Retries, rate limits and circuit breakers](crate::guide::retry) shows it at work.
///
/// # Cancel safety
///
/// Dropping it drops the future, and nothing else.
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
#[doc(alias = "backoff")]
#[doc(alias = "circuit_breaker")]
#[doc(alias = "rate_limit")]
#[doc(alias = "release")]
#[doc(alias = "retry")]
#[doc(alias = "semaphore")]
#[doc(alias = "sleep")]
#[doc(alias = "throttle")]
#[doc(alias = "yield")]
pub fn without_slot<F: Future>(future: F) -> WithoutSlot<F, F::Output> {
    WithoutSlot {
        future,
        output: None,
        counted: None,
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
    /// Where this future is counted, and as what.
    counted: Option<(Arc<Waits>, u64)>,
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
                    count(this.counted, WAITING);
                    return Poll::Pending;
                }
            }
        }
        if HANDLER.get() & (IS_POLLED | HAS_SLOT) == IS_POLLED {
            count(this.counted, RETURNING);
            // Whatever is between the handler and this future is to poll it again with the handler.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        discount(this.counted);
        let output = this.output.take();
        Poll::Ready(output.expect("a future that is done has come to something"))
    }
}

#[pinned_drop]
impl<F, Output> PinnedDrop for WithoutSlot<F, Output> {
    fn drop(self: Pin<&mut Self>) {
        discount(self.project().counted);
    }
}

impl<F, Output> fmt::Debug for WithoutSlot<F, Output> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithoutSlot").finish_non_exhaustive()
    }
}

/// Counts a future among those of the handler that is polled, and nowhere else.
fn count(counted: &mut Option<(Arc<Waits>, u64)>, what: u64) {
    let flags = HANDLER.get();
    if flags & IS_POLLED == 0 {
        return discount(counted);
    }
    let waits = WAITS.with_borrow_mut(|all| {
        if flags & HAS_WAITS == 0 {
            all.push(Arc::default());
            HANDLER.set(flags | HAS_WAITS);
        }
        all.last().map(Arc::clone)
    });
    let waits = waits.expect("the waits of the innermost handler");
    if let Some((here, as_what)) = counted {
        if Arc::ptr_eq(here, &waits) && *as_what == what {
            return;
        }
    }
    waits.0.fetch_add(what, Ordering::AcqRel);
    discount(counted);
    *counted = Some((waits, what));
}

fn discount(counted: &mut Option<(Arc<Waits>, u64)>) {
    if let Some((waits, as_what)) = counted.take() {
        waits.0.fetch_sub(as_what, Ordering::AcqRel);
    }
}

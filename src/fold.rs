//! The fold: pull, start, poll, finish. The only place where the order, the window and the slots meet.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project::pin_project;

use crate::offsets::ReadOffset;
use crate::order::{Arrival, Order};
use crate::slots::{Slots, Woken};
use crate::source::Read;
use crate::verdict::Verdict;
use crate::window::Window;

/// How many items are pulled and handlers polled in one poll. No more than tokio's own budget for a task: of handlers
/// that find it used up, fewer are polled in vain than were polled with success.
const EVENTS_PER_POLL: u32 = 128;

/// How many results come out one after the other before the operator gives way to its task's neighbours.
const RESULTS_PER_TURN: u32 = 256;

/// Folds running handlers over a source.
#[pin_project]
pub(crate) struct Fold<St, M, T, E, By, Off, H, Fut, V, W> {
    core: Core<T, E, By, Off, H, Fut, V, W>,
    #[pin]
    source: St,
    _read: PhantomData<fn() -> M>,
}

/// All but the source.
struct Core<T, E, By, Off, H, Fut, V, W> {
    /// First, so that a drop silences all wakers before anything else is dropped.
    slots: Slots<Fut>,
    window: W,
    order: By,
    offsets: Off,
    handler: H,
    limits: Limits,
    state: State,
    failure: Option<Failure<E>>,
    /// What is left of this poll's budget.
    credit: u32,
    /// How many results may come out before the next Pending.
    results: u32,
    /// The last result came from admission, so what was woken goes first.
    woken_first: bool,
    /// Set while the caller's code runs, so it stays set when that panics.
    poisoned: bool,
    _types: PhantomData<fn() -> (T, V)>,
}

/// The most items at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) max_parallel: usize,
    pub(crate) look_ahead: usize,
}

/// How it stands with the source.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// It is to be asked.
    Open,
    /// It said Pending and has not woken us since.
    Pending,
    /// It has ended, or must not be asked again; what is admitted goes on.
    Closed,
    /// All has come out.
    Ended,
}

/// The first failure in source order, as far as is known.
struct Failure<E> {
    seq: u64,
    error: E,
}

/// What a poll came to.
enum Turn<Emitted, E> {
    Emit(Emitted),
    Fail(E),
    End,
    /// Nothing comes out; with `again`, only because the budget is used up.
    Idle {
        again: bool,
    },
}

impl<St, M, T, E, By, Off, H, Fut, V, W> Fold<St, M, T, E, By, Off, H, Fut, V, W> {
    pub(crate) fn new(
        source: St,
        order: By,
        offsets: Off,
        handler: H,
        limits: Limits,
        window: W,
    ) -> Self {
        Self {
            core: Core {
                slots: Slots::new(),
                window,
                order,
                offsets,
                handler,
                limits,
                state: State::Open,
                failure: None,
                credit: EVENTS_PER_POLL,
                results: RESULTS_PER_TURN,
                woken_first: false,
                poisoned: false,
                _types: PhantomData,
            },
            source,
            _read: PhantomData,
        }
    }

    pub(crate) fn source(&self) -> &St {
        &self.source
    }

    pub(crate) fn into_source(self) -> St {
        self.source
    }

    pub(crate) fn running(&self) -> usize {
        self.core.slots.running()
    }

    pub(crate) fn is_terminated(&self) -> bool {
        self.core.state == State::Ended
    }
}

impl<St, M, T, E, By, Off, H, Fut, V, W> Fold<St, M, T, E, By, Off, H, Fut, V, W>
where
    By: Order<T>,
{
    pub(crate) fn waiting(&self) -> usize {
        self.core.order.waiting()
    }

    pub(crate) fn groups(&self) -> usize {
        self.core.order.groups()
    }
}

impl<St, M, T, E, By, Off, H, Fut, V, W> Fold<St, M, T, E, By, Off, H, Fut, V, W> {
    pub(crate) fn finished<O, R>(&self) -> usize
    where
        W: Window<O, R>,
    {
        self.core.window.finished()
    }

    pub(crate) fn unfinished<'a, O: 'a, R>(&'a self) -> impl Iterator<Item = &'a O>
    where
        W: Window<O, R>,
    {
        self.core.window.unfinished()
    }

    pub(crate) fn debug<O, R>(&self, mut debug: fmt::DebugStruct<'_, '_>) -> fmt::Result
    where
        By: Order<T>,
        W: Window<O, R>,
    {
        debug
            .field("running", &self.running())
            .field("waiting", &self.waiting())
            .field("finished", &self.finished())
            .field("groups", &self.groups())
            .finish_non_exhaustive()
    }

    /// How many results are left at least and at most; of those that can fail, any may be the last.
    pub(crate) fn size_hint<O, R>(&self, can_fail: bool) -> (usize, Option<usize>)
    where
        M: Read<St, T, E>,
        W: Window<O, R>,
    {
        let core = &self.core;
        let (least, most) = match core.state {
            State::Open | State::Pending => M::items_left(&self.source),
            State::Closed | State::Ended => (0, Some(0)),
        };
        // A failure of the source comes out, but was never admitted.
        let failure = usize::from(core.failure.is_some());
        let admitted = core.window.admitted();
        let least = least.saturating_add(admitted).saturating_add(failure);
        let most = most
            .and_then(|most| most.checked_add(admitted))
            .and_then(|most| most.checked_add(failure));
        (if can_fail { least.min(1) } else { least }, most)
    }
}

impl<St, M, T, E, By, Off, O, H, Fut, Out, V, R, W> Fold<St, M, T, E, By, Off, H, Fut, V, W>
where
    M: Read<St, T, E>,
    By: Order<T>,
    Off: ReadOffset<T, Offset = O>,
    H: FnMut(T) -> Fut,
    Fut: Future<Output = Out>,
    V: Verdict<Out, Ok = R, Error = E>,
    W: Window<O, R>,
{
    /// The next result, as a `Stream` gives it.
    pub(crate) fn poll_emit(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<W::Emitted, E>>> {
        match self.poll(cx, true) {
            Turn::Emit(emitted) => Poll::Ready(Some(Ok(emitted))),
            Turn::Fail(error) => Poll::Ready(Some(Err(error))),
            Turn::End => Poll::Ready(None),
            Turn::Idle { .. } => Poll::Pending,
        }
    }

    /// Runs the handlers; nothing comes out.
    pub(crate) fn poll_advance(self: Pin<&mut Self>, cx: &mut Context<'_>) {
        self.poll(cx, false);
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>, emit: bool) -> Turn<W::Emitted, E> {
        let this = self.project();
        let core = this.core;
        assert!(
            !core.poisoned,
            "ordered_by_group: polled after a panic in the source, a closure, a key or a handler; \
             what is unfinished is lost to this stream: resume from the last committed offset"
        );
        core.poisoned = true;
        core.credit = EVENTS_PER_POLL;
        let turn = core.turn::<St, M>(this.source, emit);
        core.poisoned = false;
        // The task's own waker comes last: it may panic, or run the task at once.
        if let Turn::Idle { again } = turn {
            core.results = RESULTS_PER_TURN;
            if again || !core.slots.sleep(cx.waker()) {
                cx.waker().wake_by_ref();
            }
        }
        turn
    }
}

impl<T, E, By, Off, O, H, Fut, Out, V, R, W> Core<T, E, By, Off, H, Fut, V, W>
where
    By: Order<T>,
    Off: ReadOffset<T, Offset = O>,
    H: FnMut(T) -> Fut,
    Fut: Future<Output = Out>,
    V: Verdict<Out, Ok = R, Error = E>,
    W: Window<O, R>,
{
    fn turn<St, M>(&mut self, mut source: Pin<&mut St>, emit: bool) -> Turn<W::Emitted, E>
    where
        M: Read<St, T, E>,
    {
        if self.state == State::Ended {
            return Turn::End;
        }
        if emit {
            if self.results == 0 {
                return Turn::Idle { again: true };
            }
            self.results -= 1;
        }
        if self.slots.begin_round() {
            self.ask_source();
        }
        loop {
            if !(std::mem::take(&mut self.woken_first) && self.slots.has_woken()) {
                if let Some(emitted) = self.admit::<St, M>(source.as_mut(), emit) {
                    self.woken_first = true;
                    return Turn::Emit(emitted);
                }
            }
            if let Some(emitted) = self.poll_woken(emit) {
                return Turn::Emit(emitted);
            }
            // A handler that has finished made room, or nothing was admitted so far.
            if !self.may_pull() || !self.has_credit() {
                break;
            }
        }
        if !emit {
            let again = !self.has_credit();
            return Turn::Idle { again };
        }
        if let Some(emitted) = self.window.emit() {
            return Turn::Emit(emitted);
        }
        self.end()
    }

    /// Pulls items while they may start, and starts them.
    fn admit<St, M>(&mut self, mut source: Pin<&mut St>, emit: bool) -> Option<W::Emitted>
    where
        M: Read<St, T, E>,
    {
        while self.may_pull() && self.spend() {
            let mut cx = Context::from_waker(self.slots.source_waker());
            let item = match M::poll_item(source.as_mut(), &mut cx) {
                Poll::Ready(Some(Ok(item))) => item,
                Poll::Ready(Some(Err(error))) => {
                    self.fail(self.window.next_seq(), error);
                    break;
                }
                Poll::Ready(None) => {
                    self.state = State::Closed;
                    break;
                }
                Poll::Pending => {
                    self.state = State::Pending;
                    break;
                }
            };
            let seq = self.window.next_seq();
            let offset = self.offsets.read(&item);
            let ticket = match self.order.arrive(&item) {
                Arrival::Starts(ticket) => ticket,
                Arrival::Waits(behind) => {
                    self.order.wait(behind, seq, item);
                    self.window.admit(offset);
                    continue;
                }
            };
            let slot = self.slots.vacant();
            match self.slots.start(slot, seq, (self.handler)(item)) {
                Poll::Pending => {
                    self.slots.take(slot);
                    self.order.hold(slot, ticket);
                    self.window.admit(offset);
                }
                Poll::Ready(output) => match V::judge(output) {
                    Ok(result) if emit => {
                        let emitted = self.window.pass(offset, result);
                        if emitted.is_some() {
                            return emitted;
                        }
                    }
                    Ok(result) => {
                        self.window.admit(offset);
                        self.window.keep(seq, result);
                    }
                    Err(error) => {
                        self.window.admit(offset);
                        self.window.fail(seq);
                        self.fail(seq, error);
                    }
                },
            }
        }
        None
    }

    /// Polls the handlers that were woken, until a result comes out.
    fn poll_woken(&mut self, emit: bool) -> Option<W::Emitted> {
        let mut emitted = None;
        while emitted.is_none() && self.has_credit() {
            let slot = match self.slots.next_woken() {
                Some(Woken::Slot(slot)) => slot,
                Some(Woken::Source) => {
                    self.ask_source();
                    continue;
                }
                None => break,
            };
            self.credit -= 1;
            if self.slots.is_running(slot) {
                match self.slots.poll(slot) {
                    Poll::Pending => continue,
                    Poll::Ready(output) => self.finish(slot, output, emit, &mut emitted),
                }
            }
            self.go_on(slot, emit, &mut emitted);
        }
        emitted
    }

    /// Starts what waits behind a slot whose handler has finished, or gives the slot back.
    fn go_on(&mut self, slot: usize, emit: bool, emitted: &mut Option<W::Emitted>) {
        loop {
            match self.order.successor(slot) {
                None => {
                    self.order.release(slot);
                    self.slots.give_back(slot);
                    return;
                }
                // Nothing at or past a failed item starts; it stays with its group until the error comes out.
                Some(seq) if !self.may_start(seq) => return,
                Some(seq) => {
                    if !self.spend() {
                        self.slots.mark(slot);
                        return;
                    }
                    let item = self.order.succeed(slot);
                    match self.slots.start(slot, seq, (self.handler)(item)) {
                        Poll::Pending => return,
                        Poll::Ready(output) => self.finish(slot, output, emit, emitted),
                    }
                }
            }
        }
    }

    fn finish(&mut self, slot: usize, output: Out, emit: bool, emitted: &mut Option<W::Emitted>) {
        let seq = self.slots.seq(slot);
        match V::judge(output) {
            Ok(result) if emit && emitted.is_none() => *emitted = self.window.finish(seq, result),
            Ok(result) => self.window.keep(seq, result),
            Err(error) => {
                self.window.fail(seq);
                self.fail(seq, error);
            }
        }
    }

    /// An item has failed, or the source in its place. Only the first in source order counts.
    fn fail(&mut self, seq: u64, error: E) {
        self.state = State::Closed;
        if self.may_start(seq) {
            self.failure = Some(Failure { seq, error });
        }
    }

    fn may_start(&self, seq: u64) -> bool {
        self.failure
            .as_ref()
            .is_none_or(|failure| seq < failure.seq)
    }

    fn ask_source(&mut self) {
        if self.state == State::Pending {
            self.state = State::Open;
        }
    }

    fn may_pull(&self) -> bool {
        self.state == State::Open
            && self.slots.taken() < self.limits.max_parallel
            && self.window.has_room(self.limits.look_ahead)
    }

    /// The one place where the stream is found to be at its end.
    fn end(&mut self) -> Turn<W::Emitted, E> {
        let failed = self
            .failure
            .as_ref()
            .is_some_and(|failure| self.window.has_reached(failure.seq));
        if failed || (self.state == State::Closed && self.window.admitted() == 0) {
            self.slots.clear();
            self.order.clear();
            self.window.clear();
            // Last: a drop that panics is not an end.
            self.state = State::Ended;
            return match self.failure.take() {
                Some(failure) => Turn::Fail(failure.error),
                None => Turn::End,
            };
        }
        let again = !self.has_credit();
        Turn::Idle { again }
    }

    fn spend(&mut self) -> bool {
        let has_credit = self.has_credit();
        if has_credit {
            self.credit -= 1;
        }
        has_credit
    }

    fn has_credit(&self) -> bool {
        #[cfg(feature = "tokio")]
        if !tokio::task::coop::has_budget_remaining() {
            return false;
        }
        self.credit > 0
    }
}

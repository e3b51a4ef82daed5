//! The fold: pull, start, poll, finish. The only place where the order, the window and the slots meet.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project::pin_project;

use crate::offsets::ReadOffset;
use crate::order::{Arrival, Order};
use crate::partitions::Partitions;
use crate::run::{Polled, Run, Slot, Woken};
use crate::source::Read;
use crate::window::Window;

/// How many items are pulled in one poll, and how many handlers that were woken are polled. Each has its own, so that
/// neither starves the other. No more than tokio's own budget for a task: of handlers that find it used up, fewer are
/// polled in vain than were polled with success.
const EVENTS_PER_POLL: u32 = 128;

/// How many results come out one after the other before the operator gives way to its task's neighbours.
const RESULTS_PER_TURN: u32 = 256;

/// Folds running handlers over a source.
#[pin_project]
pub(crate) struct Fold<St, M, T, E, By, Off, P, X, W> {
    core: Core<T, E, By, Off, P, X, W>,
    #[pin]
    source: St,
    _read: PhantomData<fn() -> M>,
}

/// All but the source.
struct Core<T, E, By, Off, P, X, W> {
    /// First, so that a drop silences all wakers before anything else is dropped.
    run: X,
    window: W,
    order: By,
    offsets: Off,
    partitions: P,
    limits: Limits,
    /// What may go on once it has a slot, the oldest first: a handler that waited without one, or what waits behind a handler
    /// that has finished.
    ready: BinaryHeap<Reverse<Ready>>,
    state: State,
    failure: Option<Failure<E>>,
    /// What is left of this poll's budget: for the source and what is ready, and for what was woken.
    credit: u32,
    woken_credit: u32,
    /// Which of the two is spent now.
    is_wokens_turn: bool,
    /// How many results may come out before the next Pending.
    results: u32,
    next: Next,
    /// The source was asked in this poll.
    asked: bool,
    _item: PhantomData<fn() -> T>,
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
    /// The caller's code has panicked.
    Poisoned,
}

/// What goes first in the next poll.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Any,
    /// What was woken: the last result came from admission.
    Woken,
    /// The source: it might have been asked in the last poll, but the task's budget was used up before.
    Source,
}

/// A place where a handler may go on, or start, once it has a slot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Ready {
    arrival: u64,
    place: usize,
}

/// The first failure in source order, as far as is known.
struct Failure<E> {
    arrival: u64,
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

impl<St, M, T, E, By, Off, P, X, W> Fold<St, M, T, E, By, Off, P, X, W> {
    pub(crate) fn new(
        source: St,
        order: By,
        offsets: Off,
        partitions: P,
        run: X,
        limits: Limits,
        window: W,
    ) -> Self {
        Self {
            core: Core {
                run,
                window,
                order,
                offsets,
                partitions,
                limits,
                ready: BinaryHeap::new(),
                state: State::Open,
                failure: None,
                credit: 0,
                woken_credit: 0,
                is_wokens_turn: false,
                results: RESULTS_PER_TURN,
                next: Next::Any,
                asked: false,
                _item: PhantomData,
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

    pub(crate) fn running(&self) -> usize
    where
        X: Run<T>,
    {
        self.core.run.running()
    }

    pub(crate) fn is_terminated(&self) -> bool {
        self.core.state == State::Ended
    }
}

impl<St, M, T, E, By, Off, P, X, W> Fold<St, M, T, E, By, Off, P, X, W>
where
    By: Order<T>,
{
    pub(crate) fn waiting(&self) -> usize
    where
        X: Run<T>,
    {
        self.core.order.waiting() + self.core.run.waiting()
    }

    pub(crate) fn groups(&self) -> usize {
        self.core.order.groups()
    }
}

impl<St, M, T, E, By, Off, P, X, W> Fold<St, M, T, E, By, Off, P, X, W> {
    pub(crate) fn finished<L>(&self) -> usize
    where
        W: Window<L>,
    {
        self.core.window.finished()
    }

    pub(crate) fn unfinished<'a, L>(&'a self) -> impl Iterator<Item = &'a W::Offset>
    where
        W: Window<L>,
        W::Offset: 'a,
    {
        self.core.window.unfinished()
    }

    pub(crate) fn debug<L>(&self, mut debug: fmt::DebugStruct<'_, '_>) -> fmt::Result
    where
        By: Order<T>,
        X: Run<T>,
        W: Window<L>,
    {
        debug
            .field("running", &self.running())
            .field("waiting", &self.waiting())
            .field("finished", &self.finished())
            .field("groups", &self.groups())
            .finish_non_exhaustive()
    }

    /// How many results are left at least and at most; of those that can fail, any may be the last.
    pub(crate) fn size_hint<L>(&self, can_fail: bool) -> (usize, Option<usize>)
    where
        M: Read<St, T, E>,
        W: Window<L>,
    {
        let core = &self.core;
        let (least, most) = match core.state {
            State::Open | State::Pending => M::items_left(&self.source),
            State::Closed | State::Ended | State::Poisoned => (0, Some(0)),
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

impl<St, M, T, E, By, Off, O, P, L, X, R, W> Fold<St, M, T, E, By, Off, P, X, W>
where
    M: Read<St, T, E>,
    By: Order<T>,
    Off: ReadOffset<T, Offset = O>,
    P: Partitions<T, Key = L>,
    X: Run<T, Ok = R, Error = E>,
    W: Window<L, Offset = O, Result = R>,
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
        core.credit = EVENTS_PER_POLL;
        core.woken_credit = EVENTS_PER_POLL;
        core.asked = false;
        let poison = Poison(core);
        let turn = poison.0.turn::<St, M>(this.source, emit);
        std::mem::forget(poison);
        // The task's own waker comes last: it may panic, or run the task at once.
        if let Turn::Idle { again } = turn {
            core.results = RESULTS_PER_TURN;
            if again || !core.run.sleep(cx.waker()) {
                cx.waker().wake_by_ref();
            }
        }
        turn
    }
}

/// Says so if it is dropped, which happens only as a panic unwinds.
struct Poison<'a, T, E, By, Off, P, X, W>(&'a mut Core<T, E, By, Off, P, X, W>);

impl<T, E, By, Off, P, X, W> Drop for Poison<'_, T, E, By, Off, P, X, W> {
    fn drop(&mut self) {
        self.0.state = State::Poisoned;
    }
}

impl<T, E, By, Off, O, P, L, X, R, W> Core<T, E, By, Off, P, X, W>
where
    By: Order<T>,
    Off: ReadOffset<T, Offset = O>,
    P: Partitions<T, Key = L>,
    X: Run<T, Ok = R, Error = E>,
    W: Window<L, Offset = O, Result = R>,
{
    fn turn<St, M>(&mut self, mut source: Pin<&mut St>, emit: bool) -> Turn<W::Emitted, E>
    where
        M: Read<St, T, E>,
    {
        match self.state {
            State::Open | State::Pending | State::Closed => {}
            State::Ended => return Turn::End,
            State::Poisoned => panic!(
                "ordered_by_group: polled after a panic in the source, a closure, a key or a handler; \
                 what is unfinished is lost to this stream: resume from the last committed offset"
            ),
        }
        if emit {
            if self.results == 0 {
                return Turn::Idle { again: true };
            }
            self.results -= 1;
        }
        if self.run.begin_round() {
            self.ask_source();
        }
        let next = std::mem::replace(&mut self.next, Next::Any);
        if next == Next::Source && self.may_return() {
            if let Some(emitted) = self.poll_those_without_slot(emit) {
                self.next = Next::Source;
                return Turn::Emit(emitted);
            }
        }
        let mut source_goes = match next {
            Next::Woken => !self.run.has_woken(),
            Next::Any | Next::Source => !self.may_return(),
        };
        let mut woken_went = false;
        loop {
            if source_goes {
                if let Some(emitted) = self.admit::<St, M>(source.as_mut(), emit) {
                    self.next = Next::Woken;
                    return Turn::Emit(emitted);
                }
            }
            if woken_went || (source_goes && !self.run.has_woken()) {
                break;
            }
            if let Some(emitted) = self.poll_woken(emit) {
                return Turn::Emit(emitted);
            }
            // A handler that has finished made room, or it is the source's turn only now.
            (source_goes, woken_went) = (!self.may_return(), true);
        }
        if !self.asked && self.may_pull() && !self.may_return() {
            self.next = Next::Source;
        }
        if !emit {
            return self.idle();
        }
        if let Some(emitted) = self.window.emit() {
            return Turn::Emit(emitted);
        }
        self.end()
    }

    /// Pulls items while they may start, and starts them; but first what is ready.
    fn admit<St, M>(&mut self, mut source: Pin<&mut St>, emit: bool) -> Option<W::Emitted>
    where
        M: Read<St, T, E>,
    {
        if self.has_ready() {
            let emitted = self.serve(emit);
            if emitted.is_some() {
                return emitted;
            }
        }
        while self.may_pull() && self.spend() {
            self.asked = true;
            let mut cx = Context::from_waker(self.run.source_waker());
            let item = match M::poll_item(source.as_mut(), &mut cx) {
                Poll::Ready(Some(Ok(item))) => item,
                Poll::Ready(Some(Err(error))) => {
                    let arrival = self.window.arrival(self.window.next_ticket());
                    self.fail(arrival, error);
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
            let ticket = self.window.next_ticket();
            let offset = self.offsets.read(&item);
            let partition = self.partitions.read(&item);
            let claim = match self.order.arrive(&item) {
                Arrival::Starts(claim) => claim,
                Arrival::Waits(behind) => {
                    let mut item = Some(item);
                    if By::WAITS_BEHIND_PLACES {
                        let arrival = self.window.arrival(ticket);
                        item = item.and_then(|item| self.run.follow(behind, ticket, arrival, item));
                    }
                    if let Some(item) = item {
                        self.order.wait(behind, ticket, item);
                    }
                    self.window.admit(offset, partition);
                    continue;
                }
            };
            let place = self.run.vacant();
            let arrival = self.window.arrival(ticket);
            match self.run.start(place, ticket, arrival, item) {
                Polled::Ready(output) => {
                    self.order.pass(claim);
                    match output {
                        Ok(result) if emit => {
                            let emitted = self.window.pass(offset, partition, result);
                            if emitted.is_some() {
                                return emitted;
                            }
                        }
                        Ok(result) => {
                            self.window.admit(offset, partition);
                            self.window.keep(ticket, result);
                        }
                        Err(error) => {
                            self.window.admit(offset, partition);
                            self.window.fail(ticket);
                            self.fail(arrival, error);
                        }
                    }
                }
                Polled::Pending | Polled::NeedsSlot => {
                    self.run.take(place);
                    self.order.hold(place, claim);
                    self.window.admit(offset, partition);
                }
            }
        }
        None
    }

    /// Polls the handlers that were woken, until a result comes out.
    fn poll_woken(&mut self, emit: bool) -> Option<W::Emitted> {
        self.is_wokens_turn = true;
        let mut emitted = None;
        while (emitted.is_none() || self.may_return()) && self.has_credit() {
            let Some(place) = self.next_woken() else {
                break;
            };
            let polled = match self.run.slot_of_woken(place) {
                Slot::Vacant | Slot::Needed => continue,
                Slot::Unneeded if self.may_grant_at_once() => self.run.grant(place),
                Slot::Held | Slot::Unneeded => self.run.poll(place),
            };
            *self.credit() -= 1;
            let out = self.settle(place, polled, emit && emitted.is_none());
            emitted = emitted.or(out);
            if self.has_ready() && !self.may_return() {
                let out = self.serve(emit && emitted.is_none());
                emitted = emitted.or(out);
            }
        }
        if self.has_ready() && !self.may_return() {
            let out = self.serve(emit && emitted.is_none());
            emitted = emitted.or(out);
        }
        self.is_wokens_turn = false;
        emitted
    }

    /// The next place that was woken.
    #[inline(always)]
    fn next_woken(&mut self) -> Option<usize> {
        loop {
            match self.run.next_woken()? {
                Woken::Slot(place) => return Some(place),
                Woken::Source => self.ask_source(),
            }
        }
    }

    /// Before the source is asked out of turn: looks only for who returns, and leaves who holds a slot for the next poll.
    #[cold]
    fn poll_those_without_slot(&mut self, emit: bool) -> Option<W::Emitted> {
        self.is_wokens_turn = true;
        let mut emitted = None;
        while emitted.is_none() && self.has_credit() {
            let Some(place) = self.next_woken() else {
                break;
            };
            *self.credit() -= 1;
            match self.run.slot_of_woken(place) {
                Slot::Vacant | Slot::Needed => {}
                Slot::Held if self.run.wake_again(place) => {}
                Slot::Held | Slot::Unneeded => {
                    let polled = self.run.poll(place);
                    emitted = self.settle(place, polled, emit);
                }
            }
        }
        self.is_wokens_turn = false;
        emitted
    }

    /// Gives free slots to what is ready, the oldest first. Does not stop at a result: what may run is to run.
    fn serve(&mut self, emit: bool) -> Option<W::Emitted> {
        let mut emitted = None;
        while self.has_free_slot() || self.free_slot_past_failure() {
            let going_on = self.ready.peek().map(|&Reverse(ready)| ready);
            let waiting = self
                .order
                .oldest_ready()
                .map(|ticket| (ticket, self.window.arrival(ticket)));
            let waiting = waiting.filter(|&(_, arrival)| self.may_start(arrival));
            let emit = emit && emitted.is_none();
            let out = match (going_on, waiting) {
                (None, None) => break,
                _ if !self.spend_or_begin() => break,
                (Some(ready), waiting)
                    if waiting.is_none_or(|(_, arrival)| ready.arrival < arrival) =>
                {
                    let Ready { arrival, place } = ready;
                    self.ready.pop();
                    if !self.may_start(arrival) {
                        continue;
                    }
                    if self.run.is_running(place) {
                        let polled = self.run.grant(place);
                        self.settle(place, polled, emit)
                    } else {
                        self.succeed(place, emit)
                    }
                }
                (_, Some((ticket, arrival))) => {
                    let place = self.run.vacant();
                    self.run.take(place);
                    let item = self.order.start_ready(place);
                    let polled = self.run.start(place, ticket, arrival, item);
                    self.settle(place, polled, emit)
                }
                (Some(_), None) => unreachable!("nothing is older than the only one"),
            };
            emitted = emitted.or(out);
        }
        emitted
    }

    /// A handler was polled.
    #[inline(always)] // or what comes out is copied on its way
    fn settle(
        &mut self,
        place: usize,
        polled: Polled<Result<R, E>>,
        emit: bool,
    ) -> Option<W::Emitted> {
        match polled {
            Polled::Ready(output) => {
                let emitted = self.finish(place, output, emit);
                if self.is_last(place) {
                    self.vacate(place);
                } else if self.goes_on(place) {
                    let out = self.succeed(place, emit && emitted.is_none());
                    return emitted.or(out);
                }
                emitted
            }
            Polled::Pending => None,
            Polled::NeedsSlot => {
                let arrival = self.window.arrival(self.run.ticket(place));
                self.ready.push(Reverse(Ready { arrival, place }));
                None
            }
        }
    }

    /// Whether nothing waits behind the handler in this place.
    fn is_last(&self, place: usize) -> bool {
        self.order.successor(place).is_none() && !self.run.has_more(place)
    }

    /// A handler has finished, and nothing goes on in its place.
    fn vacate(&mut self, place: usize) {
        self.order.release(place);
        self.run.give_back(place);
    }

    /// A handler has finished that was not the last: whether what waits behind it starts now, in the slot that it had. Else
    /// it is put among what is ready, or is with what runs the handlers.
    fn goes_on(&mut self, place: usize) -> bool {
        if self.run.has_more(place) {
            return false;
        }
        let Some(ticket) = self.order.successor(place) else {
            return false;
        };
        let arrival = self.window.arrival(ticket);
        let now = self.ready.is_empty()
            && self.has_free_slot()
            && self.may_start(arrival)
            && !self.may_return()
            && self.spend();
        if !now {
            self.ready.push(Reverse(Ready { arrival, place }));
        }
        now
    }

    /// Starts what waits behind a handler that has finished, and so on while one is ready at once.
    fn succeed(&mut self, place: usize, emit: bool) -> Option<W::Emitted> {
        let mut emitted = None;
        while let Some(ticket) = self.order.successor(place) {
            let item = self.order.succeed(place);
            let arrival = self.window.arrival(ticket);
            let Polled::Ready(output) = self.run.start(place, ticket, arrival, item) else {
                break;
            };
            let out = self.finish(place, output, emit && emitted.is_none());
            emitted = emitted.or(out);
            if self.is_last(place) {
                self.vacate(place);
                break;
            }
            if !self.goes_on(place) {
                break;
            }
        }
        emitted
    }

    /// A handler has finished. Its result, or one that waited for it, comes out if it may.
    #[inline(always)] // or what comes out is copied on its way
    fn finish(&mut self, place: usize, output: Result<R, E>, emit: bool) -> Option<W::Emitted> {
        let ticket = self.run.ticket(place);
        match output {
            Ok(result) if emit => return self.window.finish(ticket, result),
            Ok(result) => self.window.keep(ticket, result),
            Err(error) => {
                let arrival = self.window.arrival(ticket);
                self.window.fail(ticket);
                self.fail(arrival, error);
            }
        }
        None
    }

    /// An item has failed, or the source in its place. Only the first in source order counts.
    fn fail(&mut self, arrival: u64, error: E) {
        self.state = State::Closed;
        if self.may_start(arrival) {
            self.failure = Some(Failure { arrival, error });
        }
    }

    /// Nothing at or past a failed item starts.
    fn may_start(&self, arrival: u64) -> bool {
        self.failure
            .as_ref()
            .is_none_or(|failure| arrival < failure.arrival)
    }

    fn ask_source(&mut self) {
        if self.state == State::Pending {
            self.state = State::Open;
        }
    }

    /// Whether the source may be read. What is ready has been served before, so no slot is free if any is left, or the budget
    /// is used up.
    fn may_pull(&self) -> bool {
        self.state == State::Open
            && self.has_free_slot()
            && self.window.has_room(self.limits.look_ahead)
    }

    /// Whether anything needs but a slot to go on or start.
    fn has_ready(&self) -> bool {
        !self.ready.is_empty() || self.order.oldest_ready().is_some()
    }

    /// Whether a handler that waits without a slot may be done: it goes before anything younger, so it is looked at first.
    fn may_return(&self) -> bool {
        self.run.any_without_slot() && self.run.has_woken()
    }

    /// Whether a handler that was woken while it waits without a slot gets one before it is looked at: if nobody else may
    /// want it.
    #[cold]
    fn may_grant_at_once(&self) -> bool {
        self.has_free_slot() && !self.has_ready() && !self.run.has_woken()
    }

    /// A handler past a failure is not waited for: where one before it needs a slot, it goes.
    fn free_slot_past_failure(&mut self) -> bool {
        let Some(failure) = &self.failure else {
            return false;
        };
        let window = &self.window;
        let going_on = self.ready.peek().map(|Reverse(ready)| ready.arrival);
        let waiting = self
            .order
            .oldest_ready()
            .map(|ticket| window.arrival(ticket));
        let is_before = |arrival| arrival < failure.arrival;
        (going_on.is_some_and(is_before) || waiting.is_some_and(is_before))
            && self
                .run
                .drop_one(|ticket| window.arrival(ticket) >= failure.arrival)
    }

    fn has_free_slot(&self) -> bool {
        self.run.held() < self.limits.max_parallel
    }

    /// The one place where the stream is found to be at its end.
    fn end(&mut self) -> Turn<W::Emitted, E> {
        let failed = self
            .failure
            .as_ref()
            .is_some_and(|failure| self.window.has_reached(failure.arrival));
        if failed || (self.state == State::Closed && self.window.admitted() == 0) {
            self.run.clear();
            self.order.clear();
            self.window.clear();
            // Last: a drop that panics is not an end.
            self.state = State::Ended;
            return match self.failure.take() {
                Some(failure) => Turn::Fail(failure.error),
                None => Turn::End,
            };
        }
        self.idle()
    }

    /// Nothing comes out: is all done that could be, or is the budget used up?
    fn idle(&self) -> Turn<W::Emitted, E> {
        let again = self.woken_credit == 0 || !self.has_credit();
        Turn::Idle { again }
    }

    /// As [`spend`](Self::spend), but the first step is free: one handler of ours may use up the task's budget in every poll.
    fn spend_or_begin(&mut self) -> bool {
        let may_begin = *self.credit() == EVENTS_PER_POLL;
        if may_begin {
            *self.credit() -= 1;
        }
        may_begin || self.spend()
    }

    fn spend(&mut self) -> bool {
        let has_credit = self.has_credit();
        if has_credit {
            *self.credit() -= 1;
        }
        has_credit
    }

    fn has_credit(&self) -> bool {
        #[cfg(feature = "tokio")]
        if !tokio::task::coop::has_budget_remaining() {
            return false;
        }
        if self.is_wokens_turn {
            self.woken_credit > 0
        } else {
            self.credit > 0
        }
    }

    fn credit(&mut self) -> &mut u32 {
        if self.is_wokens_turn {
            &mut self.woken_credit
        } else {
            &mut self.credit
        }
    }
}

//! The fold: pull, start, poll, finish. The only place where the order, the window and the slots meet.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project::pin_project;

use crate::engine::budget::{Budget, Spender, task_has_budget};
use crate::engine::item::offsets::ReadOffset;
use crate::engine::item::partitions::Partitions;
use crate::engine::item::source::Read;
use crate::engine::order::{Arrival, Order};
use crate::engine::run::{Polled, Round, Run};
use crate::engine::tally::Tally;
use crate::engine::watch::{Board, Snapshot, Timing};
use crate::engine::window::Window;
use crate::spare::shrink_heap;

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
    /// An item that the source yielded when it could not be admitted: read, but not admitted.
    hand: Option<T>,
    failure: Option<Failure<E>>,
    budget: Budget,
    tally: Tally,
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
    /// It may be asked.
    Open,
    /// It said Pending and has not woken us since.
    Pending,
    /// It said Pending and is to be polled on, whatever else: it may hold what others need until it has answered.
    Woken,
    /// Its answer is in hand.
    InHand,
    /// It has ended, or must not be asked again; what is admitted goes on.
    Closed,
    /// All has come out.
    Ended,
    /// The caller's code has panicked.
    Poisoned,
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
    /// Once an earlier item has needed a slot: whoever has one, the youngest first. Who is past the failure goes.
    holders: Option<BinaryHeap<Ready>>,
}

impl<E> Failure<E> {
    /// Nothing at or past a failed item starts.
    fn lets_start(failure: &Option<Self>, arrival: u64) -> bool {
        failure
            .as_ref()
            .is_none_or(|failure| arrival < failure.arrival)
    }
}

/// What a poll came to.
enum Turn<Emitted, E> {
    Emit(Emitted),
    Fail(E),
    End,
    /// Nothing comes out.
    Idle,
    /// Nothing comes out, but only because the budget is used up.
    Again,
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
                hand: None,
                failure: None,
                budget: Budget::new(),
                tally: Tally::new(),
            },
            source,
            _read: PhantomData,
        }
    }

    /// Shows on a board what the stream does. Before it is polled.
    pub(crate) fn watch(&mut self, board: &Arc<Board>)
    where
        By: Order<T>,
        X: Run<By::Input>,
    {
        self.core.tally.show_on(board);
        self.core.order.count_depths();
        self.core.run.count_depths();
    }

    pub(crate) fn source(&self) -> &St {
        &self.source
    }

    pub(crate) fn into_source(self) -> St {
        self.source
    }

    pub(crate) fn is_terminated(&self) -> bool {
        self.core.state == State::Ended
    }
}

impl<St, M, T, E, By, Off, P, X, W> Fold<St, M, T, E, By, Off, P, X, W>
where
    By: Order<T>,
{
    pub(crate) fn running(&self) -> usize
    where
        X: Run<By::Input>,
    {
        self.core.running()
    }

    pub(crate) fn waiting(&self) -> usize
    where
        X: Run<By::Input>,
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
        X: Run<By::Input>,
        W: Window<L>,
    {
        debug
            .field("running", &self.running())
            .field("waiting", &self.waiting())
            .field("finished", &self.finished())
            .field("groups", &self.groups())
            .finish_non_exhaustive()
    }

    /// How many results are left at least and at most; of those that can fail, any may be the last, and one may be that of
    /// all that is left.
    pub(crate) fn size_hint<L>(&self, can_fail: bool) -> (usize, Option<usize>)
    where
        M: Read<St, T, E>,
        By: Order<T>,
        W: Window<L>,
    {
        let core = &self.core;
        let (least, most) = match core.state {
            _ if core.failure.is_some() => (0, Some(0)),
            State::Open | State::Pending | State::Woken => M::items_left(&self.source),
            State::InHand => {
                let (least, most) = M::items_left(&self.source);
                (
                    least.saturating_add(1),
                    most.and_then(|most| most.checked_add(1)),
                )
            }
            State::Closed | State::Ended | State::Poisoned => (0, Some(0)),
        };
        // A failure of the source comes out, but was never admitted.
        let failure = usize::from(core.failure.is_some());
        let admitted = core.window.admitted();
        let least = least.saturating_add(admitted).saturating_add(failure);
        let most = most
            .and_then(|most| most.checked_add(admitted))
            .and_then(|most| most.checked_add(failure));
        let may_be_fewer = can_fail || By::GATHERS;
        (if may_be_fewer { least.min(1) } else { least }, most)
    }
}

impl<St, M, T, E, By, Off, O, P, L, X, R, W> Fold<St, M, T, E, By, Off, P, X, W>
where
    M: Read<St, T, E>,
    By: Order<T>,
    Off: ReadOffset<T, Offset = O>,
    P: Partitions<T, Key = L>,
    X: Run<By::Input, Ok = R, Error = E>,
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
            Turn::Idle | Turn::Again => Poll::Pending,
        }
    }

    /// Runs the handlers; nothing comes out.
    pub(crate) fn poll_advance(self: Pin<&mut Self>, cx: &mut Context<'_>) {
        self.poll(cx, false);
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>, emit: bool) -> Turn<W::Emitted, E> {
        let this = self.project();
        let core = this.core;
        core.budget.begin_poll();
        let poison = Poison(core);
        let turn = poison.0.turn::<St, M>(this.source, emit);
        std::mem::forget(poison);
        if By::GATHERS {
            core.tally.come_with_others(core.window.with_others());
        }
        // The task's own waker comes last: it may panic, or run the task at once.
        let again = matches!(turn, Turn::Again);
        if again || matches!(turn, Turn::Idle) {
            core.tally.pause();
            if core.tally.is_watched() {
                core.publish();
            }
            if again || !core.run.sleep(cx.waker()) {
                cx.waker().wake_by_ref();
            }
        }
        turn
    }
}

impl<T, E, By, Off, P, X, W> Core<T, E, By, Off, P, X, W>
where
    By: Order<T>,
    X: Run<By::Input>,
{
    /// How many items have a handler.
    fn running(&self) -> usize {
        self.run.running() + self.order.all_joined()
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
    X: Run<By::Input, Ok = R, Error = E>,
    W: Window<L, Offset = O, Result = R>,
{
    fn turn<St, M>(&mut self, mut source: Pin<&mut St>, emit: bool) -> Turn<W::Emitted, E>
    where
        M: Read<St, T, E>,
    {
        match self.state {
            State::Open | State::Pending | State::Woken | State::InHand | State::Closed => {}
            State::Ended => return Turn::End,
            State::Poisoned => panic!(
                "ordered_by_group: polled after a panic in the source, a closure, a key or a handler; \
                 unfinished items are lost to this stream: resume from the last committed offset"
            ),
        }
        if emit && self.tally.has_given_enough() {
            return Turn::Again;
        }
        let round = self.run.begin_round();
        if round == Round::Unexplained && self.state == State::Pending {
            self.state = State::Woken;
        }
        let source_goes_first = round != Round::Woken || self.budget.source_goes_first();
        if source_goes_first {
            if let Some(emitted) = self.admit::<St, M>(source.as_mut(), emit) {
                return self.emit_of_source(emitted);
            }
        }
        if self.run.has_woken() {
            if let Some(emitted) = self.poll_woken(emit, source_goes_first) {
                self.budget.give(Spender::Woken);
                self.tally.leave();
                return Turn::Emit(emitted);
            }
            if cfg!(feature = "tokio") && source_goes_first {
                self.budget.woken_went_in_vain();
            }
            // A handler that has finished made room, or it is the source's turn only now.
            if let Some(emitted) = self.admit_in_turn::<St, M>(source.as_mut(), emit) {
                return self.emit_of_source(emitted);
            }
            if X::ELSEWHERE {
                if let Some(turn) = self.take_turns::<St, M>(source.as_mut(), emit) {
                    return turn;
                }
            }
        }
        if self.budget.is_source_out_of_turn() {
            // Now those that return, which it did not wait for.
            self.serve(false);
        }
        if emit {
            if let Some(emitted) = self.window.emit() {
                if self.tally.leave_kept(self.budget.is_touched()) {
                    self.publish();
                }
                return Turn::Emit(emitted);
            }
            if self.end_if_done() {
                return match self.failure.take() {
                    Some(failure) => Turn::Fail(failure.error),
                    None => Turn::End,
                };
            }
        }
        if self.settle_down() {
            Turn::Idle
        } else {
            Turn::Again
        }
    }

    /// Source and woken in turn, until either comes to a result or the woken have come to their end: see
    /// [`lets_source_in`](Self::lets_source_in).
    #[inline(never)] // else it would be in the way of a result
    fn take_turns<St, M>(
        &mut self,
        mut source: Pin<&mut St>,
        emit: bool,
    ) -> Option<Turn<W::Emitted, E>>
    where
        M: Read<St, T, E>,
    {
        while self.run.has_woken() && self.budget.has_step(Spender::Woken) {
            if let Some(emitted) = self.poll_woken(emit, true) {
                self.budget.give(Spender::Woken);
                self.tally.leave();
                return Some(Turn::Emit(emitted));
            }
            if let Some(emitted) = self.admit_in_turn::<St, M>(source.as_mut(), emit) {
                return Some(self.emit_of_source(emitted));
            }
        }
        None
    }

    /// What has just been admitted comes out at once.
    fn emit_of_source(&mut self, emitted: W::Emitted) -> Turn<W::Emitted, E> {
        self.budget.give(Spender::Source);
        self.tally.pass();
        Turn::Emit(emitted)
    }

    /// The source's turn.
    #[inline(always)] // the way of each item
    fn admit<St, M>(&mut self, source: Pin<&mut St>, emit: bool) -> Option<W::Emitted>
    where
        M: Read<St, T, E>,
    {
        if self.state != State::Open || self.others_may_go() || self.run.may_return() {
            return self.admit_in_turn::<St, M>(source, emit);
        }
        self.pull::<St, M>(source, emit)
    }

    /// The source's turn; but what is ready and who returns go first, and it may have to be polled on.
    #[inline(never)]
    fn admit_in_turn<St, M>(&mut self, mut source: Pin<&mut St>, emit: bool) -> Option<W::Emitted>
    where
        M: Read<St, T, E>,
    {
        if self.state != State::Open {
            self.poll_on::<St, M>(source.as_mut());
        }
        if (self.others_may_go() || self.run.may_return()) && self.let_others_go() {
            return None;
        }
        if self.state == State::InHand {
            let item = self.take_from_hand()?;
            let emitted = self.take_in(item, emit);
            if emitted.is_some() || self.stay() {
                return emitted;
            }
        }
        if self.state != State::Open {
            return None;
        }
        self.pull::<St, M>(source, emit)
    }

    /// Whether anything that is ready could go. Read ahead, there is always something, but seldom a slot.
    fn others_may_go(&self) -> bool {
        let may_have_slot = !By::READS_AHEAD || self.has_free_slot() || self.failure.is_some();
        may_have_slot && self.has_ready()
    }

    /// What is ready and those that return go before the source, unless it is overdue; what they come to is kept, so that it
    /// does not end the source's turn. Says whether the source has to wait all the same.
    #[inline(never)]
    fn let_others_go(&mut self) -> bool {
        let is_overdue = self.budget.source_is_overdue();
        if is_overdue && !self.has_ready() {
            return false;
        }
        self.serve(false);
        if !is_overdue && self.run.may_return() {
            self.budget.pass_over_source();
            return true;
        }
        self.has_startable()
    }

    /// Pulls items while they may start, and starts them. The source may be asked.
    #[inline(always)] // the way of each item
    fn pull<St, M>(&mut self, mut source: Pin<&mut St>, emit: bool) -> Option<W::Emitted>
    where
        M: Read<St, T, E>,
    {
        while self.may_admit() && self.budget.spend_on(Spender::Source) {
            let mut cx = Context::from_waker(self.run.source_waker());
            let item = match M::poll_item(source.as_mut(), &mut cx) {
                Poll::Ready(Some(Ok(item))) => item,
                answer => {
                    self.answer(answer);
                    return None;
                }
            };
            if let Some(emitted) = self.take_in(item, emit) {
                return Some(emitted);
            }
            // It may have failed.
            if self.stay() || self.state != State::Open {
                return None;
            }
        }
        None
    }

    /// Nothing came out for an item that went in. Says whether the source's turn is over for that.
    #[inline(always)]
    fn stay(&mut self) -> bool {
        self.tally.stay();
        self.run.may_return() && self.gives_way()
    }

    /// One that waits without a slot may be done by what this handler did.
    #[cold]
    fn gives_way(&self) -> bool {
        !self.budget.is_source_out_of_turn()
    }

    /// The source answered, and what it said is not admitted at once.
    #[cold]
    fn answer(&mut self, answer: Poll<Option<Result<T, E>>>) {
        self.state = match answer {
            Poll::Ready(Some(Ok(item))) => {
                self.hand = Some(item);
                State::InHand
            }
            Poll::Ready(Some(Err(error))) => {
                let arrival = self.window.arrival(self.window.next_ticket());
                self.fail(arrival, error);
                State::Closed
            }
            Poll::Ready(None) => State::Closed,
            Poll::Pending => {
                if !task_has_budget() {
                    self.budget.pass_over_source();
                }
                State::Pending
            }
        };
    }

    /// A source that said Pending and has woken us is polled on, slots or not, failure or not.
    #[cold]
    fn poll_on<St, M>(&mut self, source: Pin<&mut St>)
    where
        M: Read<St, T, E>,
    {
        self.note_wake_of_source();
        if self.state == State::Woken {
            let mut cx = Context::from_waker(self.run.source_waker());
            let answer = M::poll_item(source, &mut cx);
            self.answer(answer);
        }
    }

    /// The item in hand, if it may be admitted.
    #[cold]
    fn take_from_hand(&mut self) -> Option<T> {
        if !self.may_take_from_hand() || !self.budget.spend_on(Spender::Source) {
            return None;
        }
        self.state = State::Open;
        self.hand.take()
    }

    fn may_take_from_hand(&self) -> bool {
        self.state == State::InHand && self.failure.is_none() && self.may_admit()
    }

    fn note_wake_of_source(&mut self) {
        if self.state == State::Pending && self.run.source_woke() {
            self.state = State::Woken;
        }
    }

    /// Admits an item, and starts it if it may.
    #[inline(always)]
    fn take_in(&mut self, item: T, emit: bool) -> Option<W::Emitted> {
        let ticket = self.window.next_ticket();
        let offset = self.offsets.read(&item);
        let partition = self.partitions.read(&item);
        let arrived = self.order.arrive(&item);
        if By::COUNTS_STEPS {
            self.budget.charge_source(self.order.steps_of_arrival());
        }
        let claim = match arrived {
            Arrival::Starts(claim) if By::READS_AHEAD && !self.has_free_slot() => {
                self.order.wait_for_slot(claim, ticket, item);
                self.admit_waiting(ticket, offset, partition);
                return None;
            }
            Arrival::Starts(claim) => claim,
            Arrival::Waits(behind) => {
                self.wait_behind(behind, ticket, item);
                self.admit_waiting(ticket, offset, partition);
                return None;
            }
        };
        let arrival = self.window.arrival(ticket);
        let (place, polled) = self.run.start_anew(ticket, arrival, By::alone(item));
        match polled {
            Polled::Ready(output) => {
                self.order.pass(claim);
                match output {
                    Ok(result) if emit => return self.window.pass(offset, partition, result),
                    output => self.keep(ticket, offset, partition, output),
                }
            }
            Polled::Pending | Polled::NeedsSlot => {
                self.order.hold(place, claim);
                self.window.admit(offset, partition);
                if self.tally.is_timed() {
                    self.time_admission(arrival, Some(place));
                }
            }
        }
        None
    }

    /// Admits an item that is finished already, and keeps its result, or fails.
    #[inline(never)] // else it would be in the way of an item that comes out
    fn keep(&mut self, ticket: u64, offset: O, partition: L, output: Result<R, E>) {
        let arrival = self.window.arrival(ticket);
        self.window.admit(offset, partition);
        match output {
            Ok(result) => self.window.keep(ticket, result),
            Err(error) => {
                self.window.fail(ticket);
                self.fail(arrival, error);
            }
        }
    }

    /// An item waits for an earlier one, where that runs if it is to run there.
    #[inline(always)]
    fn wait_behind(&mut self, behind: usize, ticket: u64, item: T) {
        // Taken out of an `Option`: without it, the way of an item that does not wait gets longer, too.
        let mut item = Some(item);
        if By::WAITS_BEHIND_PLACES && X::FOLLOWS {
            if let Some(item) = item.take() {
                let arrival = self.window.arrival(ticket);
                self.run.follow(behind, ticket, arrival, By::alone(item));
            }
        }
        if let Some(item) = item {
            self.order.wait(behind, ticket, item);
        }
    }

    /// Admits an item that waits.
    #[inline(always)]
    fn admit_waiting(&mut self, ticket: u64, offset: O, partition: L) {
        self.window.admit(offset, partition);
        // Only now, since a partition's `Hash` or `Eq` may panic.
        if self.tally.is_timed() {
            self.time_admission(self.window.arrival(ticket), None);
        }
    }

    /// Polls the handlers that were woken, until a result comes out; or until there is room for an item of the source, where that
    /// has a turn.
    fn poll_woken(&mut self, emit: bool, source_has_turn: bool) -> Option<W::Emitted> {
        self.budget.begin(Spender::Woken);
        while self.budget.has_step(Spender::Woken) {
            let Some(place) = self.run.next_woken() else {
                break;
            };
            let Some((ticket, polled)) = self.run.poll(place) else {
                continue;
            };
            self.budget.take_step(Spender::Woken);
            let mut emitted = self.settle(place, ticket, polled, emit);
            if self.has_ready() {
                let out = self.serve(emit && emitted.is_none());
                emitted = emitted.or(out);
            }
            if emitted.is_some() {
                self.budget.begin(Spender::Ready);
                return emitted;
            }
            if X::ELSEWHERE && source_has_turn && self.lets_source_in() {
                break;
            }
        }
        self.budget.begin(Spender::Ready);
        None
    }

    /// Whether an item of the source may start before the others that were woken are looked at. Where handlers run elsewhere, it
    /// is under way then while they are.
    fn lets_source_in(&mut self) -> bool {
        self.has_free_slot() && self.may_pull() && !self.run.may_return()
    }

    /// Polls the handlers that were woken while they wait without a slot: who is done waiting goes before what is younger.
    #[cold]
    fn poll_returning(&mut self, emit: bool) -> Option<W::Emitted> {
        let spender = self.budget.begin(Spender::Returning);
        let mut emitted = None;
        while self.budget.has_step(Spender::Returning) {
            let Some(place) = self.run.next_returning() else {
                break;
            };
            // If nobody else may want a slot, it gets one before it is looked at.
            let polled = if self.run.waits_without_slot(place)
                && self.has_free_slot()
                && !self.has_ready()
                && !self.run.may_return()
            {
                let arrival = self.window.arrival(self.run.ticket(place));
                self.note_holder(arrival, place);
                Some(self.run.grant(place))
            } else {
                self.run.poll(place)
            };
            let Some((ticket, polled)) = polled else {
                continue;
            };
            self.budget.take_step(Spender::Returning);
            let out = self.settle(place, ticket, polled, emit && emitted.is_none());
            emitted = emitted.or(out);
        }
        self.budget.begin(spender);
        emitted
    }

    /// Gives free slots to what is ready, the oldest first. Does not stop at a result: what may run is to run.
    fn serve(&mut self, emit: bool) -> Option<W::Emitted> {
        let mut emitted = None;
        loop {
            if self.run.may_return() {
                let out = self.poll_returning(emit && emitted.is_none());
                emitted = emitted.or(out);
                if self.run.may_return() && !self.budget.is_source_out_of_turn() {
                    break;
                }
            }
            if !self.order.catch_up(self.budget.ordering()) {
                break;
            }
            if !self.has_free_slot() && !self.free_slot_past_failure() {
                break;
            }
            let going_on = self.ready.peek().map(|&Reverse(ready)| ready);
            let waiting = self.oldest_startable();
            let emit = emit && emitted.is_none();
            let out = match (going_on, waiting) {
                (None, None) => break,
                _ if !self.budget.spend() => break,
                (Some(ready), waiting)
                    if waiting.is_none_or(|(_, arrival)| ready.arrival < arrival) =>
                {
                    let Ready { arrival, place } = ready;
                    self.ready.pop();
                    if !self.may_start(arrival) {
                        continue;
                    }
                    self.note_holder(arrival, place);
                    if self.run.is_running(place) {
                        let running = self.run.running();
                        let (ticket, polled) = self.run.grant(place);
                        if self.tally.is_timed() && self.run.running() > running {
                            self.time_start(place);
                        }
                        self.settle(place, ticket, polled, emit)
                    } else {
                        self.succeed(place, emit)
                    }
                }
                (_, Some((ticket, arrival))) => {
                    let place = self.run.take_place();
                    self.note_holder(arrival, place);
                    if self.tally.is_timed() {
                        self.time_start(place);
                    }
                    let input = self.start_ready(place, ticket);
                    let polled = self.run.start(place, ticket, arrival, input);
                    self.settle(place, ticket, polled, emit)
                }
                (Some(_), None) => unreachable!("nothing is older than the only one"),
            };
            emitted = emitted.or(out);
        }
        emitted
    }

    /// Takes the oldest item that waits for nothing but a slot; in a batch, also what waits behind it and may start.
    fn start_ready(&mut self, place: usize, ticket: u64) -> By::Input {
        let (window, failure) = (&self.window, &self.failure);
        self.order.start_ready(place, |next| {
            window.are_of_one_partition(ticket, next)
                && Failure::lets_start(failure, window.arrival(next))
        })
    }

    /// A handler was polled.
    #[inline(always)] // or what comes out is copied on its way
    fn settle(
        &mut self,
        place: usize,
        ticket: u64,
        polled: Polled<Result<R, E>>,
        emit: bool,
    ) -> Option<W::Emitted> {
        match polled {
            Polled::Ready(output) => {
                if self.tally.is_timed() {
                    self.time_finish(place);
                }
                let emitted = self.finish(place, ticket, output, emit);
                if self.is_last(place) {
                    self.vacate(place);
                    return emitted;
                }
                let out = self.go_on(place, emit && emitted.is_none());
                emitted.or(out)
            }
            Polled::Pending => None,
            Polled::NeedsSlot => {
                let arrival = self.window.arrival(ticket);
                self.ready.push(Reverse(Ready { arrival, place }));
                None
            }
        }
    }

    /// A handler has finished that was not the last in its place.
    #[inline(never)] // else it would be in the way of the last
    fn go_on(&mut self, place: usize, emit: bool) -> Option<W::Emitted> {
        if self.goes_on(place) {
            return self.succeed(place, emit);
        }
        None
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
            // What follows there holds the slot now, and may be past a failure.
            if let Some(ticket) = self.run.holder(place) {
                self.note_holder(self.window.arrival(ticket), place);
            }
            return false;
        }
        let Some(ticket) = self.order.successor(place) else {
            return false;
        };
        let arrival = self.window.arrival(ticket);
        let now = self.ready.is_empty()
            && self.has_free_slot()
            && self.may_start(arrival)
            && !self.run.may_return()
            && self.budget.spend();
        if now {
            self.note_holder(arrival, place);
        } else {
            self.ready.push(Reverse(Ready { arrival, place }));
        }
        now
    }

    /// Starts what waits behind a handler that has finished, and so on while one is ready at once.
    fn succeed(&mut self, place: usize, emit: bool) -> Option<W::Emitted> {
        let mut emitted = None;
        while let Some(ticket) = self.order.successor(place) {
            if self.tally.is_timed() {
                self.time_start(place);
            }
            let item = self.order.succeed(place);
            let arrival = self.window.arrival(ticket);
            let Polled::Ready(output) = self.run.start(place, ticket, arrival, item) else {
                break;
            };
            if self.tally.is_timed() {
                self.time_finish(place);
            }
            let out = self.finish(place, ticket, output, emit && emitted.is_none());
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
    fn finish(
        &mut self,
        place: usize,
        first: u64,
        output: Result<R, E>,
        emit: bool,
    ) -> Option<W::Emitted> {
        match output {
            Ok(result) => {
                let last = self.finish_all_but_last(place, first);
                if emit {
                    return self.window.finish(last, result);
                }
                self.window.keep(last, result);
            }
            Err(error) => self.finish_in_vain(place, first, error),
        }
        None
    }

    /// A handler has failed.
    #[cold]
    #[inline(never)]
    fn finish_in_vain(&mut self, place: usize, first: u64, error: E) {
        let arrival = self.window.arrival(first);
        self.window.fail(first);
        if By::GATHERS {
            let joined = self.order.joined(place);
            joined.for_each(|ticket| self.window.fail(ticket));
        }
        self.fail(arrival, error);
    }

    /// A batch is finished; its result is that of its last item.
    #[inline(always)] // nothing where there are no batches
    fn finish_all_but_last(&mut self, place: usize, first: u64) -> u64 {
        let mut last = first;
        if By::GATHERS {
            for ticket in self.order.joined(place) {
                self.window.finish_with_others(last);
                last = ticket;
            }
        }
        last
    }

    /// An item has failed, or the source in its place. Only the first in source order counts.
    fn fail(&mut self, arrival: u64, error: E) {
        self.tally.fail();
        if self.state == State::Open {
            self.state = State::Closed;
        }
        if self.may_start(arrival) {
            let holders = self.failure.take().and_then(|later| later.holders);
            self.failure = Some(Failure {
                arrival,
                error,
                holders,
            });
        }
    }

    /// Nothing at or past a failed item starts.
    fn may_start(&self, arrival: u64) -> bool {
        Failure::lets_start(&self.failure, arrival)
    }

    /// Whether the source may be read. What is ready has been served before, so no slot is free if any is left, or the budget
    /// is used up.
    fn may_pull(&self) -> bool {
        self.state == State::Open && self.may_admit()
    }

    /// Whether one more item may be admitted.
    fn may_admit(&self) -> bool {
        (By::READS_AHEAD || self.has_free_slot()) && self.window.has_room(self.limits.look_ahead)
    }

    /// Whether anything needs but a slot to go on or start, or may do so.
    fn has_ready(&self) -> bool {
        !self.ready.is_empty() || self.order.has_ready() || self.order.is_behind()
    }

    /// Whether anything could go on or start at once, or it is not known yet.
    fn has_startable(&self) -> bool {
        let going_on = self.ready.peek();
        self.has_free_slot()
            && (going_on.is_some_and(|Reverse(ready)| self.may_start(ready.arrival))
                || self.oldest_startable().is_some()
                || self.order.is_behind())
    }

    /// The ticket and arrival number of the oldest item that waits for nothing but a slot.
    fn oldest_startable(&self) -> Option<(u64, u64)> {
        let ticket = self.order.oldest_ready()?;
        let arrival = self.window.arrival(ticket);
        self.may_start(arrival).then_some((ticket, arrival))
    }

    /// A handler past a failure is not waited for: where one before it needs a slot, it goes.
    fn free_slot_past_failure(&mut self) -> bool {
        let Some(failure) = &self.failure else {
            return false;
        };
        let is_before = |arrival| arrival < failure.arrival;
        let going_on = self.ready.peek();
        let is_needed = going_on.is_some_and(|Reverse(ready)| is_before(ready.arrival))
            || self.oldest_startable().is_some();
        is_needed && self.drop_past_failure()
    }

    /// Drops who has a slot past the failure, the youngest first, until a slot is free. Each is told once.
    #[cold]
    fn drop_past_failure(&mut self) -> bool {
        let Some(failure) = &mut self.failure else {
            return false;
        };
        let (run, window) = (&self.run, &self.window);
        let holders = failure.holders.get_or_insert_with(|| {
            let holder = |(place, ticket)| Ready {
                arrival: window.arrival(ticket),
                place,
            };
            run.holders().map(holder).collect()
        });
        while holders
            .peek()
            .is_some_and(|holder| holder.arrival >= failure.arrival)
        {
            let Some(Ready { arrival, place }) = holders.pop() else {
                break;
            };
            // Who has finished, or waits without a slot, is left alone, and so is who came after it.
            let ticket = self.run.holder(place);
            let is_there = ticket.is_some_and(|ticket| self.window.arrival(ticket) == arrival);
            if is_there {
                self.order.part(place);
                if self.run.drop_one(place) {
                    return true;
                }
            }
        }
        false
    }

    /// A slot is given away after a failure; an earlier one may follow.
    fn note_holder(&mut self, arrival: u64, place: usize) {
        if let Some(holders) = self
            .failure
            .as_mut()
            .and_then(|failure| failure.holders.as_mut())
        {
            holders.push(Ready { arrival, place });
        }
    }

    fn has_free_slot(&self) -> bool {
        self.run.held() < self.limits.max_parallel
    }

    /// The one place where the stream is found to be at its end. Says whether it is.
    #[inline(never)] // else it would be in the way of a result
    fn end_if_done(&mut self) -> bool {
        let failed = self
            .failure
            .as_ref()
            .is_some_and(|failure| self.window.has_reached(failure.arrival));
        let is_done = failed || (self.state == State::Closed && self.window.admitted() == 0);
        if is_done {
            self.run.clear();
            self.order.clear();
            self.window.clear();
            self.hand = None;
            self.tally.end();
            // Last: a drop that panics is not an end.
            self.state = State::Ended;
        }
        is_done
    }

    /// Nothing comes out, so storage may be given back. Says whether all is done that could be, or else the budget is used up.
    #[inline(never)] // the same
    fn settle_down(&mut self) -> bool {
        self.run.shrink();
        self.window.shrink();
        self.order.shrink();
        shrink_heap(&mut self.ready);
        if let Some(watch) = self.tally.watch() {
            watch.shrink();
        }
        // Its wake may have been taken with those of others since it was polled.
        self.note_wake_of_source();
        let could_go_on = self.may_pull()
            || self.state == State::Woken
            || self.may_take_from_hand()
            || self.has_startable()
            // What is found ready may need the slot of one past the failure.
            || (self.failure.is_some() && self.order.is_behind());
        !could_go_on
    }

    /// Shows what the stream does, to whoever watches.
    #[cold]
    #[inline(never)]
    fn publish(&mut self) {
        if By::GATHERS {
            self.tally.come_with_others(self.window.with_others());
        }
        self.tally.publish(Snapshot {
            running: self.running(),
            without_slot: self.run.running().saturating_sub(self.run.held()),
            waiting: self.order.waiting() + self.run.waiting(),
            finished: self.window.finished(),
            groups: self.order.groups(),
            deepest_group: self.order.deepest().max(self.run.deepest()),
            ..Snapshot::default()
        });
    }

    /// An unfinished item was admitted, and may have started in a place.
    #[cold]
    #[inline(never)]
    fn time_admission(&mut self, arrival: u64, place: Option<usize>) {
        if let Some(timing) = timing(&mut self.budget, &mut self.tally) {
            timing.admit(arrival);
        }
        if let Some(place) = place {
            self.time_start(place);
        }
    }

    #[cold]
    #[inline(never)]
    fn time_start(&mut self, place: usize) {
        if let Some(timing) = timing(&mut self.budget, &mut self.tally) {
            timing.start(place);
        }
    }

    #[cold]
    #[inline(never)]
    fn time_finish(&mut self, place: usize) {
        if let Some(timing) = timing(&mut self.budget, &mut self.tally) {
            let tickets = std::iter::once(self.run.ticket(place)).chain(self.order.joined(place));
            timing.finish(place, tickets.map(|ticket| self.window.arrival(ticket)));
        }
    }
}

/// What is timed, apart from what the times are of.
fn timing<'a>(budget: &mut Budget, tally: &'a mut Tally) -> Option<&'a mut Timing> {
    let is_first = budget.needs_clock();
    tally.watch()?.timing(is_first)
}

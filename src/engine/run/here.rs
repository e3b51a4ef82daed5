//! Handlers run in the task that polls the stream.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::task::Waker;

use super::{Polled, Round, Run, RunWith};
use crate::engine::item::verdict::Verdict;
use crate::engine::slots::{Slot, Slots};

/// A handler and its futures, which run in the task that polls the stream.
pub struct Here<H, Fut, V> {
    /// First, so that a drop silences all wakers before anything else is dropped.
    slots: Slots<Fut>,
    handler: H,
    _verdict: PhantomData<fn() -> V>,
}

/// The default: handlers run in the task that polls the stream.
#[derive(Debug)]
pub struct InTask;

impl<T, H, Fut, V> RunWith<T, H, Fut, V> for InTask
where
    H: FnMut(T) -> Fut,
    Fut: Future,
    V: Verdict<Fut::Output>,
{
    type Run = Here<H, Fut, V>;

    fn run(self, handler: H, _max_parallel: usize) -> Here<H, Fut, V> {
        Here {
            slots: Slots::new(),
            handler,
            _verdict: PhantomData,
        }
    }
}

impl<T, H, Fut, V> Run<T> for Here<H, Fut, V>
where
    H: FnMut(T) -> Fut,
    Fut: Future,
    V: Verdict<Fut::Output>,
{
    type Ok = V::Ok;
    type Error = V::Error;

    fn running(&self) -> usize {
        self.slots.running()
    }

    fn held(&self) -> usize {
        self.slots.held()
    }

    fn take_place(&mut self) -> usize {
        self.slots.take_place()
    }

    fn give_back(&mut self, place: usize) {
        self.slots.give_back(place);
    }

    #[inline(always)] // or the future is built elsewhere and copied into its place
    fn start_anew(
        &mut self,
        ticket: u64,
        _arrival: u64,
        item: T,
    ) -> (usize, Polled<Result<V::Ok, V::Error>>) {
        let (place, polled) = self.slots.start_anew(ticket, (self.handler)(item));
        (place, polled.map(V::judge))
    }

    #[inline(always)] // the same
    fn start(
        &mut self,
        place: usize,
        ticket: u64,
        _arrival: u64,
        item: T,
    ) -> Polled<Result<V::Ok, V::Error>> {
        self.slots
            .start(place, ticket, (self.handler)(item))
            .map(V::judge)
    }

    #[inline(always)]
    fn poll(&mut self, place: usize) -> Option<(u64, Polled<Result<V::Ok, V::Error>>)> {
        let (ticket, polled) = self.slots.poll(place)?;
        Some((ticket, polled.map(V::judge)))
    }

    fn grant(&mut self, place: usize) -> (u64, Polled<Result<V::Ok, V::Error>>) {
        let (ticket, polled) = self.slots.grant(place);
        (ticket, polled.map(V::judge))
    }

    fn ticket(&self, place: usize) -> u64 {
        self.slots.ticket(place)
    }

    fn is_running(&self, place: usize) -> bool {
        self.slots.slot(place) != Slot::Vacant
    }

    fn waits_without_slot(&self, place: usize) -> bool {
        self.slots.slot(place) == Slot::Unneeded
    }

    fn begin_round(&mut self) -> Round {
        self.slots.begin_round()
    }

    fn may_return(&mut self) -> bool {
        self.slots.may_return()
    }

    fn next_returning(&mut self) -> Option<usize> {
        self.slots.next_returning()
    }

    fn has_woken(&self) -> bool {
        self.slots.has_woken()
    }

    fn next_woken(&mut self) -> Option<usize> {
        self.slots.next_woken()
    }

    fn source_woke(&mut self) -> bool {
        self.slots.source_woke()
    }

    fn source_waker(&self) -> &Waker {
        self.slots.source_waker()
    }

    fn sleep(&mut self, task: &Waker) -> bool {
        self.slots.sleep(task)
    }

    fn holders(&self) -> impl Iterator<Item = (usize, u64)> {
        self.slots.holders()
    }

    fn holder(&self, place: usize) -> Option<u64> {
        let is_held = self.slots.slot(place) == Slot::Held;
        is_held.then(|| self.slots.ticket(place))
    }

    fn drop_one(&mut self, place: usize) -> bool {
        self.slots.drop_one(place);
        true
    }

    fn shrink(&mut self) {
        self.slots.shrink();
    }

    fn clear(&mut self) {
        self.slots.clear();
    }
}

impl<H, Fut, V> fmt::Debug for Here<H, Fut, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Here").finish_non_exhaustive()
    }
}

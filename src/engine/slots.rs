//! The running futures and their wakers. Knows nothing of groups.

mod ready_set;
mod told_apart;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};

pub use self::ready_set::Round;
pub(crate) use self::ready_set::{ReadySet, WakeHandle};
use self::told_apart::ToldApart;
use crate::engine::without_slot::{Handler, Waits, poll_handler};
use crate::known::{at, at_mut, known};
use crate::spare::is_far_too_large;

/// The end of the vacant places.
const NONE: usize = usize::MAX;

/// How many that were woken are told apart in one go.
const TOLD_APART_AT_ONCE: u32 = 4_096;

/// Places for running futures, and the slots that they hold. A place is made when it is first needed and used again and
/// again. A future keeps its place from its first poll to its last; its slot it may give up meanwhile.
pub(crate) struct Slots<Fut> {
    /// First, so that a drop silences the wakers before any future is dropped.
    ready: ReadySet,
    places: Vec<Place<Fut>>,
    /// The first of the places that are vacant, linked by `Place::next_vacant`.
    vacant: usize,
    /// How many futures hold a slot, and how many have none.
    held: usize,
    without: usize,
    /// Any future has no slot, or is still told apart.
    tells_apart: bool,
    told_apart: ToldApart,
    /// How many times the places are not looked at, to be given back.
    passed_over: usize,
}

struct Place<Fut> {
    future: Pin<Box<Option<Fut>>>,
    /// The ticket of the item that runs here.
    ticket: u64,
    next_vacant: usize,
    slot: Slot,
    /// It is among those that were told apart, and was not polled since.
    is_told_apart: bool,
    /// The round in which it was last polled and then had no slot.
    looked_at: u32,
    /// Made when the first future here waits without a slot.
    waits: Option<Arc<Waits>>,
    waker: WakeHandle,
}

/// How it stands between what runs in a place and a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Nothing runs here.
    Vacant,
    /// Held by the future here.
    Held,
    /// Given up, while the future waits.
    Unneeded,
    /// Needed again: nothing wakes the future until it is granted.
    Needed,
}

/// What a poll of a future came to.
#[derive(Debug)]
pub enum Polled<Output> {
    /// It is finished, and was dropped.
    Ready(Output),
    /// It is pending. Has it let go of its slot, or does it need one again, that is noted here.
    Pending,
    /// It is pending and needs a slot to go on: see [`Slots::grant`].
    NeedsSlot,
}

impl<Output> Polled<Output> {
    pub(crate) fn map<Mapped>(self, map: impl FnOnce(Output) -> Mapped) -> Polled<Mapped> {
        match self {
            Self::Ready(output) => Polled::Ready(map(output)),
            Self::Pending => Polled::Pending,
            Self::NeedsSlot => Polled::NeedsSlot,
        }
    }
}

impl<Fut> Slots<Fut> {
    pub(crate) fn new() -> Self {
        Self {
            ready: ReadySet::new(),
            places: Vec::new(),
            vacant: NONE,
            held: 0,
            without: 0,
            tells_apart: false,
            told_apart: ToldApart::new(),
            passed_over: 0,
        }
    }

    /// How many futures there are.
    pub(crate) fn running(&self) -> usize {
        self.held + self.without
    }

    /// How many of them hold a slot.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// The ticket of the item that runs, or ran last, in this place.
    pub(crate) fn ticket(&self, place: usize) -> u64 {
        at(&self.places, place).ticket
    }

    /// How it stands between what runs here and a slot. The place may have been given back.
    pub(crate) fn slot(&self, place: usize) -> Slot {
        self.places
            .get(place)
            .map_or(Slot::Vacant, |here| here.slot)
    }

    /// A vacant place. It is not taken yet.
    #[inline(always)] // as each future needs one
    fn vacant(&mut self) -> usize {
        if self.vacant < self.places.len() {
            self.vacant
        } else {
            self.grow()
        }
    }

    #[cold]
    fn grow(&mut self) -> usize {
        let place = self.places.len();
        self.places.push(Place {
            future: Box::pin(None),
            ticket: 0,
            next_vacant: NONE,
            slot: Slot::Vacant,
            is_told_apart: false,
            looked_at: 0,
            waits: None,
            waker: self.ready.add_slot(place),
        });
        self.vacant = place;
        place
    }

    /// Takes a vacant place.
    pub(crate) fn take_place(&mut self) -> usize {
        let place = self.vacant();
        self.vacant = at(&self.places, place).next_vacant;
        place
    }

    /// Gives a place back whose future has finished.
    pub(crate) fn give_back(&mut self, place: usize) {
        let next = std::mem::replace(&mut self.vacant, place);
        at_mut(&mut self.places, place).next_vacant = next;
    }

    /// A poll begins, and with it a round.
    pub(crate) fn begin_round(&mut self) -> Round {
        if self.tells_apart {
            return self.begin_round_apart();
        }
        self.ready.begin_round()
    }

    #[cold]
    fn begin_round_apart(&mut self) -> Round {
        if self.without == 0 {
            self.told_apart.forget_returning();
        }
        self.told_apart.begin_round();
        let mut left = TOLD_APART_AT_ONCE;
        self.tell_apart(true, &mut left);
        let round = self.ready.begin_round();
        self.tell_apart(true, &mut left);
        self.tells_apart = self.without > 0 || !self.told_apart.is_empty();
        match round {
            Round::Unexplained => Round::Unexplained,
            _ if self.has_woken() => Round::Woken,
            _ => Round::Empty,
        }
    }

    /// Takes what is left of what was woken, but no more than so many.
    fn tell_apart(&mut self, is_of_round: bool, left: &mut u32) {
        while *left > 0 {
            let Some(woken) = self.ready.next() else {
                return;
            };
            *left -= 1;
            let Some(place) = self.places.get_mut(woken) else {
                continue;
            };
            if place.is_told_apart {
                continue;
            }
            match place.slot {
                Slot::Held => self.told_apart.push_holder(woken, is_of_round),
                Slot::Unneeded => self.told_apart.push_returning(woken, place.looked_at),
                Slot::Vacant | Slot::Needed => continue,
            }
            place.is_told_apart = true;
        }
    }

    /// Whether a future that has no slot may be done waiting: it was woken, and not looked at since.
    pub(crate) fn may_return(&mut self) -> bool {
        self.tells_apart && self.look_for_returning()
    }

    #[cold]
    fn look_for_returning(&mut self) -> bool {
        if self.without == 0 {
            return false;
        }
        let mut left = TOLD_APART_AT_ONCE;
        self.tell_apart(true, &mut left);
        if !self.ready.has_next() {
            // What was woken during this poll. It may have been polled already, and then it is not of this round.
            let round = self.ready.begin_round();
            debug_assert_ne!(
                round,
                Round::Unexplained,
                "the task does not sleep while it is polled"
            );
            self.tell_apart(false, &mut left);
        }
        while let Some(place) = self.told_apart.returning() {
            let place = &self.places[place];
            if place.is_told_apart && place.slot == Slot::Unneeded {
                return true;
            }
            self.told_apart.pop_returning();
        }
        // What was not told apart yet may have no slot.
        self.ready.has_next()
    }

    /// The next that may be done waiting, if it is known already.
    pub(crate) fn next_returning(&mut self) -> Option<usize> {
        while let Some(place) = self.told_apart.pop_returning() {
            let here = &mut self.places[place];
            if std::mem::take(&mut here.is_told_apart) {
                // If it is found to be woken again before it is polled, it is not polled twice in this round.
                here.looked_at = self.told_apart.round();
                return Some(place);
            }
        }
        None
    }

    /// Whether anything woken is left of this round, besides what may be done waiting.
    pub(crate) fn has_woken(&self) -> bool {
        self.ready.has_next() || (self.tells_apart && self.told_apart.has_holder())
    }

    /// What else was woken for this round.
    pub(crate) fn next_woken(&mut self) -> Option<usize> {
        if self.tells_apart {
            return self.next_apart();
        }
        self.ready.next()
    }

    #[cold]
    fn next_apart(&mut self) -> Option<usize> {
        while let Some(woken) = self.told_apart.pop_holder() {
            let place = &mut self.places[woken];
            if std::mem::take(&mut place.is_told_apart) {
                return Some(woken);
            }
        }
        let woken = self.ready.next()?;
        if let Some(here) = self.places.get_mut(woken) {
            here.is_told_apart = false;
        }
        Some(woken)
    }

    /// Whether the source was woken since this was asked last.
    pub(crate) fn source_woke(&mut self) -> bool {
        self.ready.source_woke()
    }

    pub(crate) fn source_waker(&self) -> &Waker {
        self.ready.source_waker()
    }

    /// Says whether the task may sleep.
    #[must_use]
    pub(crate) fn sleep(&mut self, task: &Waker) -> bool {
        (!self.tells_apart || self.told_apart.is_empty()) && self.ready.sleep(task)
    }

    /// The places whose futures hold a slot, each with the ticket of its item.
    pub(crate) fn holders(&self) -> impl Iterator<Item = (usize, u64)> {
        let places = (0..).zip(&self.places);
        let held = places.filter(|(_, here)| here.slot == Slot::Held);
        held.map(|(place, here)| (place, here.ticket))
    }

    /// Drops the future in this place, which holds a slot. The place stays taken.
    pub(crate) fn drop_one(&mut self, place: usize) {
        let place = &mut self.places[place];
        self.held -= 1;
        place.slot = Slot::Vacant;
        place.is_told_apart = false;
        place.future.set(None);
    }

    /// Gives back the places while none is taken, if they are far too many. A place is kept if somebody still has its waker,
    /// and so are those before it.
    pub(crate) fn shrink(&mut self) {
        if self.running() > 0 || !is_far_too_large(self.places.len(), 0) {
            return;
        }
        if self.passed_over > 0 {
            self.passed_over -= 1;
            return;
        }
        // Each place may be looked at: if nothing comes of it, not again for as many times.
        self.passed_over = self.places.len();
        let last_kept = self.places.iter().rposition(|here| here.waker.is_held());
        let kept = last_kept.map_or(0, |place| place + 1);
        let are_vacant = || self.all_vacant().count() == self.places.len();
        if !is_far_too_large(self.places.len(), kept) || !are_vacant() {
            return;
        }
        // What was woken there in the past may still be found. It is passed over, like any wake of a vacant place.
        self.told_apart.clear();
        self.places.truncate(kept);
        self.places.shrink_to_fit();
        self.vacant = NONE;
        (0..kept).rev().for_each(|place| self.give_back(place));
        self.passed_over = 0;
    }

    fn all_vacant(&self) -> impl Iterator<Item = &Place<Fut>> {
        let first = self.places.get(self.vacant);
        std::iter::successors(first, |here| self.places.get(here.next_vacant))
    }

    /// Drops all futures.
    pub(crate) fn clear(&mut self) {
        for place in &mut self.places {
            place.slot = Slot::Vacant;
            place.is_told_apart = false;
            place.future.set(None);
        }
        self.held = 0;
        self.without = 0;
        self.tells_apart = false;
        self.told_apart.clear();
    }
}

impl<Fut: Future> Slots<Fut> {
    /// Puts a future into a vacant place, with a slot, and polls it for the first time. The place is taken if it is pending.
    #[inline(always)] // or the future is built elsewhere and copied into its place
    pub(crate) fn start_anew(&mut self, ticket: u64, future: Fut) -> (usize, Polled<Fut::Output>) {
        let place = self.vacant();
        (place, self.begin(place, ticket, future, true))
    }

    /// The same, in a place that is taken.
    #[inline(always)]
    pub(crate) fn start(&mut self, place: usize, ticket: u64, future: Fut) -> Polled<Fut::Output> {
        self.begin(place, ticket, future, false)
    }

    #[inline(always)]
    fn begin(
        &mut self,
        place: usize,
        ticket: u64,
        future: Fut,
        takes_place: bool,
    ) -> Polled<Fut::Output> {
        let here = at_mut(&mut self.places, place);
        here.ticket = ticket;
        here.future.set(Some(future));
        match here.poll(true) {
            Handler::Ready(output) => {
                self.ready.forget(&mut here.waker);
                return Polled::Ready(output);
            }
            Handler::WithSlot => {
                here.slot = Slot::Held;
                self.held += 1;
            }
            Handler::WithoutSlot => {
                here.slot = Slot::Unneeded;
                here.looked_at = self.told_apart.round();
                self.tells_apart = true;
                self.without += 1;
            }
        }
        if takes_place {
            self.vacant = here.next_vacant;
        }
        Polled::Pending
    }

    /// Polls the future in a place where one was woken, unless it is gone or needs a slot first. Says which item it is of.
    #[inline(always)] // or what comes out is copied on its way
    pub(crate) fn poll(&mut self, place: usize) -> Option<(u64, Polled<Fut::Output>)> {
        let here = self.places.get(place)?;
        let ticket = here.ticket;
        if here.slot == Slot::Held {
            return Some((ticket, self.poll_with_slot(place)));
        }
        let is_pending = here.slot == Slot::Unneeded;
        is_pending.then(|| (ticket, self.poll_without_slot(place)))
    }

    /// Polls the future here, which has a slot.
    #[inline(always)] // the same
    fn poll_with_slot(&mut self, place: usize) -> Polled<Fut::Output> {
        let here = at_mut(&mut self.places, place);
        // It may have been told apart again since it was taken from there.
        here.is_told_apart = false;
        match here.poll(true) {
            Handler::Ready(output) => {
                here.slot = Slot::Vacant;
                self.held -= 1;
                self.ready.forget(&mut here.waker);
                Polled::Ready(output)
            }
            Handler::WithSlot => Polled::Pending,
            Handler::WithoutSlot => {
                here.slot = Slot::Unneeded;
                here.looked_at = self.told_apart.round();
                self.tells_apart = true;
                self.held -= 1;
                self.without += 1;
                Polled::Pending
            }
        }
    }

    /// Polls the future here, which waits without a slot.
    #[cold]
    fn poll_without_slot(&mut self, place: usize) -> Polled<Fut::Output> {
        let here = at_mut(&mut self.places, place);
        here.is_told_apart = false;
        match here.poll(false) {
            Handler::Ready(output) => {
                here.slot = Slot::Vacant;
                self.without -= 1;
                self.ready.forget(&mut here.waker);
                Polled::Ready(output)
            }
            Handler::WithSlot => {
                here.slot = Slot::Needed;
                Polled::NeedsSlot
            }
            Handler::WithoutSlot => {
                here.looked_at = self.told_apart.round();
                Polled::Pending
            }
        }
    }

    /// Gives a slot to the future here, which needs one to go on, and polls it. Says which item it is of.
    #[cold]
    pub(crate) fn grant(&mut self, place: usize) -> (u64, Polled<Fut::Output>) {
        let here = &mut self.places[place];
        here.slot = Slot::Held;
        self.without -= 1;
        self.held += 1;
        // What woke it so far is answered by this poll.
        self.ready.answer(&here.waker);
        let ticket = here.ticket;
        (ticket, self.poll_with_slot(place))
    }
}

impl<Fut: Future> Place<Fut> {
    #[inline(always)] // or what comes out is copied twice on its way
    fn poll(&mut self, has_slot: bool) -> Handler<Fut::Output> {
        // Only a future that runs is polled.
        let future = known(self.future.as_mut().as_pin_mut());
        let mut cx = Context::from_waker(self.waker.as_waker());
        let polled = poll_handler(future, &mut cx, &mut self.waits, has_slot);
        if matches!(polled, Handler::Ready(_)) {
            self.future.set(None);
        }
        polled
    }
}

//! What one poll may spend, and who goes first in it: so that one poll is bounded, and nobody starves.
//!
//! Four parties take steps: the source; what is ready to start; the handlers that were woken and hold a slot; and those that
//! were woken while they wait without one, which may be done waiting. Each has an allowance of its own in
//! every poll. With the feature `tokio`, all of them draw on the task's budget as well, and any of them may use it up. So
//! the first step of each is free, and who finds the budget used up goes first in the next poll.

/// How many items are read or started in one poll, how many woken handlers are polled, and how many of those that wait
/// without a slot. No more than tokio's own budget for a task: of handlers that find it used up, fewer are polled in vain
/// than were polled with success.
const STEPS_PER_POLL: u16 = 128;

/// How many steps an order takes in one poll to find out what is ready.
const ORDERING_STEPS_PER_POLL: u16 = 16_384;

/// How many of those cost as much as one other step.
const ORDERING_STEPS_PER_STEP: u64 = (ORDERING_STEPS_PER_POLL / STEPS_PER_POLL) as u64;

/// In how many polls the source may be passed over before it goes first.
const MOST_PASSED_OVER: u8 = 2;

pub(crate) struct Budget {
    poll: Allowance,
    /// Who spends now, while what a handler leaves is seen to.
    spender: Spender,
    next: Next,
    passed_over: u8,
}

/// What is left of one poll.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Allowance {
    steps: [u16; 4],
    ordering: u16,
    /// The source goes before those that return.
    is_source_out_of_turn: bool,
    /// The clock was read.
    has_clock: bool,
}

impl Allowance {
    const WHOLE: Self = Self {
        steps: [STEPS_PER_POLL; 4],
        ordering: ORDERING_STEPS_PER_POLL,
        is_source_out_of_turn: false,
        has_clock: false,
    };
}

/// Who takes steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spender {
    /// The source.
    Source,
    /// What is ready to start or to go on.
    Ready,
    /// Handlers that were woken and hold a slot.
    Woken,
    /// Handlers that were woken while they wait without a slot.
    Returning,
}

/// Who goes first in the next poll.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Source,
    Woken,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self {
            poll: Allowance::WHOLE,
            spender: Spender::Ready,
            next: Next::Source,
            passed_over: 0,
        }
    }

    /// A poll begins.
    pub(crate) fn begin_poll(&mut self) {
        self.poll = Allowance::WHOLE;
    }

    /// Whether the source goes first in this poll, in which there are woken handlers.
    pub(crate) fn source_goes_first(&mut self) -> bool {
        if self.next == Next::Source {
            return true;
        }
        self.next = Next::Source;
        self.source_is_overdue()
    }

    /// Whether the source has been passed over so often that it goes before those that return, in this one poll.
    pub(crate) fn source_is_overdue(&mut self) -> bool {
        if self.passed_over >= MOST_PASSED_OVER {
            self.passed_over = 0;
            self.poll.is_source_out_of_turn = true;
        }
        self.poll.is_source_out_of_turn
    }

    /// Whether the source went, or goes, before those that return in this poll.
    pub(crate) fn is_source_out_of_turn(&self) -> bool {
        self.poll.is_source_out_of_turn
    }

    /// The source could have been read, but was not, or found the task's budget used up.
    #[cold]
    pub(crate) fn pass_over_source(&mut self) {
        if self.passed_over < MOST_PASSED_OVER {
            self.passed_over += 1;
        }
    }

    /// From here on this one spends; says who did before.
    pub(crate) fn begin(&mut self, spender: Spender) -> Spender {
        std::mem::replace(&mut self.spender, spender)
    }

    /// The woken handlers have come to no result after the source. If they found the task's budget used up, they go first in the
    /// next poll.
    #[cold]
    pub(crate) fn woken_went_in_vain(&mut self) {
        // Once a second was polled, there was a budget.
        let is_in_doubt = self.poll.steps[Spender::Woken as usize] >= STEPS_PER_POLL - 1;
        if is_in_doubt && !task_has_budget() {
            self.next = Next::Woken;
        }
    }

    /// Takes a step, if there is one left for whoever spends now.
    pub(crate) fn spend(&mut self) -> bool {
        self.spend_on(self.spender)
    }

    /// Takes a step, if there is one left for this one.
    #[inline(always)]
    pub(crate) fn spend_on(&mut self, spender: Spender) -> bool {
        let has_step = self.has_step(spender);
        if has_step {
            self.take_step(spender);
        }
        has_step
    }

    /// Whether there is a step left. The first is free, as somebody else may use up the task's budget in every poll.
    #[inline(always)]
    pub(crate) fn has_step(&self, spender: Spender) -> bool {
        let left = self.poll.steps[spender as usize];
        left > 0 && (left == STEPS_PER_POLL || task_has_budget())
    }

    /// Takes a step that is left.
    #[inline(always)]
    pub(crate) fn take_step(&mut self, spender: Spender) {
        self.poll.steps[spender as usize] -= 1;
    }

    /// What is left of the steps of an order in this poll.
    pub(crate) fn ordering(&mut self) -> &mut u16 {
        &mut self.poll.ordering
    }

    /// An item that arrived took so many steps of the order.
    pub(crate) fn charge_source(&mut self, ordering_steps: u64) {
        let steps = ordering_steps / ORDERING_STEPS_PER_STEP;
        let left = &mut self.poll.steps[Spender::Source as usize];
        *left = left.saturating_sub(u16::try_from(steps).unwrap_or(u16::MAX));
    }

    /// A result comes out that this one has come to, who goes last in the next poll.
    pub(crate) fn give(&mut self, by: Spender) {
        self.next = match by {
            Spender::Source => Next::Woken,
            Spender::Ready | Spender::Woken | Spender::Returning => Next::Source,
        };
    }

    /// Whether anything was done in this poll.
    pub(crate) fn is_touched(&self) -> bool {
        self.poll != Allowance::WHOLE
    }

    /// Whether the clock is to be read: the first time that this is asked in a poll.
    pub(crate) fn needs_clock(&mut self) -> bool {
        !std::mem::replace(&mut self.poll.has_clock, true)
    }
}

/// Whether tokio lets this task go on.
#[cfg(feature = "tokio")]
#[inline(never)] // what it takes to find the task stays out of the way
pub(crate) fn task_has_budget() -> bool {
    tokio::task::coop::has_budget_remaining()
}

/// There is no budget but our own.
#[cfg(not(feature = "tokio"))]
#[inline(always)]
pub(crate) fn task_has_budget() -> bool {
    true
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn each_has_an_allowance_of_its_own_in_every_poll() {
        let mut budget = Budget::new();
        for _ in 0..2 {
            budget.begin_poll();
            for spender in [Spender::Source, Spender::Woken, Spender::Returning] {
                let steps = (0..).take_while(|_| budget.spend_on(spender)).count();
                assert_eq!(steps, usize::from(STEPS_PER_POLL), "{spender:?}");
            }
        }
    }

    #[test]
    fn who_came_to_a_result_goes_last_in_the_next_poll() {
        let mut budget = Budget::new();
        budget.begin_poll();
        assert!(budget.source_goes_first());
        budget.give(Spender::Source);
        assert!(!budget.source_goes_first());
        budget.give(Spender::Woken);
        assert!(budget.source_goes_first());
    }

    #[test]
    fn a_source_that_was_passed_over_twice_goes_out_of_turn_for_one_poll() {
        let mut budget = Budget::new();
        for _ in 0..2 {
            budget.begin_poll();
            assert!(!budget.source_is_overdue());
            budget.pass_over_source();
        }
        budget.begin_poll();
        assert!(budget.source_is_overdue());
        assert!(budget.is_source_out_of_turn());
        budget.begin_poll();
        assert!(!budget.source_is_overdue());
        assert!(!budget.is_source_out_of_turn());
    }

    #[test]
    fn an_arrival_that_was_compared_with_many_takes_more_of_the_sources_steps() {
        let mut budget = Budget::new();
        budget.begin_poll();
        budget.charge_source(10 * ORDERING_STEPS_PER_STEP);
        let steps = (0..).take_while(|_| budget.spend_on(Spender::Source));
        assert_eq!(steps.count(), usize::from(STEPS_PER_POLL) - 10);
        budget.charge_source(u64::MAX);
        assert!(!budget.spend_on(Spender::Source));
    }
}

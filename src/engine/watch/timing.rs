//! How long items wait and run: one reading of the clock for all that happens in a poll.

use std::collections::VecDeque;
use std::time::Duration;

use super::Times;
use crate::spare::shrink_queue;

/// So many entries of which nothing is unfinished are always kept.
const FEW: usize = 64;

/// Times are in nanoseconds since the board's clock was set.
pub(crate) struct Timing {
    now: u64,
    /// The unfinished items by when they were admitted, the oldest first: all that were admitted at one time are one entry.
    admissions: VecDeque<Admission>,
    /// How many of the entries have an unfinished item. An old one may keep many others from coming out at the front.
    live: usize,
    /// When what runs in each place was started.
    started: Vec<u64>,
    /// Of the items that did not go through at once.
    admitted: u64,
    finished: u64,
    in_queue: Sum,
    in_handler: Sum,
}

struct Admission {
    /// The arrival number of the first.
    first: u64,
    at: u64,
    unfinished: usize,
}

#[derive(Default)]
struct Sum {
    /// Nanoseconds of many items pass what a `u64` holds within days.
    sum: Duration,
    max: u64,
}

impl Timing {
    pub(super) fn new() -> Self {
        Self {
            now: 0,
            admissions: VecDeque::new(),
            live: 0,
            started: Vec::new(),
            admitted: 0,
            finished: 0,
            in_queue: Sum::default(),
            in_handler: Sum::default(),
        }
    }

    /// A clock that was set back stands still.
    pub(super) fn set_now(&mut self, now: u64) {
        self.now = self.now.max(now);
    }

    /// An unfinished item is admitted.
    pub(crate) fn admit(&mut self, arrival: u64) {
        self.admitted += 1;
        let at = self.now;
        match self.admissions.back_mut() {
            Some(last) if last.at == at => {
                self.live += usize::from(last.unfinished == 0);
                last.unfinished += 1;
            }
            _ => {
                if self.admissions.len() > 2 * self.live + FEW {
                    self.admissions.retain(|all| all.unfinished > 0);
                }
                self.live += 1;
                self.admissions.push_back(Admission {
                    first: arrival,
                    at,
                    unfinished: 1,
                });
            }
        }
    }

    /// An item is started in a place.
    pub(crate) fn start(&mut self, place: usize) {
        if place >= self.started.len() {
            self.started.resize(place + 1, 0);
        }
        self.started[place] = self.now;
    }

    /// What was started together in a place is finished; another may go on there at once.
    pub(crate) fn finish(&mut self, place: usize, arrivals: impl Iterator<Item = u64>) {
        // One that follows another on its own has no start but this.
        let started = std::mem::replace(&mut self.started[place], self.now);
        for arrival in arrivals {
            self.finished += 1;
            let later = self.admissions.partition_point(|all| all.first <= arrival);
            let all = &mut self.admissions[later - 1];
            all.unfinished -= 1;
            self.live -= usize::from(all.unfinished == 0);
            self.in_queue.add(started.saturating_sub(all.at));
            self.in_handler.add(self.now - started);
        }
        while self
            .admissions
            .front()
            .is_some_and(|all| all.unfinished == 0)
        {
            self.admissions.pop_front();
        }
    }

    pub(super) fn end(&mut self) {
        self.admissions.clear();
        self.live = 0;
    }

    pub(super) fn shrink(&mut self) {
        shrink_queue(&mut self.admissions);
    }

    /// When the oldest unfinished item was admitted.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.admissions.front().map(|all| all.at)
    }

    pub(super) fn unfinished(&self) -> u64 {
        self.admitted - self.finished
    }

    /// In the queue and in the handler, of so many items in all.
    pub(super) fn times(&self, count: u64) -> (Times, Times) {
        (self.in_queue.times(count), self.in_handler.times(count))
    }
}

impl Sum {
    fn add(&mut self, nanos: u64) {
        self.sum = self.sum.saturating_add(Duration::from_nanos(nanos));
        self.max = self.max.max(nanos);
    }

    fn times(&self, count: u64) -> Times {
        Times {
            count,
            sum: self.sum,
            max: Duration::from_nanos(self.max),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_admitted_at_one_time_is_one_entry() {
        let mut timing = Timing::new();
        for arrival in 0..100 {
            timing.admit(arrival);
        }
        assert_eq!(timing.admissions.len(), 1);
    }

    #[test]
    fn an_old_item_does_not_keep_the_entries_of_all_that_came_after_it() {
        let mut timing = Timing::new();
        timing.admit(0);
        timing.start(0);
        for arrival in 1..10_000 {
            timing.set_now(arrival);
            timing.admit(arrival);
            timing.start(1);
            timing.set_now(arrival + 1);
            timing.finish(1, [arrival].into_iter());
        }
        assert!(timing.admissions.len() < 100);
        assert_eq!(timing.oldest(), Some(0));
        assert_eq!(timing.unfinished(), 1);
        timing.finish(0, [0].into_iter());
        assert_eq!(timing.admissions.len(), 0);
        let (in_queue, in_handler) = timing.times(10_000);
        assert_eq!(in_queue.sum, Duration::ZERO);
        assert_eq!(in_handler.sum, Duration::from_nanos(9_999 + 10_000));
    }

    #[test]
    fn a_clock_that_goes_back_stands_still() {
        let mut timing = Timing::new();
        timing.set_now(20);
        timing.admit(0);
        timing.start(0);
        timing.set_now(10);
        timing.finish(0, [0].into_iter());
        assert_eq!(timing.times(1).1.sum, Duration::ZERO);
    }
}

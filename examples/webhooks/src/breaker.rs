//! The circuit breaker of one endpoint.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

const FAILURES: u32 = 5;
const COOL_DOWN: Duration = Duration::from_millis(200);

/// Opens after so many failures in a row. When it has cooled down it lets one request through, for a trial: a success closes it,
/// and a failure opens it again.
///
/// Requests to an endpoint are made one at a time, since its deliveries are one group: there is never a second trial.
#[derive(Default)]
pub struct Breaker {
    failures_in_a_row: Cell<u32>,
    open_until: Cell<Option<Instant>>,
    opened: Cell<u64>,
}

impl Breaker {
    /// Waits while it is open.
    pub async fn closed_or_on_trial(&self) {
        if let Some(cooled_down) = self.open_until.get() {
            sleep_until(cooled_down).await;
        }
    }

    pub fn succeeded(&self) {
        self.failures_in_a_row.set(0);
        self.open_until.set(None);
    }

    pub fn failed(&self) {
        self.failures_in_a_row.set(self.failures_in_a_row.get() + 1);
        if self.failures_in_a_row.get() >= FAILURES {
            self.open_until.set(Some(Instant::now() + COOL_DOWN));
            self.opened.set(self.opened.get() + 1);
        }
    }

    pub fn opened(&self) -> u64 {
        self.opened.get()
    }
}

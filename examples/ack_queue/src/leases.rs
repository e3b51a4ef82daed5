//! Extends leases from receipt until a message is settled: while it waits, and while its handler runs.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::delivery::Delivery;
use crate::journal::{Event, Journal};
use crate::queue::LEASE;

/// One task for all of them, which ends when this is dropped.
pub struct Leases {
    deliveries: Arc<Deliveries>,
    keeper: JoinHandle<()>,
}

/// Weak, so that a message that is dropped in the window is not extended for ever.
type Deliveries = Mutex<Vec<Weak<Delivery>>>;

impl Leases {
    pub fn keep(journal: Arc<Journal>) -> Arc<Self> {
        let deliveries = Arc::<Deliveries>::default();
        let keeper = tokio::spawn(extend_again_and_again(Arc::clone(&deliveries), journal));
        Arc::new(Self { deliveries, keeper })
    }

    pub fn add(&self, delivery: &Arc<Delivery>) {
        if delivery.is_extended {
            lock(&self.deliveries).push(Arc::downgrade(delivery));
        }
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

async fn extend_again_and_again(deliveries: Arc<Deliveries>, journal: Arc<Journal>) {
    // Twice before it runs out, and a little.
    let mut ticks = interval(LEASE.mul_f64(0.4));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let mut extended = 0;
        for delivery in unsettled(&deliveries) {
            // It may have been settled since; then the server takes no notice.
            extended += u64::from(delivery.extend().await.is_ok());
        }
        // If it cannot be written, the handlers fail for the same reason.
        let _ = journal.write(Event::Extended(extended));
    }
}

fn unsettled(deliveries: &Deliveries) -> Vec<Arc<Delivery>> {
    let mut unsettled = Vec::new();
    lock(deliveries).retain(|delivery| match delivery.upgrade() {
        Some(delivery) if !delivery.is_settled() => {
            unsettled.push(delivery);
            true
        }
        _ => false,
    });
    unsettled
}

fn lock(deliveries: &Deliveries) -> std::sync::MutexGuard<'_, Vec<Weak<Delivery>>> {
    deliveries.lock().unwrap_or_else(PoisonError::into_inner)
}

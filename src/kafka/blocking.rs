//! Blocking: calls of librdkafka that wait for the broker.

use std::future::Future;
use std::thread;

use tokio::sync::oneshot;

/// Makes a call on a thread of its own. `None` if it panicked, or there can be no thread.
///
/// Not on one of tokio's: a runtime that ends waits for those, and some of these calls wait for as long as the broker is
/// away.
pub(super) fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = Option<T>> + Send {
    let (sender, receiver) = oneshot::channel();
    let thread = thread::Builder::new().name("kafka-call".into());
    let started = thread.spawn(move || {
        // Nobody may be waiting any more.
        let _ = sender.send(call());
    });
    async move {
        started.ok()?;
        receiver.await.ok()
    }
}

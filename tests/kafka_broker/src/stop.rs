//! Stop: the wish of whoever started a process that it ends.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Waits for SIGTERM. It is listened to from this call on, not only once the future is polled.
///
/// # Errors
///
/// If the system does not let signals be listened to.
pub fn terminated() -> io::Result<impl Future<Output = ()> + Send + Unpin + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(Box::pin(async move {
        terminate.recv().await;
    }))
}

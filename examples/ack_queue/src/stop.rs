//! Being asked to stop: the guards of the server, the consumer and the scratch folder still clean up.

use std::process::ExitCode;

/// The exit code of what a signal ended.
pub async fn asked_to_stop() -> ExitCode {
    tokio::select! {
        _ = tokio::signal::ctrl_c() => ExitCode::from(130),
        () = terminated() => ExitCode::from(143),
    }
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};

    match signal(SignalKind::terminate()) {
        Ok(mut signals) => {
            signals.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn terminated() {
    std::future::pending().await
}

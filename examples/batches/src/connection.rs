//! A connection on a thread of its own: SQLite blocks, and a task must not.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result};
use tokio::sync::oneshot;

type Call = Box<dyn FnOnce(&mut rusqlite::Connection) + Send>;

/// Makes one call after the other, in the order in which they were first polled.
pub struct Connection {
    /// `None` while it is closed.
    calls: Option<Sender<Call>>,
    thread: Option<JoinHandle<()>>,
}

impl Connection {
    pub fn new(connection: rusqlite::Connection) -> Self {
        let (calls, receiver) = channel();
        Self {
            calls: Some(calls),
            thread: Some(thread::spawn(move || serve(connection, receiver))),
        }
    }

    /// Dropping the future does not undo the call: one that has been sent is made.
    pub async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let call: Call = Box::new(move |connection| {
            // Whoever asked may have gone.
            let _ = answer.send(call(connection));
        });
        let calls = self.calls.as_ref().expect("only drop closes it");
        calls.send(call).ok().context(ENDED)?;
        Ok(answered.await.context(ENDED)??)
    }
}

const ENDED: &str = "the thread of the database has ended";

/// Makes what was sent, and closes the database.
impl Drop for Connection {
    fn drop(&mut self) {
        self.calls.take();
        if let Some(thread) = self.thread.take() {
            // If it panicked, its message has been printed, and every call has failed.
            let _ = thread.join();
        }
    }
}

fn serve(mut connection: rusqlite::Connection, calls: Receiver<Call>) {
    for call in calls {
        call(&mut connection);
    }
}

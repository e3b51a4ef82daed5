//! Whether a handler can fail.

use std::convert::Infallible;

use crate::engine::sealed::Sealed;

/// Decides whether a handler has failed.
pub trait Verdict<Output>: Sealed {
    /// What comes out.
    type Ok;
    /// What stops the stream.
    type Error;

    /// Judges what a handler returned.
    #[doc(hidden)]
    fn judge(output: Output) -> Result<Self::Ok, Self::Error>;
}

/// The handler cannot fail: whatever it returns is a result.
#[derive(Debug)]
pub enum Always {}

/// The handler returns a `Result`, and an `Err` is a failure.
#[derive(Debug)]
pub enum Tried {}

impl<R> Verdict<R> for Always {
    type Ok = R;
    type Error = Infallible;

    fn judge(output: R) -> Result<R, Infallible> {
        Ok(output)
    }
}

impl<R, E> Verdict<Result<R, E>> for Tried {
    type Ok = R;
    type Error = E;

    fn judge(output: Result<R, E>) -> Result<R, E> {
        output
    }
}

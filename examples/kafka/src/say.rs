//! Lines on the standard error.

use std::io::Write as _;

/// Ignores errors: the work continues even if nobody is listening.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

//! Prints every account as a line of CSV.

use std::io::{self, Write as _};

use anyhow::Result;

use crate::store::Store;

pub fn dump(store: &Store) -> Result<()> {
    let mut lines = io::BufWriter::new(io::stdout().lock());
    writeln!(lines, "account,cents,declined,last_row")?;
    for (id, account) in store.accounts()?.iter().enumerate() {
        writeln!(
            lines,
            "{id},{},{},{}",
            account.cents, account.declined, account.last_row
        )?;
    }
    Ok(lines.flush()?)
}

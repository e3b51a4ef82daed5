//! Prints every customer as a line of CSV.

use std::io::{self, Write as _};

use anyhow::Result;

use crate::store::Store;

pub fn dump(store: &Store) -> Result<()> {
    let mut lines = io::BufWriter::new(io::stdout().lock());
    writeln!(lines, "customer,purchases,items,cents,first,last,last_row")?;
    store.for_each_customer(|id, customer| {
        writeln!(
            lines,
            "{id},{},{},{},{},{},{}",
            customer.purchases,
            customer.items,
            customer.cents,
            customer.first,
            customer.last,
            customer.last_row
        )?;
        Ok(())
    })?;
    Ok(lines.flush()?)
}

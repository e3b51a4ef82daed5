//! The database: the total of each customer, the last row of each account, and the position in the file.
//!
//! A batch is one transaction: one statement adds its purchases, and another sets the last row of its account. An account's
//! batches come one at a time and in order, so all its rows up to that one are in the totals, and none past it. A batch that
//! is posted again after a crash leaves out the rows that are in.
//!
//! The last row of one account says nothing of the others, whose earlier rows may still wait. So a batch never sets the
//! position. It is set apart from the batches, to an offset that the stream has emitted, and only says where to read on: if a
//! crash comes before it is set, more rows are read again, and left out.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use rusqlite::{ErrorCode, OptionalExtension as _, Transaction, TransactionBehavior, params};

use crate::connection::Connection;
use crate::purchases::{Fingerprint, Purchase, Total};
use crate::refused::Refused;

/// How many rows a statement can have: SQLite allows 32,766 parameters.
pub const MAX_ROWS: i64 = 32_766 / 4;

/// Statements of up to this many lengths stay prepared.
const PREPARED: usize = 256;

pub struct Ledger {
    connection: Connection,
    /// Where the position was when it was opened.
    pub position: u64,
}

/// What came of a batch.
#[derive(Clone, Copy, Default)]
pub struct Posted {
    pub rows: u64,
    /// Rows that a run before had posted.
    pub again: u64,
}

impl Ledger {
    /// Opens the database of a file of purchases, or begins it.
    pub fn open(file: &Path, purchases: Fingerprint, fresh: bool) -> Result<Self> {
        let refuse = |why: String| {
            Refused(format!(
                "cannot use {} as the database: {why}; name another with --database FILE",
                file.display()
            ))
        };
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).map_err(|error| refuse(error.to_string()))?;
        }
        let opened = rusqlite::Connection::open(file).and_then(|mut connection| {
            let state = begin(&mut connection, purchases, fresh)?;
            Ok((connection, state))
        });
        match opened {
            Ok((connection, State::Job(found, position))) if found == purchases => Ok(Self {
                connection: Connection::new(connection),
                position,
            }),
            Ok((_, State::Job(..))) => Err(Refused(format!(
                "{} belongs to another file of purchases; \
                 name another with --database FILE, or start over with --fresh",
                file.display()
            ))
            .into()),
            Ok((_, State::Foreign)) => Err(refuse("another program made it".to_owned()).into()),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                Err(refuse("it is in use by another process".to_owned()).into())
            }
            Err(error) => Err(refuse(error.to_string()).into()),
        }
    }

    /// Adds purchases of one account to the totals, unless they are in: in one transaction that is durable when this returns.
    pub async fn post(&self, batch: Vec<Purchase>) -> Result<Posted> {
        self.connection
            .call(move |connection| {
                let transaction =
                    connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                let posted = post(&transaction, batch)?;
                transaction.commit()?;
                Ok(posted)
            })
            .await
    }

    /// Makes it durable that every row up to a position has been posted.
    pub async fn set_position(&self, position: u64) -> Result<()> {
        self.connection
            .call(move |connection| {
                connection
                    .prepare_cached("UPDATE job SET position = ?")?
                    .execute([position as i64])
                    .map(drop)
            })
            .await
    }

    pub async fn totals(&self) -> Result<HashMap<u32, Total>> {
        self.connection.call(|connection| totals(connection)).await
    }
}

fn post(transaction: &Transaction<'_>, mut batch: Vec<Purchase>) -> rusqlite::Result<Posted> {
    let account = batch[0].account();
    let last_row = transaction
        .prepare_cached("SELECT last_row FROM accounts WHERE account = ?")?
        .query_row([account], |row| row.get(0))
        .optional()?
        .unwrap_or(0_i64);

    let handed = batch.len();
    batch.retain(|purchase| purchase.row as i64 > last_row);
    let posted = Posted {
        rows: batch.len() as u64,
        again: (handed - batch.len()) as u64,
    };
    let Some(last) = batch.last() else {
        return Ok(posted);
    };

    let mut insert = transaction.prepare_cached(&insert(batch.len()))?;
    for (purchase, parameter) in batch.iter().zip((1..).step_by(4)) {
        insert.raw_bind_parameter(parameter, purchase.customer)?;
        insert.raw_bind_parameter(parameter + 1, purchase.items)?;
        insert.raw_bind_parameter(parameter + 2, purchase.cents as i64)?;
        insert.raw_bind_parameter(parameter + 3, purchase.row as i64)?;
    }
    insert.raw_execute()?;
    transaction
        .prepare_cached(
            "INSERT INTO accounts (account, last_row) VALUES (?, ?)
             ON CONFLICT DO UPDATE SET last_row = excluded.last_row",
        )?
        .execute(params![account, last.row as i64])?;
    Ok(posted)
}

/// SQLite takes the rows one after the other, so a customer can be in several. PostgreSQL would refuse that.
fn insert(rows: usize) -> String {
    format!(
        "INSERT INTO customers (customer, purchases, items, cents, last_row) VALUES {}
         ON CONFLICT DO UPDATE SET
             purchases = purchases + 1,
             items = items + excluded.items,
             cents = cents + excluded.cents,
             last_row = excluded.last_row",
        vec!["(?, 1, ?, ?, ?)"; rows].join(", ")
    )
}

fn totals(connection: &rusqlite::Connection) -> rusqlite::Result<HashMap<u32, Total>> {
    let mut select =
        connection.prepare("SELECT customer, purchases, items, cents, last_row FROM customers")?;
    let rows = select.query_map([], |row| {
        let number = |column| row.get::<_, i64>(column).map(|number| number as u64);
        let total = Total {
            purchases: number(1)?,
            items: number(2)?,
            cents: number(3)?,
            last_row: number(4)?,
        };
        Ok((row.get(0)?, total))
    })?;
    rows.collect()
}

enum State {
    /// What it adds up, and the position.
    Job(Fingerprint, u64),
    /// Something else.
    Foreign,
}

/// Takes the database for this process alone, and creates the tables if there are none.
fn begin(
    connection: &mut rusqlite::Connection,
    purchases: Fingerprint,
    fresh: bool,
) -> rusqlite::Result<State> {
    connection.busy_timeout(Duration::ZERO)?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let tables = transaction.query_row(
        "SELECT count(*), count(*) FILTER (WHERE name IN ('customers', 'accounts', 'job')) FROM sqlite_schema",
        [],
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)),
    )?;
    match tables {
        (0, _) => create(&transaction, purchases)?,
        (3, 3) if fresh => {
            transaction
                .execute_batch("DROP TABLE customers; DROP TABLE accounts; DROP TABLE job")?;
            create(&transaction, purchases)?;
        }
        (3, 3) => {}
        _ => return Ok(State::Foreign),
    }
    let state = transaction.query_row("SELECT bytes, hash, position FROM job", [], |row| {
        let fingerprint = Fingerprint {
            bytes: row.get(0)?,
            hash: row.get(1)?,
        };
        Ok(State::Job(fingerprint, row.get::<_, i64>(2)? as u64))
    })?;
    transaction.commit()?;
    // Each commit waits until the disk has it.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(state)
}

fn create(transaction: &Transaction<'_>, purchases: Fingerprint) -> rusqlite::Result<()> {
    transaction.execute_batch(
        "CREATE TABLE customers (
             customer INTEGER PRIMARY KEY,
             purchases INTEGER NOT NULL,
             items INTEGER NOT NULL,
             cents INTEGER NOT NULL,
             last_row INTEGER NOT NULL
         );
         CREATE TABLE accounts (account INTEGER PRIMARY KEY, last_row INTEGER NOT NULL);
         CREATE TABLE job (bytes INTEGER NOT NULL, hash INTEGER NOT NULL, position INTEGER NOT NULL)",
    )?;
    transaction
        .execute(
            "INSERT INTO job (bytes, hash, position) VALUES (?, ?, 0)",
            [purchases.bytes, purchases.hash],
        )
        .map(drop)
}

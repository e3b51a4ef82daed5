//! The store: the accounts and the position of the job, in one transactional file.
//!
//! A commit writes all accounts that have changed, including those changed by rows past its checkpoint that finished early.
//! After a crash those rows are handled again, so each account holds the number of the last row that is in it.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use redb::backends::InMemoryBackend;
use redb::{Database, ReadableDatabase, ReadableTable as _, TableDefinition};

use crate::account::Account;
use crate::checkpoint::Checkpoint;
use crate::log::{ACCOUNTS, Log};
use crate::refused::Refused;
use crate::state_file;

const TOUCHED: TableDefinition<'_, u32, (u64, u64, u64)> = TableDefinition::new("accounts");
const JOB: TableDefinition<'_, &str, u64> = TableDefinition::new("job");

pub struct Store {
    database: Arc<Database>,
    checkpoint: Cell<Checkpoint>,
}

impl Store {
    /// Opens the state of a log, or begins it.
    pub fn open(folder: &Path, log: Log, fresh: bool) -> Result<Self> {
        // Opening a database to write changes it, and a state that is refused is left as it is.
        let may_go_on = |checkpoint| may_go_on(folder, log, checkpoint);
        if !fresh {
            state_file::peek(folder, read_checkpoint)?.map_or(Ok(()), may_go_on)?;
        }
        let database = state_file::open_or_create(folder, |database| begin(database, log))?;
        if fresh {
            begin(&database, log)?;
        }
        may_go_on(read_checkpoint(&database)?)?;
        Self::new(database)
    }

    /// Opens a state to look at it.
    pub fn open_existing(folder: &Path) -> Result<Self> {
        Self::new(state_file::open_existing(folder)?)
    }

    /// A store that is gone with the process.
    pub fn in_memory(log: Log) -> Result<Self> {
        let database = Database::builder().create_with_backend(InMemoryBackend::new())?;
        begin(&database, log)?;
        Self::new(database)
    }

    fn new(database: Database) -> Result<Self> {
        let checkpoint = read_checkpoint(&database)?;
        Ok(Self {
            database: Arc::new(database),
            checkpoint: Cell::new(checkpoint),
        })
    }

    /// The last commit.
    pub fn checkpoint(&self) -> Checkpoint {
        self.checkpoint.get()
    }

    /// Every account at the last commit.
    pub fn accounts(&self) -> Result<Vec<Account>> {
        let mut accounts = vec![Account::NEW; ACCOUNTS as usize];
        let transaction = self.database.begin_read()?;
        for entry in transaction.open_table(TOUCHED)?.iter()? {
            let (id, account) = entry?;
            let (cents, declined, last_row) = account.value();
            accounts[id.value() as usize] = Account {
                cents,
                declined,
                last_row,
            };
        }
        Ok(accounts)
    }

    /// Makes accounts durable, together with the position in the log, on a thread that may block.
    ///
    /// One commit at a time.
    pub async fn commit(
        &self,
        checkpoint: Checkpoint,
        accounts: Vec<(u32, Account)>,
    ) -> Result<()> {
        let database = Arc::clone(&self.database);
        let commit = move || write(&database, checkpoint, &accounts);
        tokio::task::spawn_blocking(commit).await??;
        self.checkpoint.set(checkpoint);
        Ok(())
    }
}

fn write(database: &Database, checkpoint: Checkpoint, accounts: &[(u32, Account)]) -> Result<()> {
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(TOUCHED)?;
        for (id, account) in accounts {
            table.insert(id, (account.cents, account.declined, account.last_row))?;
        }
    }
    checkpoint.save(&mut transaction.open_table(JOB)?)?;
    Ok(transaction.commit()?)
}

/// Forgets whatever there is, and sets the position before the first row of a log.
fn begin(database: &Database, log: Log) -> Result<()> {
    let transaction = database.begin_write()?;
    transaction.delete_table(TOUCHED)?;
    transaction.delete_table(JOB)?;
    transaction.open_table(TOUCHED)?;
    let checkpoint = Checkpoint {
        log,
        ..Checkpoint::default()
    };
    checkpoint.save(&mut transaction.open_table(JOB)?)?;
    Ok(transaction.commit()?)
}

fn read_checkpoint(database: &impl ReadableDatabase) -> Result<Checkpoint> {
    let transaction = database.begin_read()?;
    Ok(Checkpoint::load(&transaction.open_table(JOB)?)?)
}

fn may_go_on(folder: &Path, log: Log, checkpoint: Checkpoint) -> Result<()> {
    if checkpoint.log == log {
        return Ok(());
    }
    let Log { seed, transfers } = checkpoint.log;
    Err(Refused(format!(
        "{} belongs to --transfers {transfers} --seed {seed}; \
         name another folder with --state FOLDER, or start over with --fresh",
        folder.display()
    ))
    .into())
}

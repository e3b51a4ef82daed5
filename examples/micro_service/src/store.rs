//! The store: the customers and the position of the job, in one transactional file.
//!
//! It is redb: pure Rust, one file, one durable transaction for all tables, and snapshots, so that handlers can read while a
//! commit waits for the disk. LMDB and SQLite offer the same and need a C compiler. A log-structured store writes more per
//! second, which one batch at a time does not need, and pays for it with background threads and slower reads.
//!
//! The next handler sees a write at once, and the next commit makes it durable. A commit writes everything there is,
//! including rows past its checkpoint that finished early. After a crash those rows are handled again, so each customer
//! holds the number of the last row that is in it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use jiff::civil::Date;
use redb::backends::InMemoryBackend;
use redb::{Database, ReadableDatabase, ReadableTable as _, TableDefinition};

use crate::checkpoint::Checkpoint;
use crate::customer::Customer;
use crate::dead_letters::{DeadLetter, DeadLetters, to_lines};
use crate::input::Fingerprint;
use crate::refused::Refused;
use crate::state_file;

const CUSTOMERS: TableDefinition<'_, u32, StoredCustomer> = TableDefinition::new("customers");
const JOB: TableDefinition<'_, &str, u64> = TableDefinition::new("job");

type StoredDate = (i16, i8, i8);
type StoredCustomer = (u64, u64, u64, StoredDate, StoredDate, u64);
type Customers = HashMap<u32, Customer>;

pub struct Store {
    disk: Arc<Disk>,
    /// Written since the last commit began.
    unsaved: RefCell<Customers>,
    /// Part of the commit that goes on.
    saving: RefCell<Arc<Customers>>,
    order_violations: Cell<u64>,
    checkpoint: Cell<Checkpoint>,
}

struct Disk {
    database: Database,
    dead_letters: Option<DeadLetters>,
}

impl Store {
    /// Opens the state of an input, or begins it.
    pub fn open(folder: &Path, input: Fingerprint, fresh: bool) -> Result<Self> {
        // Opening a database to write changes it, and a state that is refused is left as it is.
        let may_go_on = |checkpoint| may_go_on(folder, input, checkpoint);
        if !fresh {
            state_file::peek(folder, read_checkpoint)?.map_or(Ok(()), may_go_on)?;
        }
        let database = state_file::open_or_create(folder, |database| begin(database, input))?;
        if fresh {
            begin(&database, input)?;
        }
        let checkpoint = read_checkpoint(&database)?;
        may_go_on(checkpoint)?;
        let dead_letters =
            DeadLetters::open(&dead_letters_file(folder), checkpoint.dead_letter_bytes)?;
        Self::new(database, Some(dead_letters))
    }

    /// Opens a state to look at it.
    pub fn open_existing(folder: &Path) -> Result<Self> {
        let database = state_file::open_existing(folder)?;
        Self::new(database, None)
    }

    /// A store that is gone with the process.
    pub fn in_memory() -> Result<Self> {
        let database = Database::builder().create_with_backend(InMemoryBackend::new())?;
        begin(&database, Fingerprint::default())?;
        Self::new(database, None)
    }

    fn new(database: Database, dead_letters: Option<DeadLetters>) -> Result<Self> {
        let checkpoint = read_checkpoint(&database)?;
        Ok(Self {
            disk: Arc::new(Disk {
                database,
                dead_letters,
            }),
            unsaved: RefCell::default(),
            saving: RefCell::default(),
            order_violations: Cell::new(checkpoint.order_violations),
            checkpoint: Cell::new(checkpoint),
        })
    }

    /// The last commit.
    pub fn checkpoint(&self) -> Checkpoint {
        self.checkpoint.get()
    }

    pub fn customer(&self, id: u32) -> Result<Option<Customer>> {
        let written = self.unsaved.borrow().get(&id).copied();
        let written = written.or_else(|| self.saving.borrow().get(&id).copied());
        match written {
            Some(customer) => Ok(Some(customer)),
            None => self.disk.customer(id),
        }
    }

    pub fn put(&self, id: u32, customer: Customer) {
        self.unsaved.borrow_mut().insert(id, customer);
    }

    /// Becomes durable together with what is written.
    pub fn count_order_violation(&self) {
        self.order_violations.set(self.order_violations.get() + 1);
    }

    /// Makes all that is written durable, together with the position in the input, on a thread that may block.
    ///
    /// One commit at a time.
    pub async fn commit(
        &self,
        mut checkpoint: Checkpoint,
        dead_letters: Vec<DeadLetter>,
    ) -> Result<()> {
        let customers = Arc::new(self.unsaved.take());
        self.saving.replace(Arc::clone(&customers));
        checkpoint.order_violations = self.order_violations.get();
        checkpoint.dead_letter_bytes = self.checkpoint.get().dead_letter_bytes;

        let disk = Arc::clone(&self.disk);
        let commit = move || disk.commit(&customers, checkpoint, &dead_letters);
        self.checkpoint
            .set(tokio::task::spawn_blocking(commit).await??);

        self.saving.take();
        Ok(())
    }

    /// Where the dead letters are, if they are kept.
    pub fn dead_letters_file(&self) -> Option<PathBuf> {
        let dead_letters = self.disk.dead_letters.as_ref()?;
        Some(dead_letters.path().to_owned())
    }

    /// Every customer at the last commit, by id.
    pub fn for_each_customer(&self, mut f: impl FnMut(u32, Customer) -> Result<()>) -> Result<()> {
        let transaction = self.disk.database.begin_read()?;
        for entry in transaction.open_table(CUSTOMERS)?.iter()? {
            let (id, customer) = entry?;
            f(id.value(), from_stored(customer.value()))?;
        }
        Ok(())
    }
}

impl Disk {
    fn customer(&self, id: u32) -> Result<Option<Customer>> {
        let customers = self.database.begin_read()?.open_table(CUSTOMERS)?;
        Ok(customers.get(id)?.map(|stored| from_stored(stored.value())))
    }

    fn commit(
        &self,
        customers: &Customers,
        mut checkpoint: Checkpoint,
        dead_letters: &[DeadLetter],
    ) -> Result<Checkpoint> {
        if let Some(file) = &self.dead_letters
            && !dead_letters.is_empty()
        {
            let lines = to_lines(dead_letters, checkpoint.dead_letter_bytes == 0)?;
            file.append(&lines)?;
            checkpoint.dead_letter_bytes += lines.len() as u64;
        }
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(CUSTOMERS)?;
            for (id, customer) in customers {
                table.insert(id, to_stored(customer))?;
            }
        }
        checkpoint.save(&mut transaction.open_table(JOB)?)?;
        transaction.commit()?;
        Ok(checkpoint)
    }
}

fn dead_letters_file(folder: &Path) -> PathBuf {
    folder.join("dead-letters.csv")
}

fn may_go_on(folder: &Path, input: Fingerprint, checkpoint: Checkpoint) -> Result<()> {
    if checkpoint.input != input {
        return Err(Refused(format!(
            "{} belongs to another input; \
             name another folder with --state FOLDER, or start over with --fresh",
            folder.display()
        ))
        .into());
    }
    DeadLetters::check(&dead_letters_file(folder), checkpoint.dead_letter_bytes)
}

/// Forgets whatever there is, and sets the position before the first row of an input.
fn begin(database: &Database, input: Fingerprint) -> Result<()> {
    let transaction = database.begin_write()?;
    transaction.delete_table(CUSTOMERS)?;
    transaction.delete_table(JOB)?;
    transaction.open_table(CUSTOMERS)?;
    let checkpoint = Checkpoint {
        input,
        ..Checkpoint::default()
    };
    checkpoint.save(&mut transaction.open_table(JOB)?)?;
    Ok(transaction.commit()?)
}

fn read_checkpoint(database: &impl ReadableDatabase) -> Result<Checkpoint> {
    let transaction = database.begin_read()?;
    Ok(Checkpoint::load(&transaction.open_table(JOB)?)?)
}

fn to_stored(customer: &Customer) -> StoredCustomer {
    let stored_date = |date: Date| (date.year(), date.month(), date.day());
    (
        customer.purchases,
        customer.items,
        customer.cents,
        stored_date(customer.first),
        stored_date(customer.last),
        customer.last_row,
    )
}

fn from_stored((purchases, items, cents, first, last, last_row): StoredCustomer) -> Customer {
    let date = |(year, month, day)| Date::constant(year, month, day);
    Customer {
        purchases,
        items,
        cents,
        first: date(first),
        last: date(last),
        last_row,
    }
}

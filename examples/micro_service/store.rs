//! The store: customers, and how far the job is, in one transactional file.
//!
//! It is redb: pure Rust, one file, durable transactions, and snapshots, so that handlers read while a commit waits for
//! the disk. LMDB and SQLite would do as well, and need a C compiler; log-structured stores are made for more writes
//! than one batch at a time.
//!
//! What is written is seen by the next handler at once, and is durable with the next commit. A commit writes all there
//! is, also for rows past its checkpoint that finished early. After a crash those are handled again, so a customer
//! holds the last row that is in it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use jiff::civil::Date;
use redb::backends::InMemoryBackend;
use redb::{
    Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, StorageError,
    TableDefinition,
};
use tempfile::NamedTempFile;

use crate::checkpoint::Checkpoint;
use crate::customer::Customer;
use crate::dead_letters::{DeadLetter, DeadLetters, to_lines};
use crate::input::Fingerprint;
use crate::refused::Refused;

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
        let database = match open_database(folder)? {
            Some(database) => database,
            None => create_database(folder, input)?,
        };
        if fresh {
            begin(&database, input)?;
        }
        let checkpoint = read_checkpoint(&database)?;
        if checkpoint.input != input {
            return Err(Refused(format!(
                "{} belongs to another input; \
                 name another folder with --state FOLDER, or start over with --fresh",
                folder.display()
            ))
            .into());
        }
        let dead_letters = DeadLetters::open(
            &folder.join("dead-letters.csv"),
            checkpoint.dead_letter_bytes,
        )?;
        Self::new(database, Some(dead_letters))
    }

    /// Opens a state to look at it.
    pub fn open_existing(folder: &Path) -> Result<Self> {
        let database = open_database(folder)?.ok_or_else(|| {
            Refused(format!(
                "{} holds no state; name its folder with --state FOLDER",
                folder.display()
            ))
        })?;
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

    /// Every customer at the last commit, by id.
    pub fn for_each_customer(&self, mut f: impl FnMut(u32, Customer) -> Result<()>) -> Result<()> {
        let transaction = self.disk.database.begin_read()?;
        for entry in transaction.open_table(CUSTOMERS)?.iter()? {
            let (id, customer) = entry?;
            f(id.value(), from_stored(customer.value()))?;
        }
        Ok(())
    }

    pub fn dump(&self, file: &Path) -> Result<()> {
        let refuse = |error| {
            Refused(format!(
                "cannot write {}: {error}; name a file that can be written",
                file.display()
            ))
        };
        let mut lines = csv::Writer::from_path(file).map_err(refuse)?;
        lines.write_record([
            "customer",
            "purchases",
            "items",
            "cents",
            "first",
            "last",
            "last_row",
        ])?;
        self.for_each_customer(|id, customer| {
            let numbers = [customer.purchases, customer.items, customer.cents];
            let dates = [customer.first, customer.last];
            let fields = [u64::from(id)].into_iter().chain(numbers);
            let fields = fields.map(|number| number.to_string());
            let fields = fields.chain(dates.map(|date| date.to_string()));
            Ok(lines.write_record(fields.chain([customer.last_row.to_string()]))?)
        })?;
        Ok(lines.flush()?)
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
        if let Some(file) = &self.dead_letters {
            if !dead_letters.is_empty() {
                let lines = to_lines(dead_letters, checkpoint.dead_letter_bytes == 0)?;
                file.append(&lines)?;
                checkpoint.dead_letter_bytes += lines.len() as u64;
            }
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

fn database_file(folder: &Path) -> PathBuf {
    folder.join("store.redb")
}

fn open_database(folder: &Path) -> Result<Option<Database>> {
    match Database::open(database_file(folder)) {
        Ok(database) => Ok(Some(database)),
        Err(DatabaseError::Storage(StorageError::Io(error)))
            if error.kind() == io::ErrorKind::NotFound =>
        {
            Ok(None)
        }
        Err(DatabaseError::DatabaseAlreadyOpen) => Err(in_use(folder)),
        Err(error) => Err(Refused(format!(
            "cannot open the state in {}: {error}; \
             put it right, or name another folder with --state FOLDER",
            folder.display()
        ))
        .into()),
    }
}

/// A new database gets its name only once it is whole, so that a kill leaves none that cannot be opened.
fn create_database(folder: &Path, input: Fingerprint) -> Result<Database> {
    let refuse = |error: io::Error| {
        Refused(format!(
            "cannot make a state folder of {}: {error}; name another with --state FOLDER",
            folder.display()
        ))
    };
    fs::create_dir_all(folder).map_err(refuse)?;
    let file = NamedTempFile::new_in(folder)
        .map_err(refuse)?
        .into_temp_path();
    let database = Database::create(&file)?;
    begin(&database, input)?;
    match file.persist_noclobber(database_file(folder)) {
        Ok(_) => Ok(database),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Err(in_use(folder)),
        Err(error) => Err(error.error).context("cannot name the new store"),
    }
}

fn in_use(folder: &Path) -> anyhow::Error {
    Refused(format!(
        "{} is in use by another process; wait for it, or name another folder with --state FOLDER",
        folder.display()
    ))
    .into()
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

fn read_checkpoint(database: &Database) -> Result<Checkpoint> {
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

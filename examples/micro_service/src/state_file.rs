//! Opens the file of a state, creates it, or refuses to.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use redb::{Database, DatabaseError, ReadOnlyDatabase, StorageError};
use tempfile::NamedTempFile;

use crate::refused::Refused;

/// What opening a state for a look finds, unless there is none or it must first be repaired after a kill.
pub fn peek<T>(
    folder: &Path,
    look: impl FnOnce(&ReadOnlyDatabase) -> Result<T>,
) -> Result<Option<T>> {
    match ReadOnlyDatabase::open(file(folder)) {
        Ok(database) => Ok(Some(look(&database)?)),
        Err(DatabaseError::RepairAborted) => Ok(None),
        Err(error) => none_if_absent(folder, error),
    }
}

/// Opens a state, or creates one with the given beginning.
pub fn open_or_create(
    folder: &Path,
    begin: impl FnOnce(&Database) -> Result<()>,
) -> Result<Database> {
    match open(folder)? {
        Some(database) => Ok(database),
        None => create(folder, begin),
    }
}

/// Opens a state that must exist.
pub fn open_existing(folder: &Path) -> Result<Database> {
    let database = open(folder)?.ok_or_else(|| {
        Refused(format!(
            "{} holds no state; name its folder with --state FOLDER",
            folder.display()
        ))
    })?;
    Ok(database)
}

fn open(folder: &Path) -> Result<Option<Database>> {
    match Database::open(file(folder)) {
        Ok(database) => Ok(Some(database)),
        Err(error) => none_if_absent(folder, error),
    }
}

fn none_if_absent<T>(folder: &Path, error: DatabaseError) -> Result<Option<T>> {
    match error {
        DatabaseError::Storage(StorageError::Io(error))
            if error.kind() == io::ErrorKind::NotFound =>
        {
            Ok(None)
        }
        DatabaseError::DatabaseAlreadyOpen => Err(in_use(folder)),
        error => Err(Refused(format!(
            "cannot open the state in {}: {error}; \
             fix it, or name another folder with --state FOLDER",
            folder.display()
        ))
        .into()),
    }
}

/// A new database gets its name only once it is complete, so that a kill never leaves one that cannot be opened.
fn create(folder: &Path, begin: impl FnOnce(&Database) -> Result<()>) -> Result<Database> {
    let refuse = |error: io::Error| {
        Refused(format!(
            "cannot use {} as a state folder: {error}; name another with --state FOLDER",
            folder.display()
        ))
    };
    fs::create_dir_all(folder).map_err(refuse)?;
    let unnamed = NamedTempFile::new_in(folder)
        .map_err(refuse)?
        .into_temp_path();
    let database = Database::create(&unnamed)?;
    begin(&database)?;
    match unnamed.persist_noclobber(file(folder)) {
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

fn file(folder: &Path) -> PathBuf {
    folder.join("store.redb")
}

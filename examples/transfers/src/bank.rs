//! The bank: its accounts in memory, and what is done with them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use anyhow::Result;

use crate::account::Account;
use crate::log::{ACCOUNTS_PER_BRANCH, Entry, OPENING, Row, accounts};
use crate::store::Store;

/// What each branch has, at any time.
pub const BRANCH_SUM: u64 = ACCOUNTS_PER_BRANCH as u64 * OPENING;

pub struct Bank {
    accounts: Vec<Cell<Account>>,
    /// Written since the last commit began.
    unsaved: RefCell<BTreeSet<u32>>,
}

pub enum Outcome {
    /// Made or declined.
    Transfer,
    /// Dealt with before a crash that came before its commit.
    TransferBefore,
    Audit {
        sum: u64,
    },
}

impl Bank {
    pub fn load(store: &Store) -> Result<Self> {
        let accounts = store.accounts()?;
        Ok(Self {
            accounts: accounts.into_iter().map(Cell::new).collect(),
            unsaved: RefCell::default(),
        })
    }

    /// It is idempotent, since after a crash some rows past the last commit are handled again.
    pub async fn handle(&self, row: Row) -> Outcome {
        match row.entry {
            Entry::Transfer { from, to, cents } => self.transfer(row, from, to, cents).await,
            Entry::Audit { branch } => self.audit(row, branch).await,
        }
    }

    /// Reads, waits and writes: the bank is none the wiser if another transfer comes between.
    async fn transfer(&self, row: Row, from: u32, to: u32, cents: u64) -> Outcome {
        let (mut payer, mut payee) = (self.account(from), self.account(to));
        if payer.last_row >= row.number {
            return Outcome::TransferBefore;
        }
        tokio::time::sleep(row.remote_call).await;
        match payer.cents.checked_sub(cents) {
            Some(rest) => {
                payer.cents = rest;
                payee.cents += cents;
            }
            None => payer.declined += 1,
        }
        payer.last_row = row.number;
        payee.last_row = row.number;
        // Both at once, so that a commit has both or neither.
        self.put(from, payer);
        self.put(to, payee);
        Outcome::Transfer
    }

    /// Reads the accounts in two parts, and waits between them: the sum is wrong if a transfer comes between.
    async fn audit(&self, row: Row, branch: u32) -> Outcome {
        let accounts = accounts(branch);
        let middle = accounts.start + ACCOUNTS_PER_BRANCH / 2;
        let first = self.sum(accounts.start..middle);
        tokio::time::sleep(row.remote_call).await;
        let sum = first + self.sum(middle..accounts.end);
        Outcome::Audit { sum }
    }

    /// What is to become durable: all accounts that were written since the last call.
    pub fn take_unsaved(&self) -> Vec<(u32, Account)> {
        let unsaved = self.unsaved.take().into_iter();
        unsaved.map(|id| (id, self.account(id))).collect()
    }

    pub fn sum(&self, accounts: impl IntoIterator<Item = u32>) -> u64 {
        let accounts = accounts.into_iter();
        accounts.map(|id| self.account(id).cents).sum()
    }

    pub fn account(&self, id: u32) -> Account {
        self.accounts[id as usize].get()
    }

    fn put(&self, id: u32, account: Account) {
        self.accounts[id as usize].set(account);
        self.unsaved.borrow_mut().insert(id);
    }
}

//! The file of purchases.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use anyhow::Result;

use crate::refused::Refused;

const HEADER: &str = "date,customer,items,dollars";

pub struct Purchases {
    pub fingerprint: Fingerprint,
    rows: Vec<Purchase>,
}

/// Tells one file from another, wherever it lies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    pub bytes: i64,
    pub hash: i64,
}

#[derive(Clone, Copy)]
pub struct Purchase {
    /// The rows below the header count from 1, so a position of 0 is before the first.
    pub row: u64,
    pub customer: u32,
    pub items: u32,
    pub cents: u64,
}

/// What the purchases of a customer add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    pub purchases: u64,
    pub items: u64,
    pub cents: u64,
    pub last_row: u64,
}

impl Purchase {
    /// One of a hundred, by the last two digits of the customer's number.
    pub fn account(&self) -> u32 {
        self.customer % 100
    }
}

impl Purchases {
    pub fn read(file: &Path) -> Result<Self> {
        let refuse = |why: String| {
            Refused(format!(
                "cannot read {}: {why}; name the file of purchases with --data FILE",
                file.display()
            ))
        };
        let content = fs::read_to_string(file).map_err(|error| refuse(error.to_string()))?;
        let mut lines = content.lines();
        if lines.next() != Some(HEADER) {
            return Err(refuse(format!("it does not begin with the header `{HEADER}`")).into());
        }
        let rows = lines.zip(1..).map(|(line, row)| {
            purchase(line, row).map_err(|why| refuse(format!("line {}: {why}", row + 1)))
        });
        Ok(Self {
            rows: rows.collect::<Result<_, _>>()?,
            fingerprint: Fingerprint::of(&content),
        })
    }

    pub fn count(&self) -> u64 {
        self.rows.len() as u64
    }

    /// Every purchase past a position.
    pub fn after(&self, position: u64) -> impl Iterator<Item = Purchase> {
        self.rows[position as usize..].iter().copied()
    }

    /// The totals up to a position, by a serial loop.
    pub fn totals(&self, position: u64) -> HashMap<u32, Total> {
        let mut totals: HashMap<u32, Total> = HashMap::new();
        for purchase in &self.rows[..position as usize] {
            let total = totals.entry(purchase.customer).or_default();
            total.purchases += 1;
            total.items += u64::from(purchase.items);
            total.cents += purchase.cents;
            total.last_row = purchase.row;
        }
        totals
    }
}

impl Fingerprint {
    /// FNV-1a, since it must be the same with every build.
    fn of(content: &str) -> Self {
        let hash = content.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self {
            bytes: content.len() as i64,
            hash: hash as i64,
        }
    }
}

fn purchase(line: &str, row: u64) -> Result<Purchase, String> {
    let fields: Vec<_> = line.split(',').collect();
    let [_date, customer, items, dollars] = fields[..] else {
        return Err(format!("{} fields instead of 4", fields.len()));
    };
    Ok(Purchase {
        row,
        customer: field("customer", customer)?,
        items: field("items", items)?,
        cents: cents(dollars).ok_or_else(|| format!("dollars: not an amount: `{dollars}`"))?,
    })
}

fn field<T: FromStr>(name: &str, value: &str) -> Result<T, String>
where
    T::Err: ToString,
{
    let number = value.parse();
    number.map_err(|error: T::Err| format!("{name}: {}: `{value}`", error.to_string()))
}

/// An amount such as 11.77 in whole cents: binary fractions cannot hold most of them.
fn cents(dollars: &str) -> Option<u64> {
    let (whole, fraction) = dollars.split_once('.')?;
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if fraction.len() != 2 || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let whole: u32 = whole.parse().ok()?;
    let fraction: u32 = fraction.parse().ok()?;
    Some(u64::from(whole) * 100 + u64::from(fraction))
}

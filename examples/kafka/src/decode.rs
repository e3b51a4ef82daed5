//! Decode: turns bytes into a typed input, or says why it cannot.

use std::str::FromStr;

use jiff::civil::Date;

#[derive(Clone, Copy)]
pub struct Purchase {
    pub date: Date,
    pub customer: u32,
    pub items: u32,
    pub cents: u64,
}

pub fn decode(content: &[u8]) -> Result<Purchase, String> {
    let line = std::str::from_utf8(content).map_err(|error| format!("not UTF-8: {error}"))?;
    let fields: Vec<_> = line.split(',').collect();
    let [date, customer, items, dollars] = fields[..] else {
        return Err(format!("{} fields instead of 4", fields.len()));
    };
    Ok(Purchase {
        date: field("date", date)?,
        customer: field("customer", customer)?,
        items: field("items", items)?,
        cents: cents(dollars).ok_or_else(|| format!("dollars: not an amount: `{dollars}`"))?,
    })
}

fn field<T: FromStr>(name: &str, value: &str) -> Result<T, String>
where
    T::Err: ToString,
{
    value
        .parse()
        .map_err(|error: T::Err| format!("{name}: {}: `{value}`", error.to_string()))
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

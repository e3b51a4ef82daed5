//! Three ways to order messages. They differ only in the group of a message.

use clap::ValueEnum;

use crate::decode::Message;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// One message at a time: correct but slow
    Serial,
    /// Any messages at once: fast but wrong
    Parallel,
    /// One at a time per customer, any customers at once: correct and fast
    Hybrid,
}

/// Messages of one group run one at a time, in order.
#[derive(PartialEq, Eq, Hash)]
pub enum Group {
    All,
    Customer(u32),
    Row(u64),
}

impl Mode {
    pub fn group(self, message: &Message<'_>) -> Group {
        match (self, &message.purchase) {
            (Self::Serial, _) => Group::All,
            (Self::Hybrid, Ok(purchase)) => Group::Customer(purchase.customer),
            (Self::Hybrid, Err(_)) | (Self::Parallel, _) => Group::Row(message.row),
        }
    }

    pub fn describe(self) -> &'static str {
        match self {
            Self::Serial => "serial: one at a time",
            Self::Parallel => "parallel: any purchases at once",
            Self::Hybrid => "hybrid: one at a time per customer, many customers at once",
        }
    }
}

//! The customers that this process has seen, and whether their order was kept.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use crate::customer::Customer;

#[derive(Default)]
pub struct Customers {
    by_id: RefCell<HashMap<u32, Customer>>,
    order_violations: Cell<u64>,
}

impl Customers {
    pub fn get(&self, id: u32) -> Option<Customer> {
        self.by_id.borrow().get(&id).copied()
    }

    /// Interpret: applies what a handler has decided, and checks the order.
    pub fn put(&self, id: u32, customer: Customer) {
        let before = self.by_id.borrow_mut().insert(id, customer);
        if before.is_some_and(|before| customer.is_older_than(&before)) {
            self.order_violations.set(self.order_violations.get() + 1);
        }
    }

    pub fn order_violations(&self) -> u64 {
        self.order_violations.get()
    }

    pub fn for_each(&self, mut f: impl FnMut(u32, Customer)) {
        for (id, customer) in self.by_id.borrow().iter() {
            f(*id, *customer);
        }
    }
}

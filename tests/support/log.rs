//! What arrives, how it ends, and what waits for what: a model that looks at every pair of items.

#![allow(dead_code, reason = "each model uses its share")]

use std::ops::Deref;
use std::rc::Rc;

use ordered_by_group::Access;
use proptest::collection::vec;
use proptest::prelude::*;

use super::support::{End, Order};

/// What the items are ordered by.
#[derive(Clone, Debug)]
pub enum By {
    Group,
    Groups,
    Access,
    /// Which pairs of groups can run together, the earlier first; not always both ways.
    Relation(Vec<bool>),
}

const GROUPS: u32 = 6;

#[derive(Clone, Debug)]
pub enum Arrival {
    /// An item: how its handler ends, whether it does so as soon as it may, and whether it waits without a slot before.
    Item {
        group: u32,
        accesses: Vec<Access<u32>>,
        end: End,
        at_once: bool,
        waits: bool,
    },
    /// An error of the source.
    Error,
}

/// All that ever arrives. An item is its index here, and its own offset.
#[derive(Clone, Debug)]
pub struct Log {
    pub by: By,
    pub arrivals: Vec<Arrival>,
}

impl Deref for Log {
    type Target = [Arrival];

    fn deref(&self) -> &[Arrival] {
        &self.arrivals
    }
}

pub fn arrival() -> impl Strategy<Value = Arrival> {
    let end = prop_oneof![40 => Just(End::Ok), 1 => Just(End::Err), 1 => Just(End::Panic)];
    let accesses = vec(access(), 0..4);
    let item = (
        0..GROUPS,
        accesses,
        end,
        prop::bool::weighted(0.4),
        prop::bool::weighted(0.3),
    );
    prop_oneof![
        60 => item.prop_map(|(group, accesses, end, at_once, waits)| {
            Arrival::Item { group, accesses, end, at_once, waits }
        }),
        1 => Just(Arrival::Error),
    ]
}

fn access() -> impl Strategy<Value = Access<u32>> {
    (0..GROUPS, any::<bool>()).prop_map(|(key, is_shared)| match is_shared {
        true => Access::Shared(key),
        false => Access::Exclusive(key),
    })
}

pub fn relation() -> impl Strategy<Value = By> {
    let pairs = vec(any::<bool>(), (GROUPS * GROUPS) as usize);
    (pairs, any::<bool>()).prop_map(|(mut pairs, is_symmetric)| {
        if is_symmetric {
            for (a, b) in (0..GROUPS).flat_map(|a| (0..a).map(move |b| (a, b))) {
                pairs[(b * GROUPS + a) as usize] = pairs[(a * GROUPS + b) as usize];
            }
        }
        By::Relation(pairs)
    })
}

impl Log {
    /// What the source yields at this place of the log.
    pub fn feeds(&self, at: usize) -> Option<Result<u32, u32>> {
        let item = at as u32;
        Some(match self.arrivals.get(at)? {
            Arrival::Item { .. } => Ok(item),
            Arrival::Error => Err(item),
        })
    }

    /// A loop that handles one item after the other and stops at the first that does not go well.
    /// Which items went well, and what the next one came to, if there is one.
    pub fn serial(&self) -> (usize, Option<End>) {
        for (at, arrival) in self.iter().enumerate() {
            match arrival {
                Arrival::Item { end: End::Ok, .. } => {}
                Arrival::Item { end, .. } => return (at, Some(*end)),
                Arrival::Error => return (at, Some(End::Err)),
            }
        }
        (self.len(), None)
    }

    /// Whether an item waits for an earlier one, until that is finished.
    pub fn waits_for(&self, later: u32, earlier: u32) -> bool {
        assert!(earlier < later, "{earlier} is not before {later}");
        if let By::Relation(can_run_together) = &self.by {
            let pair = self.group(earlier) * GROUPS + self.group(later);
            return !can_run_together[pair as usize];
        }
        let of_later = self.accesses(later);
        self.accesses(earlier).iter().any(|earlier| {
            let mut of_later = of_later.iter();
            of_later.any(|later| match (*earlier, *later) {
                (Access::Shared(_), Access::Shared(_)) => false,
                (earlier, later) => key(earlier) == key(later),
            })
        })
    }

    pub fn group(&self, item: u32) -> u32 {
        match self[item as usize] {
            Arrival::Item { group, .. } => group,
            Arrival::Error => unreachable!("an error has no group"),
        }
    }

    pub fn accesses(&self, item: u32) -> Vec<Access<u32>> {
        let Arrival::Item {
            group, accesses, ..
        } = &self[item as usize]
        else {
            return vec![];
        };
        match self.by {
            By::Group => vec![Access::Exclusive(*group)],
            By::Groups => {
                let keys = accesses.iter().copied().map(key);
                keys.map(Access::Exclusive).collect()
            }
            By::Access => accesses.clone(),
            By::Relation(_) => vec![],
        }
    }

    pub fn is_error(&self, item: u32) -> bool {
        matches!(self[item as usize], Arrival::Error)
    }

    /// Whether the handler of an item waits without a slot before it ends.
    pub fn waits_without_slot(&self, item: u32) -> bool {
        matches!(self[item as usize], Arrival::Item { waits: true, .. })
    }

    /// How the handler of an item ends.
    pub fn end(&self, item: u32) -> Option<End> {
        match self[item as usize] {
            Arrival::Item { end, .. } => Some(end),
            Arrival::Error => None,
        }
    }

    /// How the operator is told to order the items; but by one key, there is none.
    pub fn order(self: &Rc<Self>) -> Option<Order> {
        let log = Rc::clone(self);
        match self.by {
            By::Group => None,
            By::Groups => Some(Order::Groups(Rc::new(move |item| {
                log.accesses(item).into_iter().map(key).collect()
            }))),
            By::Access => Some(Order::Access(Rc::new(move |item| log.accesses(item)))),
            By::Relation(_) => Some(Order::Unless(Rc::new(move |earlier, later| {
                !log.waits_for(later, earlier)
            }))),
        }
    }
}

pub fn key(access: Access<u32>) -> u32 {
    match access {
        Access::Shared(key) | Access::Exclusive(key) => key,
    }
}

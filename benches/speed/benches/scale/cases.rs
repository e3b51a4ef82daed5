//! What waits, and for what.

use ordered_by_group::prelude::*;
use ordered_by_group::without_slot;

use crate::feed::Item;
use crate::figures::Figures;
use crate::measure::{Bench, Part};
use crate::one_yield::OneYield;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    // Each key comes once, and all goes through 64 handlers that yield once.
    OneShot,
    OneShotUnordered,
    OneShotAhead,
    OneShotTwoKeys,
    OneShotPartitions,
    // All but one wait behind that one.
    Group,
    GroupAhead,
    GroupInBatches,
    GroupOfTwoKeys,
    // All but 64 groups wait for a slot.
    Groups,
    GroupsOfTwoKeys,
    // All handlers wait.
    Pending,
    PendingUnordered,
    PendingTwoKeys,
    WithoutSlot,
    // All have finished but the first.
    Stuck,
    StuckUnordered,
    StuckPartition,
    StuckPartitionUnordered,
}

impl Case {
    pub const ALL: [Self; 19] = [
        Self::OneShot,
        Self::OneShotUnordered,
        Self::OneShotAhead,
        Self::OneShotTwoKeys,
        Self::OneShotPartitions,
        Self::Group,
        Self::GroupAhead,
        Self::GroupInBatches,
        Self::GroupOfTwoKeys,
        Self::Groups,
        Self::GroupsOfTwoKeys,
        Self::Pending,
        Self::PendingUnordered,
        Self::PendingTwoKeys,
        Self::WithoutSlot,
        Self::Stuck,
        Self::StuckUnordered,
        Self::StuckPartition,
        Self::StuckPartitionUnordered,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::OneShot => "one-shot keys, source order",
            Self::OneShotUnordered => "one-shot keys, completion order",
            Self::OneShotAhead => "one-shot keys, `prefetch`",
            Self::OneShotTwoKeys => "one-shot keys, two an item",
            Self::OneShotPartitions => "one-shot keys and partitions",
            Self::Group => "one group waits",
            Self::GroupAhead => "one group waits, `prefetch`",
            Self::GroupInBatches => "one group waits, `batches(1_000)`",
            Self::GroupOfTwoKeys => "one of two keys is held",
            Self::Groups => "groups wait, `prefetch`",
            Self::GroupsOfTwoKeys => "groups wait, two keys, `prefetch`",
            Self::Pending => "handlers pending, source order",
            Self::PendingUnordered => "handlers pending, completion order",
            Self::PendingTwoKeys => "handlers pending, two keys",
            Self::WithoutSlot => "handlers pending without a slot",
            Self::Stuck => "stuck head, source order",
            Self::StuckUnordered => "stuck frontier, completion order",
            Self::StuckPartition => "stuck partition, source order",
            Self::StuckPartitionUnordered => "stuck partition, completion order",
        }
    }

    pub fn is_one_shot(self) -> bool {
        matches!(
            self,
            Self::OneShot
                | Self::OneShotUnordered
                | Self::OneShotAhead
                | Self::OneShotTwoKeys
                | Self::OneShotPartitions
        )
    }

    pub fn most_items(self) -> u64 {
        match self {
            _ if self.is_one_shot() => 10_000_000,
            Self::Pending | Self::PendingUnordered | Self::PendingTwoKeys | Self::WithoutSlot => {
                100_000
            }
            _ => 1_000_000,
        }
    }

    pub fn parts(self) -> &'static [Part] {
        if self.is_one_shot() {
            return &[Part::Through];
        }
        &[Part::Complete, Part::Drop, Part::Watched]
    }

    pub fn measure(self, items: u64, part: Part) -> Figures {
        let results = match self {
            // The first item is a batch of its own.
            Self::GroupInBatches => 1 + (items - 1).div_ceil(1_000),
            _ => items,
        };
        let bench = &Bench::new(items, results, part);
        // Room for one more, so that the source is asked for it.
        let all = items as usize + 1;
        let gate = &bench.gate;
        let source = || bench.feed.source();
        let two_keys = |item: &Item| [item.number, u64::MAX - item.number];
        let one_of_two = |item: &Item| [item.number, u64::MAX];
        let yields = |item: Item| async move {
            OneYield(false).await;
            item.number
        };
        let waits = |item: Item| async move {
            gate.pass().await;
            item.number
        };
        let all_wait = |batch: Vec<Item>| async move {
            gate.pass().await;
            batch.len()
        };
        let first_waits = |item: Item| async move {
            if item.number == 0 {
                gate.pass().await;
            }
            item.number
        };
        let waits_without_slot = |item: Item| async move {
            without_slot(gate.pass()).await;
            item.number
        };
        macro_rules! measure {
            ($ordered:expr, $verb:ident($handler:expr)) => {{
                let ordered = $ordered.look_ahead(all);
                let ordered = match bench.is_watched() {
                    true => ordered.monitor(&bench.monitor),
                    false => ordered,
                };
                bench.measure(ordered.$verb($handler))
            }};
        }
        let by_key = |max| source().ordered_by_group(|item| item.number, max);
        let of_one = || source().ordered_by_group(|_| (), 64);
        let one = |_: &Item| ();
        match self {
            Self::OneShot => bench.measure(by_key(64).then(yields)),
            Self::OneShotUnordered => bench.measure(by_key(64).then_unordered(yields)),
            Self::OneShotAhead => bench.measure(by_key(64).prefetch().then(yields)),
            Self::OneShotTwoKeys => {
                bench.measure(source().ordered_by_groups(two_keys, 64).then(yields))
            }
            Self::OneShotPartitions => {
                let ordered = by_key(64).partitions(|item: &Item| item.number);
                bench.measure(ordered.then_unordered(yields))
            }
            Self::Group => measure!(of_one(), then(waits)),
            Self::GroupAhead => measure!(of_one().prefetch(), then(waits)),
            Self::GroupInBatches => measure!(of_one().batches(1_000), then(all_wait)),
            Self::GroupOfTwoKeys => {
                measure!(source().ordered_by_groups(one_of_two, 64), then(waits))
            }
            Self::Groups => measure!(by_key(64).prefetch(), then(waits)),
            Self::GroupsOfTwoKeys => {
                let ordered = source().ordered_by_groups(two_keys, 64).prefetch();
                measure!(ordered, then(waits))
            }
            Self::Pending => measure!(by_key(all), then(waits)),
            Self::PendingUnordered => measure!(by_key(all), then_unordered(waits)),
            Self::PendingTwoKeys => {
                measure!(source().ordered_by_groups(two_keys, all), then(waits))
            }
            Self::WithoutSlot => measure!(by_key(64), then(waits_without_slot)),
            Self::Stuck => measure!(by_key(64), then(first_waits)),
            Self::StuckUnordered => measure!(by_key(64), then_unordered(first_waits)),
            Self::StuckPartition => measure!(by_key(64).partitions(one), then(first_waits)),
            Self::StuckPartitionUnordered => {
                measure!(by_key(64).partitions(one), then_unordered(first_waits))
            }
        }
    }
}

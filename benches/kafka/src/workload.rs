//! Workloads: which records there are, and what a handler does with one.

use std::time::Duration;

use crate::timer;

/// One row of the tables.
#[derive(Clone, Debug)]
pub struct Workload {
    pub name: String,
    /// The first word of the name, to choose it by.
    pub family: &'static str,
    pub records: Records,
    pub in_flight: usize,
    /// Of one partition: `Settings::in_flight`, if it is not the default.
    pub of_a_partition: Option<usize>,
    pub cost: Cost,
    /// Whether each record has an output, in another topic.
    pub writes: bool,
}

/// The records of a topic.
#[derive(Clone, Copy, Debug)]
pub struct Records {
    pub family: &'static str,
    pub count: u64,
    pub partitions: i32,
    pub keys: u64,
    /// At least so many bytes each.
    pub bytes: usize,
}

/// How long a handler waits.
#[derive(Clone, Copy, Debug)]
pub enum Cost {
    None,
    Exactly(Duration),
    /// Up to 5 ms: the same for the same record in each run.
    Random,
}

/// All rows; the small ones for `--test`.
pub fn workloads(is_test: bool) -> Vec<Workload> {
    let some = |full, small| if is_test { small } else { full };
    let mut all = Vec::new();
    for (name, keys) in [("10", 10), ("20", 20), ("1,000", 1_000)] {
        let records = Records {
            family: "w1",
            count: some(10_000, 200),
            partitions: 1,
            keys,
            bytes: 0,
        };
        all.push(Workload {
            name: format!("W1, {name} keys"),
            family: "w1",
            records,
            in_flight: 16,
            of_a_partition: None,
            cost: Cost::Random,
            writes: false,
        });
    }
    let costs = [
        ("no wait", Cost::None),
        ("100 µs", Cost::Exactly(Duration::from_micros(100))),
        ("1 ms", Cost::Exactly(Duration::from_millis(1))),
        ("10 ms", Cost::Exactly(Duration::from_millis(10))),
    ];
    for (name, cost) in costs {
        let records = Records {
            family: "w2",
            count: some(25_000, 1_000),
            partitions: 8,
            keys: 1_000,
            bytes: 0,
        };
        all.push(Workload {
            name: format!("W2, {name}"),
            family: "w2",
            records,
            in_flight: 100,
            of_a_partition: None,
            cost,
            writes: false,
        });
    }
    for (name, in_flight) in [("16", 16), ("1,000", 1_000)] {
        let records = Records {
            family: "w3",
            count: some(500_000, 5_000),
            partitions: 1,
            keys: 10_000,
            bytes: 100,
        };
        all.push(Workload {
            name: format!("W3, {name} at once"),
            family: "w3",
            records,
            in_flight,
            of_a_partition: None,
            cost: Cost::None,
            writes: false,
        });
    }
    for (name, cost) in [
        ("no wait", Cost::None),
        ("1 ms", Cost::Exactly(Duration::from_millis(1))),
    ] {
        let records = Records {
            family: "tx",
            count: some(500_000, 1_000),
            partitions: 8,
            keys: 10_000,
            bytes: 100,
        };
        all.push(Workload {
            name: format!("TX, {name}"),
            family: "tx",
            records,
            in_flight: 1_000,
            // All that wait for the broker may be of one partition.
            of_a_partition: Some(8_192),
            cost,
            writes: true,
        });
    }
    all
}

impl Workload {
    /// What is the same in all workloads of its family.
    pub fn about(&self) -> &'static str {
        match self.family {
            "w1" => "W1: 10,000 records of 0 to 5 ms, 16 at once",
            "w2" => "W2: 25,000 records, 8 partitions, 1,000 keys, 100 at once",
            "w3" => "W3: 500,000 records of 100 bytes, 10,000 keys, no wait",
            _ => "TX: 500,000 records of 100 bytes, 8 partitions, 10,000 keys, an output each",
        }
    }
}

impl Records {
    /// The topic that holds them. Its name tells them apart from those of a `--test`.
    pub fn topic(&self) -> String {
        format!("bench-{}-k{}-{}", self.family, self.keys, self.count)
    }
}

impl Cost {
    pub async fn pay(self, partition: i32, offset: i64) {
        match self {
            Self::None => {}
            Self::Exactly(duration) => timer::sleep(duration).await,
            Self::Random => {
                let number = (partition as u64) << 40 | offset as u64;
                let share = (scrambled(number) >> 11) as f64 / (1_u64 << 53) as f64;
                timer::sleep(Duration::from_millis(5).mul_f64(share)).await;
            }
        }
    }
}

/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
pub fn scrambled(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

//! The load: generated messages, the same in every run.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

#[derive(Clone, Copy)]
pub struct Load {
    pub seed: u64,
    pub groups: u32,
    pub messages: u32,
}

#[derive(Clone, Copy)]
pub struct Message {
    /// Its place in the load: the first has 1.
    pub number: u32,
    pub group: u32,
    /// Its place in its group: the first has 1.
    pub place: u32,
    /// How long the remote call for it takes.
    pub remote_call: Duration,
}

impl Load {
    /// All messages, in the order in which they are published.
    pub fn messages(self) -> impl Iterator<Item = Message> {
        let mut random = SmallRng::seed_from_u64(self.seed);
        let mut places = vec![0; self.groups as usize];
        (1..=self.messages).map(move |number| {
            // The first tenth of the groups has a fifth of the messages.
            let draw = random.random::<f64>().powf(1.5);
            let group = (draw * f64::from(self.groups)) as u32;
            let place = &mut places[group as usize];
            *place += 1;
            Message {
                number,
                group,
                place: *place,
                remote_call: Duration::from_micros(random.random_range(1_000..3_000)),
            }
        })
    }
}

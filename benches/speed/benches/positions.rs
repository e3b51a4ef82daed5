//! What positions cost an item, and what a commit costs while one item is stuck.

use std::future::{Future as _, ready};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use ordered_by_group::positions::{Done, Lease, Position};

const ITEMS: i64 = 100_000;

fn lease() -> Arc<Lease<u32>> {
    Lease::new(0, Some(0), Done::default())
}

fn read(lease: &Arc<Lease<u32>>, offset: i64) -> Position<u32> {
    lease.read(offset).expect("not read before")
}

/// A lease of which the first item is stuck, and all others that are kept are done.
fn stuck(is_done: impl Fn(i64) -> bool) -> (Arc<Lease<u32>>, Vec<Position<u32>>) {
    let lease = lease();
    let (done, held): (Vec<_>, Vec<_>) = (0..=ITEMS)
        .map(|offset| read(&lease, offset))
        .partition(|position| position.offset() > 0 && is_done(position.offset()));
    done.iter().for_each(|position| position.settle(true));
    (lease, held)
}

fn items(c: &mut Criterion) {
    let mut group = c.benchmark_group("an item");
    group.throughput(Throughput::Elements(ITEMS as u64));
    group.bench_function("read and settled in order", |bencher| {
        bencher.iter(|| {
            let lease = lease();
            (0..ITEMS).for_each(|offset| read(&lease, offset).settle(true));
            lease.next()
        });
    });
    group.bench_function("64 in flight", |bencher| {
        bencher.iter(|| {
            let lease = lease();
            let mut running: Vec<_> = (0..64).map(|offset| read(&lease, offset)).collect();
            for offset in 64..ITEMS {
                let place = offset as usize * 7 % 64;
                let before = std::mem::replace(&mut running[place], read(&lease, offset));
                before.settle(true);
            }
            lease.next()
        });
    });
    group.bench_function("read, run and settled in order", |bencher| {
        let mut cx = Context::from_waker(Waker::noop());
        bencher.iter(|| {
            let lease = lease();
            for offset in 0..ITEMS {
                let position = read(&lease, offset);
                let outcome = pin!(position.run(|| ready(()))).poll(&mut cx);
                position.settle(outcome.is_ready());
            }
            lease.next()
        });
    });
    group.bench_function("past a stuck one", |bencher| {
        bencher.iter(|| {
            let lease = lease();
            let stuck = read(&lease, 0);
            (1..ITEMS).for_each(|offset| read(&lease, offset).settle(true));
            stuck.settle(true);
            lease.next()
        });
    });
    group.finish();
}

fn commits(c: &mut Criterion) {
    let mut group = c.benchmark_group("with 100,000 past a stuck one");
    for (name, every) in [("all done", 1), ("every second done", 2)] {
        let (lease, _held) = stuck(|offset| offset % every == 0);
        group.bench_function(format!("commit, {name}"), |bencher| {
            bencher.iter(|| lease.commit().map(|commit| commit.next));
        });
        let commit = lease.commit().expect("there is something new");
        group.bench_function(format!("encode, {name}"), |bencher| {
            bencher.iter(|| commit.done.encode(4_096).len());
        });
        let text = commit.done.encode(4_096);
        group.bench_function(format!("decode, {name}"), |bencher| {
            bencher.iter(|| Done::decode(commit.next, &text).map(|done| done.is_empty()));
        });
    }
    group.finish();
}

criterion_group!(benches, items, commits);
criterion_main!(benches);

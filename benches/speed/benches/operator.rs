//! What the operator costs an item, beside the combinators that do not keep the order of a group.

#[allow(dead_code, reason = "each bench uses a part of it")]
#[path = "../../contenders/mod.rs"]
mod contenders;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

use contenders::{Contender, Work};

const ITEMS: u64 = 50_000;

fn operator(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    for (name, work, max_parallel) in [
        ("ready", Work::Ready, 64),
        ("one yield", Work::OneYield, 64),
        ("tokio yield", Work::TokioYield, 64),
        ("90 % ready", Work::MostlyReady, 64),
        ("4,096 running", Work::TokioYield, 4_096),
    ] {
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(ITEMS));
        for contender in Contender::ALL {
            group.bench_function(BenchmarkId::from_parameter(contender.name()), |bencher| {
                bencher.iter(|| runtime.block_on(contender.run(work, ITEMS, max_parallel)));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, operator);
criterion_main!(benches);

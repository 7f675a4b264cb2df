//! The sliding window alone: check and mark, 1024 counters an iteration.
//!
//! `cargo bench --bench replay`

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use meshtun_proto::replay::{WINDOW, Window};

const COUNTERS: u64 = 1024;

/// Checks and marks, as a receive key does around the cipher; returns how many were fresh.
fn accept(window: &mut Window, counters: impl Iterator<Item = u64>) -> usize {
    counters
        .filter(|counter| {
            let fresh = window.is_fresh(black_box(*counter));
            if fresh {
                window.mark(*counter);
            }
            fresh
        })
        .count()
}

fn replay(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("replay");
    group.throughput(Throughput::Elements(COUNTERS));

    group.bench_function("in_order", |bencher| {
        let (mut window, mut next) = (Window::new(), 0);
        bencher.iter(|| {
            next += COUNTERS;
            accept(&mut window, next - COUNTERS..next)
        });
    });
    group.bench_function("out_of_order", |bencher| {
        let (mut window, mut next) = (Window::new(), 0);
        bencher.iter(|| {
            next += COUNTERS;
            // 389 is odd, so that this is a permutation of the 1024: neighbours lie far apart.
            accept(&mut window, (0..COUNTERS).map(|i| next - COUNTERS + i * 389 % COUNTERS))
        });
    });
    group.bench_function("replayed", |bencher| {
        let mut window = Window::new();
        accept(&mut window, 0..COUNTERS);
        bencher.iter(|| accept(&mut window, 0..COUNTERS));
    });
    group.bench_function("each_beyond_the_window", |bencher| {
        let (mut window, mut next) = (Window::new(), 0);
        bencher.iter(|| {
            next += COUNTERS * 2 * WINDOW;
            accept(&mut window, (1..=COUNTERS).map(|i| next + i * 2 * WINDOW))
        });
    });
}

criterion_group!(benches, replay);
criterion_main!(benches);

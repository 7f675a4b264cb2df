//! Sealing and opening one transport message, for each suite and packet size.
//!
//! `cargo bench --bench crypto`; one core, messages in cache, so this is the ceiling of a worker.

use std::{hint::black_box, time::Instant};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use meshtun_proto::{
    Suite, Zeroizing,
    message::OVERHEAD,
    noise::SessionKeys,
    session::{ReceiveKey, SendKey, padding_len},
};

const SUITES: [Suite; 2] = [Suite::ChaCha20Poly1305, Suite::Aes256Gcm];

/// A bare acknowledgement (padded to 64), a small packet, a medium one, a full one at an underlay
/// MTU of 1500, a full jumbo one.
const SIZES: [usize; 5] = [52, 64, 512, 1420, 8900];

/// Messages that lie ready to be opened at once: few enough for the second-level cache.
const READY: u64 = 32;

fn session(suite: Suite) -> (SendKey, ReceiveKey) {
    let key = || Zeroizing::new([7; 32]);
    let now = Instant::now();
    let (send, _) = SessionKeys::new(suite, 1, 2, key(), key()).into_halves(now);
    let (_, receive) = SessionKeys::new(suite, 2, 1, key(), key()).into_halves(now);
    (send, receive)
}

fn seal(criterion: &mut Criterion) {
    for suite in SUITES {
        let mut group = criterion.benchmark_group(format!("seal/{suite}"));
        for size in SIZES {
            let (mut send, _) = session(suite);
            let plaintext = vec![0xA5; size];
            let mut out = vec![0; size + OVERHEAD + 16];
            let padding = padding_len(size, size.max(1420));
            group.throughput(Throughput::Bytes(size as u64));
            group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
                bencher.iter(|| send.seal(black_box(&plaintext), padding, &mut out));
            });
        }
    }
}

fn open(criterion: &mut Criterion) {
    for suite in SUITES {
        let mut group = criterion.benchmark_group(format!("open/{suite}"));
        for size in SIZES {
            let (mut send, mut receive) = session(suite);
            let plaintext = vec![0xA5; size];
            let mut sealed = || {
                let mut out = vec![0; size + OVERHEAD];
                send.seal(&plaintext, 0, &mut out).expect("the buffer fits and the counter is low");
                out
            };
            group.throughput(Throughput::Bytes(size as u64));
            group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
                bencher.iter_batched_ref(
                    &mut sealed,
                    |message| receive.open(message).expect("every message is fresh").len(),
                    BatchSize::NumIterations(READY),
                );
            });
        }
    }
}

criterion_group!(benches, seal, open);
criterion_main!(benches);

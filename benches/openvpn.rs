//! Sealing and opening OpenVPN's datagrams, for each cipher and digest: one by one, and many side by side as a train leaves and
//! comes.
//!
//! `cargo bench --bench openvpn`; one core, datagrams in cache, so this is the ceiling of a process's worker.

use std::{hint::black_box, time::Duration};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use meshtun_openvpn::{
    directive::Place,
    key::StaticKey,
    options::{Cipher, Digest, KeyDirection, Options, Protocol, Secret, SecretSource},
    packet_id::Persisted,
    session::{self, Incoming, Outgoing, Start},
};

const SUITES: [(Cipher, Digest); 9] = [
    (Cipher::Aes256Cbc, Digest::Sha1),
    (Cipher::Aes256Cbc, Digest::Sha256),
    (Cipher::Aes256Cbc, Digest::Sha512),
    (Cipher::Aes128Cbc, Digest::Sha1),
    (Cipher::Aes128Cbc, Digest::Sha256),
    (Cipher::BfCbc, Digest::Sha1),
    (Cipher::DesEde3Cbc, Digest::Sha1),
    (Cipher::None, Digest::Sha1),
    (Cipher::None, Digest::Sha256),
];

/// A full packet in a tunnel of MTU 1400, and a bare acknowledgement.
const SIZES: [usize; 2] = [1_400, 52];

/// Datagrams of a train.
const TRAIN: usize = 40;

fn ends(cipher: Cipher, digest: Digest) -> (Outgoing, Incoming) {
    let place = Place { file: None, line: 1 };
    let secret = Secret { source: SecretSource::File("key".into()), place };
    let options = Options { cipher, digest, ..Options::new(secret) };
    let keys = StaticKey::from_bytes(&[7; 256]).pair(KeyDirection::Both, cipher, digest).expect("a whole key");
    let start =
        Start { protocol: Protocol::Udp, is_ipv6: false, now: 1, persisted: Persisted::default(), seed: [3; 32] };
    session::begin(&options, &keys, &start).expect("the key is long enough")
}

fn sealed(outgoing: &mut Outgoing, size: usize, count: usize) -> Vec<Vec<u8>> {
    let one = |_| outgoing.seal(&vec![0x45; size]).expect("ids are left").remove(0);
    (0..count).map(one).collect()
}

fn seal(criterion: &mut Criterion) {
    for (cipher, digest) in SUITES {
        let mut group = criterion.benchmark_group(format!("openvpn-seal/{}/{}", cipher.name(), digest.name()));
        group.measurement_time(Duration::from_secs(1)).warm_up_time(Duration::from_millis(200)).sample_size(20);
        for (size, count) in SIZES.into_iter().flat_map(|size| [(size, 1), (size, TRAIN)]) {
            let (mut outgoing, _) = ends(cipher, digest);
            let packet = vec![0x45; size];
            let each = outgoing.pieces(size).expect("one datagram").each;
            let mut train = vec![0; each * count];
            group.throughput(Throughput::Bytes((size * count) as u64));
            group.bench_function(BenchmarkId::new(size.to_string(), count), |bencher| {
                bencher.iter(|| {
                    for room in train.chunks_exact_mut(each) {
                        outgoing.stage(black_box(&packet), 0, room).expect("ids are left");
                    }
                    outgoing.finish(train.chunks_exact_mut(each));
                });
            });
        }
    }
}

fn open(criterion: &mut Criterion) {
    for (cipher, digest) in SUITES {
        let mut group = criterion.benchmark_group(format!("openvpn-open/{}/{}", cipher.name(), digest.name()));
        group.measurement_time(Duration::from_secs(1)).warm_up_time(Duration::from_millis(200)).sample_size(20);
        for (size, count) in SIZES.into_iter().flat_map(|size| [(size, 1), (size, TRAIN)]) {
            let (mut outgoing, mut incoming) = ends(cipher, digest);
            group.throughput(Throughput::Bytes((size * count) as u64));
            group.bench_function(BenchmarkId::new(size.to_string(), count), |bencher| {
                bencher.iter_batched_ref(
                    || sealed(&mut outgoing, size, count),
                    |train| {
                        let authentic = incoming.authenticate(train.iter().map(Vec::as_slice));
                        for (at, datagram) in train.iter_mut().enumerate() {
                            let opened = incoming.open_authentic(datagram, authentic.is(at), 0);
                            black_box(opened.expect("every datagram is new"));
                        }
                    },
                    BatchSize::SmallInput,
                );
            });
        }
    }
}

criterion_group!(benches, seal, open);
criterion_main!(benches);

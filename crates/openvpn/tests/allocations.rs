//! Packets that come and go take no memory: not for sealing, opening, putting together, nor for what is refused.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use meshtun_openvpn::{
    directive::Place,
    key::StaticKey,
    options::{Cipher, Compression, Digest, KeyDirection, Options, Protocol, Secret, SecretSource},
    packet_id::Persisted,
    session::{self, Incoming, Outgoing, Start},
};

/// The system's allocator, counting the calls of each thread.
struct Counting;

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator with the arguments it came with, and the counter neither allocates nor
// has a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        CALLS.set(CALLS.get() + 1);
        // SAFETY: the memory came from the system's allocator, by `alloc` above, with this layout.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn calls(work: impl FnOnce()) -> usize {
    let before = CALLS.get();
    work();
    CALLS.get() - before
}

fn ends(cipher: Cipher, digest: Digest, compression: Compression, fragment: Option<u16>) -> (Outgoing, Incoming) {
    let secret = Secret { source: SecretSource::File("key".to_owned()), place: Place { file: None, line: 1 } };
    let options = Options { cipher, digest, compression, fragment, ..Options::new(secret) };
    let keys = StaticKey::from_bytes(&[7; 256]).pair(KeyDirection::Both, cipher, digest).unwrap();
    let start =
        Start { protocol: Protocol::Udp, is_ipv6: false, now: 1, persisted: Persisted::default(), seed: [3; 32] };
    session::begin(&options, &keys, &start).unwrap()
}

#[test]
fn the_counter_counts() {
    assert_eq!(calls(|| drop(std::hint::black_box(vec![1_u8; 10]))), 2);
}

#[test]
fn packets_take_no_memory() {
    let packet = vec![0x45; 1_400];
    for cipher in Cipher::ALL {
        for digest in Digest::ALL {
            for (compression, fragment) in [(Compression::None, None), (Compression::Swap, Some(600))] {
                let (mut outgoing, mut incoming) = ends(cipher, digest, compression, fragment);
                let pieces = outgoing.pieces(packet.len()).unwrap();
                let mut rooms = vec![0; pieces.each * pieces.count * 10];
                let taken = calls(|| {
                    for train in rooms.chunks_exact_mut(pieces.each * pieces.count) {
                        for (piece, room) in train.chunks_exact_mut(pieces.each).enumerate() {
                            let length = if piece + 1 < pieces.count { pieces.each } else { pieces.last };
                            outgoing.stage(&packet, piece, &mut room[..length]).unwrap();
                            outgoing.finish([&mut room[..length]]);
                            let authentic = incoming.authenticate([&room[..length]]);
                            let opened = incoming.open_authentic(&mut room[..length], authentic.is(0), 9);
                            assert!(opened.is_ok());
                            assert!(incoming.open(&mut room[..length], 9).is_err() || digest.is_empty());
                        }
                    }
                });
                assert_eq!(taken, 0, "{cipher:?} {digest:?} {compression:?} {fragment:?}");
            }
        }
    }
}

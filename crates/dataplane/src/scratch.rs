//! The memory that a worker lends to whichever of its halves has its turn.

use meshtun_offload::coalesce::{Coalescer, Joining};
use meshtun_sys::udp::{RECEIVE_BATCH, Received};

use crate::queue::Pool;

/// Packets of up to 2 kB that may wait for all sending halves of a worker. One alone gets half: 20 ms at 50,000 a second.
const SMALL_PACKETS: usize = 2048;

/// Super-packets that may wait besides. One half alone gets 160: 10 MiB, so that bursts of 16 flows on a busy machine find
/// room. With 24 BBR, which fills what it finds, sent 6 % of its segments again, with 64 still 5 % on a busy machine.
const SUPER_PACKETS: usize = 320;

/// What one call may receive: a whole train of the longest UDP payload.
pub(crate) const LONGEST_TRAIN: usize = 65_536;

/// Bytes from one place of the receive buffer to the next: a train, and somewhat more so that the beginnings of places do
/// not all fall on the same lines of the cache.
pub(crate) const PLACE: usize = LONGEST_TRAIN + 1600;

/// Trains or lone datagrams received in one turn: enough to join small packets well, few enough that nothing waits long
/// for its write.
pub(crate) const PLACES: usize = 64;

/// Buffers of one worker, however many channels it serves: 4.2 MiB for what is received and 24 MiB for packets that wait,
/// most of which is never touched.
pub(crate) struct Scratch {
    /// Packets read from tun devices.
    pub(crate) pool: Pool,
    /// One train being sealed.
    pub(crate) train: Box<[u8]>,
    /// The trains received in one turn, each in a place of its own, so that segments of successive trains join.
    pub(crate) received: Box<[u8]>,
    /// What one call received.
    pub(crate) arrivals: [Received; RECEIVE_BATCH],
    /// What will be written to the tun device at the end of the turn.
    pub(crate) coalescer: Coalescer,
}

impl Scratch {
    pub(crate) fn new() -> Scratch {
        Scratch {
            pool: Pool::new(SMALL_PACKETS, SUPER_PACKETS),
            train: vec![0; LONGEST_TRAIN].into(),
            received: vec![0; PLACES * PLACE].into(),
            arrivals: [Received::nothing(); RECEIVE_BATCH],
            coalescer: Coalescer::new(Joining { tcp: true, udp: true }),
        }
    }
}

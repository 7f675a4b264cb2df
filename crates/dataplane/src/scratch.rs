//! The memory that a worker lends to whichever of its halves has its turn.

use meshtun_offload::coalesce::{Coalescer, Joining};

use crate::queue::Pool;

/// Packets of up to 2 kB that may wait for all sending halves of a worker: 20 ms at 50,000 a second.
const SMALL_PACKETS: usize = 1024;

/// Super-packets that may wait besides: 2 MiB, 5 ms of 3 Gb/s.
const SUPER_PACKETS: usize = 32;

/// What one call may receive: a whole train of the longest UDP payload.
pub(crate) const LONGEST_TRAIN: usize = 65_536;

/// What one turn may receive before it must write: trains are received behind one another so that segments of
/// successive trains join. Eight trains are what a veth or NIC hands over in one NAPI poll of 64 datagrams, many times.
pub(crate) const RECEIVE_BUFFER: usize = 8 * LONGEST_TRAIN;

/// Buffers of one worker: about 650 KiB, and up to 4 MiB for packets that wait, however many channels it serves.
pub(crate) struct Scratch {
    /// Packets read from tun devices.
    pub(crate) pool: Pool,
    /// One train being sealed.
    pub(crate) train: Box<[u8]>,
    /// The trains received in one turn.
    pub(crate) received: Box<[u8]>,
    /// What will be written to the tun device at the end of the turn.
    pub(crate) coalescer: Coalescer,
}

impl Scratch {
    pub(crate) fn new() -> Scratch {
        Scratch {
            pool: Pool::new(SMALL_PACKETS, SUPER_PACKETS),
            train: vec![0; LONGEST_TRAIN].into(),
            received: vec![0; RECEIVE_BUFFER].into(),
            coalescer: Coalescer::new(Joining { tcp: true, udp: true }),
        }
    }
}

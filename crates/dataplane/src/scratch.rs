//! The memory that a worker lends to whichever of its halves has its turn.

use meshtun_offload::coalesce::{Coalescer, Joining};

/// A virtio header and the longest super-packet, with slack so that the kernel never truncates.
pub(crate) const SUPER_PACKET: usize = 10 + 65_535 + 7;

/// What one call may receive: a whole train of the longest UDP payload.
pub(crate) const LONGEST_TRAIN: usize = 65_536;

/// What one turn may receive before it must write: trains are received behind one another so that segments of
/// successive trains join. Eight trains are what a veth or NIC hands over in one NAPI poll of 64 datagrams, many times.
pub(crate) const RECEIVE_BUFFER: usize = 8 * LONGEST_TRAIN;

/// Buffers of one worker, about 650 KiB however many channels it serves.
pub(crate) struct Scratch {
    /// One read from a tun device: virtio header and super-packet.
    pub(crate) packet: Box<[u8]>,
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
            packet: vec![0; SUPER_PACKET].into(),
            train: vec![0; LONGEST_TRAIN].into(),
            received: vec![0; RECEIVE_BUFFER].into(),
            coalescer: Coalescer::new(Joining { tcp: true, udp: true }),
        }
    }
}

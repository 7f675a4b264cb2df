//! From what a device gave to trains on the wire.

use meshtun_offload::{
    mss,
    split::{Split, SplitError},
    train::Room,
    virtio::VirtioNetHdr,
};

use super::{
    class,
    train::Loading,
    wire::{Load, Wire},
};
use crate::{DropReason, Pieces};

/// Fills trains with sealed segments and sends each when it is full.
pub(super) struct Packer<'a> {
    train: Loading<'a>,
    load: Load,
    mtu: usize,
    /// What packets of TCP connections shall have at most, if their SYNs are to say so.
    longest: Option<u16>,
    wire: &'a mut Wire,
}

impl<'a> Packer<'a> {
    pub(super) fn new(train: Loading<'a>, mtu: usize, longest: Option<u16>, wire: &'a mut Wire) -> Packer<'a> {
        Packer { train, load: Load::default(), mtu, longest, wire }
    }

    /// Whether a train waits for room in the socket.
    pub(super) fn is_stuck(&self) -> bool {
        self.wire.is_stuck()
    }

    /// What was read is given up for want of memory.
    pub(super) fn lose(&self, read: &[u8]) {
        self.wire.lose(read);
    }

    /// One read of the tun device: a virtio header and a packet or super-packet. One that `is_late` loses its first segment.
    pub(super) fn pack(&mut self, read: &mut [u8], is_late: bool) {
        let sending = &self.wire.counters.sending;
        let Some((header, packet)) = VirtioNetHdr::detach(read) else {
            return sending.drops.add(DropReason::BadSuperPacket, 1);
        };
        sending.super_packets.add(1);
        if self.wire.class.is_copied() {
            self.begin_class(packet);
        }
        let sending = &self.wire.counters.sending;
        if let Some(longest) = self.longest.filter(|_| !header.is_gso()) {
            mss::clamp(packet, longest, header.needs_csum());
        }
        let mut segments = match Split::new(header, packet, self.mtu) {
            Ok(segments) => segments,
            Err(error) => {
                let too_big = matches!(error, SplitError::ExceedsMtu { .. });
                let reason = if too_big { DropReason::TooBig } else { DropReason::BadSuperPacket };
                return sending.drops.add(reason, 1);
            }
        };
        if is_late && segments.next_segment().is_some() {
            sending.drops.add(DropReason::QueueDelay, 1);
        }
        while let Some(segment) = segments.next_segment() {
            self.seal(segment);
        }
    }

    /// A train has one class.
    #[cold]
    fn begin_class(&mut self, packet: &[u8]) {
        if let Some(class) = class::of(packet).filter(|class| !self.wire.class.is(*class)) {
            self.flush();
            self.wire.class.begin(class);
        }
    }

    #[inline(always)]
    fn seal(&mut self, segment: &[u8]) {
        let pieces = self.train.session().pieces(segment.len(), self.mtu);
        if pieces.count > 1 {
            return self.seal_in_parts(segment, pieces);
        }
        match self.seal_piece(segment, 0, pieces.last) {
            Ok(room) => self.has_sealed(segment, room),
            Err(reason) => self.drop_one(reason),
        }
    }

    #[cold]
    fn seal_in_parts(&mut self, segment: &[u8], pieces: Pieces) {
        let sealed = (0..pieces.count).try_fold(Room::Open, |before, piece| {
            if before == Room::Full {
                self.flush();
            }
            self.seal_piece(segment, piece, pieces.length(piece))
        });
        match sealed {
            Ok(room) => self.has_sealed(segment, room),
            Err(reason) => self.drop_one(reason),
        }
    }

    /// Tells what room is left for another as long.
    #[inline(always)]
    fn seal_piece(&mut self, segment: &[u8], piece: usize, length: usize) -> Result<Room, DropReason> {
        if !self.train.fits(length) {
            self.flush();
        }
        let room = self.train.seal(segment, piece, length)?;
        self.load.messages += 1;
        Ok(room)
    }

    #[inline(always)]
    fn has_sealed(&mut self, segment: &[u8], room: Room) {
        self.load.packets += 1;
        self.load.bytes += segment.len() as u64;
        if room == Room::Full {
            self.flush();
        }
    }

    #[cold]
    fn drop_one(&self, reason: DropReason) {
        self.wire.counters.sending.drops.add(reason, 1);
    }

    /// Sends what there is.
    #[inline(never)] // One call a train.
    pub(super) fn flush(&mut self) {
        let (wire, load) = (&mut *self.wire, std::mem::take(&mut self.load));
        self.train.leave(|train| wire.send(train, load));
    }
}

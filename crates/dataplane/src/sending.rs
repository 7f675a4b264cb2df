//! The sending half: tun → UDP.
//!
//! One turn reads the device until it is empty, but for a flood. A super-packet is split in place, each segment is sealed
//! from the read buffer straight into the train (the one copy), and a train leaves with one system call. What is more than
//! one turn can seal waits in the half's [`Queue`]. The half owns its send keys, so a counter has one writer and is never
//! used twice.

mod drain;
mod loans;
mod wire;

use std::{io, net::SocketAddr, sync::Arc, time::Instant};

use meshtun_offload::{
    mss,
    split::{Split, SplitError},
    train::{Room, Train},
    virtio::{GSO_UDP_L4, VirtioNetHdr},
};
use meshtun_sys::{
    epoll::{Epoll, Interest},
    tun::{self, Tun},
    udp,
};

use self::{
    loans::Loans,
    wire::{Load, Wire},
};
use crate::{
    ChannelId, Command, Counters, Datagrams, DropReason, Event, Half, Pieces, SendSession, Transport,
    clamp::Clamp,
    events::EventSender,
    queue::Queue,
    scratch::Scratch,
    turn::{Source, Turn, token},
};

/// Reads of the device in one turn, and bytes read: a copy of 4 MiB takes about 0.4 ms. The device is empty before that,
/// but for a flood, half of which at the least is sealed: a worker that reads and drops everything carries nothing.
const READS_PER_TURN: usize = 256;
const BYTES_READ_PER_TURN: usize = 4 << 20;

/// Bytes sealed in one turn: 512 KiB are about 0.3 ms of ChaCha20-Poly1305, and as much again of system calls, for which
/// other channels of the same worker wait. A turn ends with a train that is not full: half of this made TCP 5 % slower with
/// ChaCha20-Poly1305 and 10 % with AES-256-GCM, twice of it made round trips under load longer.
const BYTES_PER_TURN: usize = 512 << 10;

/// What a small packet costs of a turn, in bytes: reading it and starting the cipher take as long as these. So a turn seals
/// at most 128 of them, and more than that wait by flow.
const LEAST_COST: usize = 4096;

/// Errors of the device in a row after which it is given up.
const ERRORS_IN_A_ROW: u32 = 1000;

/// Sessions whose send keys may live at once: previous, current, next and one that crossed.
const KEYS: usize = 4;

/// What a sending half is made of.
pub(crate) struct SendingParts {
    pub(crate) channel: ChannelId,
    pub(crate) tun: Arc<Tun>,
    pub(crate) transport: Transport,
    pub(crate) mtu: u16,
    pub(crate) endpoint: Option<SocketAddr>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) events: EventSender,
}

/// tun → UDP for one channel.
pub(crate) struct SendingHalf {
    channel: ChannelId,
    tun: Arc<Tun>,
    loans: Loans,
    wire: Wire,
    mtu: usize,
    clamp: Clamp,
    queue: Queue,
    /// The worker's round in which it last had a turn.
    pub(crate) round: u64,
    errors_in_a_row: u32,
    keys: Vec<Key>,
    /// The local index of the session that carries inner packets.
    active: Option<u32>,
    /// It carries only what waits already, at most until then.
    drains_until: Option<Instant>,
}

impl SendingHalf {
    pub(crate) fn new(parts: SendingParts) -> io::Result<SendingHalf> {
        Ok(SendingHalf {
            channel: parts.channel,
            tun: Arc::clone(&parts.tun),
            loans: Loans::default(),
            mtu: parts.mtu.into(),
            clamp: Clamp::new(parts.mtu),
            wire: Wire::new(parts)?,
            queue: Queue::new(),
            round: 0,
            errors_in_a_row: 0,
            keys: Vec::with_capacity(KEYS + 1),
            active: None,
            drains_until: None,
        })
    }

    pub(crate) fn channel(&self) -> ChannelId {
        self.channel
    }

    /// Seals and sends what waited, then reads, splits, seals and sends; what is too much for one turn waits.
    #[inline(never)] // `tests/scaling` counts its instructions.
    pub(crate) fn turn(&mut self, scratch: &mut Scratch, now: Instant) -> Turn {
        let Some(key) = self.active.and_then(|session| live_key(&mut self.keys, session, now)) else {
            return self.discard(scratch, DropReason::NoSession);
        };
        let sent = self.wire.counters.sending.wire_bytes.get();
        let mut packer = Packer {
            key,
            mtu: self.mtu,
            longest: self.clamp.longest,
            prefix: self.wire.prefix,
            train: Train::new(&mut scratch.train[..]),
            room: Room::Open,
            load: Load::default(),
            wire: &mut self.wire,
        };
        let (pool, queue) = (&mut scratch.pool, &mut self.queue);
        let (mut turned, mut left) = (Turn::Idle, BYTES_PER_TURN);
        while left > 0 && !packer.wire.is_stuck() {
            let Some(next) = queue.pop(pool, now) else { break };
            let read = pool.bytes_mut(next.slot);
            left = left.saturating_sub(read.len().max(LEAST_COST));
            packer.pack(read, next.is_late);
            pool.free(next.slot);
            turned = Turn::Busy;
        }
        let is_draining = self.drains_until.is_some();
        let (mut bytes, mut devices) = (0, self.loans.devices(&self.tun));
        let mut device = devices.next();
        for _ in 0..READS_PER_TURN {
            let Some(tun) = device.filter(|_| bytes < BYTES_READ_PER_TURN) else { break };
            if is_draining && (left == 0 || !queue.is_empty() || packer.wire.is_stuck()) {
                // Nothing new comes into the device: the rest is safe there, while packets in the queue may give way.
                turned = Turn::Busy;
                break;
            }
            let read = match tun.read(pool.spare_mut()) {
                Ok(length) => length,
                Err(error) if udp::is_would_block(&error) => {
                    device = devices.next();
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    packer.flush();
                    let broken = Arc::clone(tun);
                    drop(devices);
                    return self.read_failed(&broken, error);
                }
            };
            self.errors_in_a_row = 0;
            bytes += read;
            turned = Turn::Busy;
            if queue.is_empty() && left > 0 && !packer.wire.is_stuck() {
                left = left.saturating_sub(read.max(LEAST_COST));
                packer.pack(&mut pool.spare_mut()[..read], false);
            } else {
                queue.push(pool, read, now, |read| packer.wire.lose(read));
            }
        }
        packer.flush();
        if self.wire.counters.sending.wire_bytes.get() != sent {
            self.wire.counters.say(now);
        }
        turned
    }

    /// Whether packets wait that could be sealed and sent now, or a drain has to see that there are none.
    pub(crate) fn is_waiting(&self) -> bool {
        (self.is_draining() || !self.queue.is_empty()) && !self.is_stuck()
    }

    /// Gives back the worker's memory.
    pub(crate) fn clear(&mut self, scratch: &mut Scratch, reason: DropReason) {
        let drops = &self.wire.counters.sending.drops;
        self.queue.clear(&mut scratch.pool, |read| drops.add(reason, packets_in(read)));
    }

    /// The socket takes packets again: what was stuck goes first.
    pub(crate) fn resume(&mut self, scratch: &mut Scratch, now: Instant) -> Turn {
        self.wire.resume();
        self.turn(scratch, now)
    }

    pub(crate) fn obey(&mut self, command: Command, scratch: &mut Scratch) {
        match command {
            Command::InstallSend(key) => self.install(key),
            Command::Use(session) => (self.active, self.drains_until) = (Some(session), None),
            Command::Drain(session) => self.drain(session),
            Command::Retire(session) => self.retire(session),
            Command::Seal { session, plaintext } => self.seal_frame(session, &plaintext, scratch),
            Command::Endpoint(endpoint) => self.wire.set_endpoint(endpoint.into()),
            Command::Mtu(mtu) => {
                self.mtu = mtu.into();
                self.clamp.set_mtu(mtu);
            }
            Command::ClampMss(how) => self.clamp.set(how),
            Command::InstallReceive(_) | Command::Admit(_) | Command::Filter(_) | Command::Sources(_) => {}
        }
    }

    /// Whether a train waits for room in the socket; packets are read, but not sealed, meanwhile.
    pub(crate) fn is_stuck(&self) -> bool {
        self.wire.is_stuck()
    }

    pub(crate) fn watch(&self, epoll: &Epoll) -> io::Result<()> {
        self.watch_device(&self.tun, epoll)?;
        let watched = epoll.add(&self.wire.writable, self.token(Source::Writable), Interest::None);
        watched.inspect_err(|_| drop(epoll.delete(&*self.tun)))
    }

    /// Watches for room in the socket exactly while it is waited for.
    pub(crate) fn watch_again(&self, epoll: &Epoll) {
        let wanted = if self.is_stuck() { Interest::Write } else { Interest::None };
        let watched = epoll.modify(&self.wire.writable, self.token(Source::Writable), wanted);
        debug_assert!(watched.is_ok(), "the descriptor is registered and open");
    }

    pub(crate) fn unwatch(&self, epoll: &Epoll) {
        // Either may be gone already when its device is.
        for device in self.loans.devices(&self.tun) {
            let _gone = epoll.delete(&**device);
        }
        let _gone = epoll.delete(&self.wire.writable);
    }

    fn watch_device(&self, device: &Tun, epoll: &Epoll) -> io::Result<()> {
        epoll.add(device, self.token(Source::Tun), Interest::Read)
    }

    fn token(&self, source: Source) -> u64 {
        token(Some(self.channel), source)
    }

    fn install(&mut self, key: SendSession) {
        self.retire(key.session());
        if self.keys.len() == KEYS {
            // The oldest that carries nothing: the active session is never pushed out.
            let oldest = self.keys.iter().position(|key| Some(key.session) != self.active).unwrap_or(0);
            self.keys.remove(oldest);
        }
        self.keys.push(Key { session: key.session(), expires: key.expires(), key });
    }

    fn retire(&mut self, session: u32) {
        self.keys.retain(|key| key.session != session);
        if self.active == Some(session) {
            (self.active, self.drains_until) = (None, None);
        }
    }

    fn seal_frame(&mut self, session: u32, plaintext: &[u8], scratch: &mut Scratch) {
        let now = Instant::now();
        let Some(key) = live_key(&mut self.keys, session, now) else { return };
        let Some(plaintext) = plaintext.get(..plaintext.len().min(Command::LONGEST_FRAME)) else { return };
        let pieces = key.pieces(plaintext.len(), self.mtu.max(plaintext.len()));
        for piece in 0..pieces.count {
            let prefix = self.wire.prefix;
            let segment = prefix + pieces.length(piece);
            let Some(bytes) = scratch.train.get_mut(..segment).filter(|_| self.wire.takes_frame(segment)) else {
                return;
            };
            if key.seal(plaintext, piece, behind_prefix(bytes, prefix)).is_err() {
                return;
            }
            key.finish(Datagrams { bytes, segment, prefix });
            self.wire.send_frame(bytes, now);
        }
    }

    /// Empties the device's queue without sending: old packets must not come out when a session comes back.
    fn discard(&mut self, scratch: &mut Scratch, reason: DropReason) -> Turn {
        self.clear(scratch, reason);
        let mut devices = self.loans.devices(&self.tun);
        let mut device = devices.next();
        for _ in 0..READS_PER_TURN {
            let Some(tun) = device else { return Turn::Idle };
            match tun.read(scratch.pool.spare_mut()) {
                Ok(length) => {
                    let packets = packets_in(&scratch.pool.spare_mut()[..length]);
                    self.wire.counters.sending.drops.add(reason, packets);
                }
                Err(error) if udp::is_would_block(&error) => device = devices.next(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let broken = Arc::clone(tun);
                    drop(devices);
                    return self.read_failed(&broken, error);
                }
            }
        }
        Turn::Busy
    }

    /// An error that passes costs one packet at the most; a device that only has errors would turn for ever.
    fn read_failed(&mut self, device: &Arc<Tun>, error: io::Error) -> Turn {
        self.errors_in_a_row += 1;
        if !tun::is_gone(&error) && self.errors_in_a_row <= ERRORS_IN_A_ROW {
            return Turn::Busy;
        }
        let Some(owner) = self.loans.give_up(device) else { return self.fail(error) };
        self.errors_in_a_row = 0;
        self.wire.events.send(Event::Failed { channel: owner, half: Half::Sending, error });
        Turn::Busy
    }

    fn fail(&mut self, error: io::Error) -> Turn {
        self.wire.events.send(Event::Failed { channel: self.channel, half: Half::Sending, error });
        Turn::Failed
    }
}

/// A session's sealing side, and what was asked of it once.
struct Key {
    session: u32,
    expires: Option<Instant>,
    key: SendSession,
}

/// The key of a session, unless its time is over.
fn live_key(keys: &mut [Key], session: u32, now: Instant) -> Option<&mut SendSession> {
    let key = keys.iter_mut().find(|key| key.session == session)?;
    key.expires.is_none_or(|expires| now < expires).then_some(&mut key.key)
}

/// Fills trains with sealed segments and sends each when it is full.
struct Packer<'a> {
    key: &'a mut SendSession,
    mtu: usize,
    /// What packets of TCP connections shall have at most, if their SYNs are to say so.
    longest: Option<u16>,
    /// Bytes before each datagram of a train, which hold its length.
    prefix: usize,
    train: Train<&'a mut [u8]>,
    /// What the last segment left in it.
    room: Room,
    load: Load,
    wire: &'a mut Wire,
}

impl Packer<'_> {
    /// One read of the tun device: a virtio header and a packet or super-packet. One that `is_late` loses its first segment.
    fn pack(&mut self, read: &mut [u8], is_late: bool) {
        let sending = &self.wire.counters.sending;
        let Some((header, packet)) = VirtioNetHdr::detach(read) else {
            return sending.drops.add(DropReason::BadSuperPacket, 1);
        };
        sending.super_packets.add(1);
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

    fn seal(&mut self, segment: &[u8]) {
        let pieces = self.key.pieces(segment.len(), self.mtu);
        if pieces.count > 1 {
            return self.seal_in_parts(segment, pieces);
        }
        match self.seal_piece(segment, 0, pieces.last) {
            Ok(()) => self.has_sealed(segment),
            Err(reason) => self.wire.counters.sending.drops.add(reason, 1),
        }
    }

    #[cold]
    fn seal_in_parts(&mut self, segment: &[u8], pieces: Pieces) {
        let sealed = (0..pieces.count).try_for_each(|piece| self.seal_piece(segment, piece, pieces.length(piece)));
        match sealed {
            Ok(()) => self.has_sealed(segment),
            Err(reason) => self.wire.counters.sending.drops.add(reason, 1),
        }
    }

    #[inline]
    fn seal_piece(&mut self, segment: &[u8], piece: usize, length: usize) -> Result<(), DropReason> {
        let length = self.prefix + length;
        if self.room == Room::Full || !self.train.fits(length) {
            self.flush();
        }
        let room = self.train.reserve(length).ok_or(DropReason::TooBig)?;
        self.key.seal(segment, piece, behind_prefix(room, self.prefix))?;
        self.load.messages += 1;
        self.room = self.train.commit(length);
        Ok(())
    }

    #[inline]
    fn has_sealed(&mut self, segment: &[u8]) {
        self.load.packets += 1;
        self.load.bytes += segment.len() as u64;
        if self.room == Room::Full {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if !self.train.is_empty() {
            let segment = self.train.segment_len();
            self.key.finish(Datagrams { bytes: self.train.bytes_mut(), segment, prefix: self.prefix });
            self.wire.send(self.train.bytes(), self.train.segment_len(), self.load);
            self.load = Load::default();
            self.train.reset();
            self.room = Room::Open;
        }
    }
}

/// Writes a datagram's length before it, in as many bytes as the transport wants, and gives the room behind.
#[inline]
fn behind_prefix(room: &mut [u8], prefix: usize) -> &mut [u8] {
    let (before, datagram) = room.split_at_mut(prefix);
    if let Some(length) = before.first_chunk_mut() {
        *length = (datagram.len() as u16).to_be_bytes();
    }
    datagram
}

/// How many packets a read was, which its virtio header tells.
fn packets_in(read: &[u8]) -> u64 {
    let Some((header, packet)) = read.split_first_chunk() else { return 1 };
    let header = VirtioNetHdr::decode(header);
    let start = usize::from(header.csum_start);
    let headers = match packet.get(start + 12) {
        Some(offset) if header.gso_type != GSO_UDP_L4 => start + usize::from(offset >> 4) * 4,
        _ => start + 8,
    };
    let payload = packet.len().saturating_sub(headers);
    if header.is_gso() { payload.div_ceil(usize::from(header.gso_size).max(1)).max(1) as u64 } else { 1 }
}

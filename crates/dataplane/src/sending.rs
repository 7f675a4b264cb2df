//! The sending half: tun → UDP.
//!
//! One turn reads the device until it is empty, but for a flood. A super-packet is split in place, each segment is sealed
//! from the read buffer straight into the train (the one copy), and a train leaves with one system call. What is more than
//! one turn can seal waits in the half's [`Queue`]. The half owns its send keys, so a counter has one writer and is never
//! used twice.

mod class;
mod drain;
mod loans;
mod packer;
mod shaper;
mod train;
mod wire;

use std::{io, net::SocketAddr, sync::Arc, time::Instant};

use meshtun_offload::virtio::{GSO_UDP_L4, VirtioNetHdr};
use meshtun_sys::{
    epoll::{Epoll, Interest},
    tun::{self, Tun},
    udp,
};

pub use self::shaper::Shaper;
use self::{loans::Loans, packer::Packer, train::Loading, wire::Wire};
use crate::{
    ChannelId, Command, Counters, DropReason, Event, Half, SendSession, Transport,
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
        let train = Loading::new(key, self.wire.prefix, self.wire.pace.room(&mut scratch.train[..], self.mtu));
        let mut packer = Packer::new(train, self.mtu, self.clamp.longest, &mut self.wire);
        let (pool, queue) = (&mut scratch.pool, &mut self.queue);
        let (mut turned, mut left) = (Turn::Idle, BYTES_PER_TURN);
        while left > 0 && !packer.is_stuck() {
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
            if is_draining && (left == 0 || !queue.is_empty() || packer.is_stuck()) {
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
            if queue.is_empty() && left > 0 && !packer.is_stuck() {
                left = left.saturating_sub(read.max(LEAST_COST));
                packer.pack(&mut pool.spare_mut()[..read], false);
            } else {
                queue.push(pool, read, now, |read| packer.lose(read));
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
        self.wire.resume(now);
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
            Command::Shape(shaper) => self.wire.pace.keep_to(shaper),
            Command::CopyClass => self.wire.class.copy(),
            Command::InstallReceive(_) | Command::Admit(_) | Command::Filter(_) | Command::Sources(_) => {}
        }
    }

    /// Whether a train waits for room in the socket, or the wire rests; packets are read, but not sealed, meanwhile.
    pub(crate) fn is_stuck(&self) -> bool {
        self.wire.is_stuck()
    }

    /// Whether it is the socket that has no room.
    pub(crate) fn waits_for_room(&self) -> bool {
        self.wire.waits_for_room()
    }

    pub(crate) fn watch(&self, epoll: &Epoll) -> io::Result<()> {
        self.watch_device(&self.tun, epoll)?;
        let watched = epoll.add(&self.wire.writable, self.token(Source::Writable), Interest::None);
        let watched = watched.and_then(|()| match self.wire.pace.timer() {
            Some(timer) => epoll.add(timer, self.token(Source::Writable), Interest::Read),
            None => Ok(()),
        });
        watched.inspect_err(|_| {
            let _not_watched = epoll.delete(&self.wire.writable);
            drop(epoll.delete(&*self.tun));
        })
    }

    /// Watches for room in the socket exactly while it is waited for.
    pub(crate) fn watch_again(&self, epoll: &Epoll) {
        let wanted = if self.waits_for_room() { Interest::Write } else { Interest::None };
        let watched = epoll.modify(&self.wire.writable, self.token(Source::Writable), wanted);
        debug_assert!(watched.is_ok(), "the descriptor is registered and open");
    }

    pub(crate) fn unwatch(&self, epoll: &Epoll) {
        // Either may be gone already when its device is.
        for device in self.loans.devices(&self.tun) {
            let _gone = epoll.delete(&**device);
        }
        let _gone = epoll.delete(&self.wire.writable);
        if let Some(timer) = self.wire.pace.timer() {
            let _gone = epoll.delete(timer);
        }
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
        let mut train = Loading::new(key, self.wire.prefix, &mut scratch.train);
        for piece in 0..pieces.count {
            let length = pieces.length(piece);
            if !self.wire.takes_frame(self.wire.prefix + length) || train.seal(plaintext, piece, length).is_err() {
                return;
            }
            // One by one: a frame is no train.
            train.leave(|frame| self.wire.send_frame(frame, now));
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

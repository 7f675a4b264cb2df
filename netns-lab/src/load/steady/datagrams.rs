//! The trains of a steady load.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use meshtun_sys::{
    epoll::{Epoll, Events, Interest},
    udp::{Udp, UdpOptions, is_would_block},
};

use super::{
    Flags, Plan, TRAIN_PORT,
    account::{TrainLog, tick},
};
use crate::{Node, load::LoadError};

/// Payload of a datagram: train (2 bytes), number (8 bytes), marker.
const SIZE: usize = 64;
const HEADER: usize = 10;

/// Longer standstills of the sender are not made up for.
const CATCH_UP: Duration = Duration::from_millis(100);

/// The sockets of all trains.
pub(super) struct Datagrams {
    senders: Vec<(UdpSocket, SocketAddr)>,
    receivers: Vec<Udp>,
}

/// The thread that sends, and the one that receives.
pub(super) type Threads = (JoinHandle<Vec<TrainLog>>, JoinHandle<io::Result<Vec<TrainLog>>>);

impl Datagrams {
    pub(super) fn open(plan: &Plan) -> Result<Datagrams, LoadError> {
        let mut receivers: Vec<Udp> = Vec::new();
        for train in &plan.trains {
            let there = SocketAddr::new(train.destination, TRAIN_PORT);
            if receivers.iter().all(|udp| udp.local_addr() != there) {
                receivers.push(listen(&train.to, there)?);
            }
        }
        let open = |(flow, train): (usize, &super::Train)| {
            let bind = || UdpSocket::bind((train.source, train.port));
            let failed = |source| LoadError::Client { node: train.from.name().to_owned(), flow, source };
            // Not connected: an ICMP error is no reason to send less.
            let socket = train.from.run(bind)?.map_err(failed)?;
            socket.set_nonblocking(true).map_err(failed)?;
            Ok((socket, SocketAddr::new(train.destination, TRAIN_PORT)))
        };
        let senders = plan.trains.iter().enumerate().map(open).collect::<Result<_, LoadError>>()?;
        Ok(Datagrams { senders, receivers })
    }

    pub(super) fn start(self, plan: &Plan, start: Instant, flags: &Flags) -> io::Result<Threads> {
        let Datagrams { senders, receivers } = self;
        let (rate, marker, trains) = (plan.rate, plan.marker, plan.trains.len());
        let mut payload = vec![0; HEADER];
        payload.extend_from_slice(&marker.payload(SIZE - HEADER));
        let (sending, receiving) = (flags.clone(), flags.clone());
        let sender = thread::Builder::new().name("trains-out".into());
        let sender = sender.spawn(move || send(&senders, payload, rate, start, &sending))?;
        let receiver = thread::Builder::new().name("trains-in".into());
        let receiver = receiver.spawn(move || receive(&receivers, trains, start, &receiving))?;
        Ok((sender, receiver))
    }
}

fn listen(node: &Node, there: SocketAddr) -> Result<Udp, LoadError> {
    let failed = |source| LoadError::Server { node: node.name().to_owned(), source };
    let options = UdpOptions { receive_buffer: 16 << 20, gro: false, ..UdpOptions::new(there) };
    node.run(|| Udp::bind(&options))?.map_err(|error| failed(io::Error::other(error)))
}

fn send(
    senders: &[(UdpSocket, SocketAddr)],
    mut payload: Vec<u8>,
    rate: u32,
    start: Instant,
    sending: &Flags,
) -> Vec<TrainLog> {
    let interval = Duration::from_secs(1) / rate.clamp(1, 10_000);
    let mut logs = vec![TrainLog::default(); senders.len()];
    let mut due = start.elapsed();
    let mut number = 0u64;
    while !senders.is_empty() {
        let paused = sending.is_paused();
        if !sending.may_send() {
            break;
        }
        let now = start.elapsed();
        if paused {
            due = now;
        }
        if let Some(early) = due.checked_sub(now).filter(|early| !early.is_zero()) {
            thread::sleep(early);
            continue;
        }
        logs[0].late.push((tick(due), tick(now)));
        due = due.max(now.saturating_sub(CATCH_UP)) + interval;
        payload[2..HEADER].copy_from_slice(&number.to_be_bytes());
        for (index, (socket, to)) in (0u16..).zip(senders) {
            payload[..2].copy_from_slice(&index.to_be_bytes());
            // The time before the call: what arrives has been sent by then.
            logs[usize::from(index)].sent.push(tick(start.elapsed()));
            // A datagram that this host's own kernel refuses is lost as any other.
            let _refused = socket.send_to(&payload, to);
        }
        number += 1;
    }
    logs
}

fn receive(receivers: &[Udp], trains: usize, start: Instant, receiving: &Flags) -> io::Result<Vec<TrainLog>> {
    let epoll = Epoll::new()?;
    for (token, udp) in (0..).zip(receivers) {
        epoll.add(udp, token, Interest::Read)?;
    }
    let mut logs = vec![TrainLog::default(); trains];
    let mut next = vec![0; trains];
    let (mut events, mut buffer) = (Events::with_capacity(receivers.len()), vec![0; 1 << 16]);
    while receiving.may_receive() {
        epoll.wait(&mut events, Some(Duration::from_millis(20)))?;
        for udp in receivers {
            while let Some(len) = next_of(udp, &mut buffer)? {
                let now = tick(start.elapsed());
                let Some((header, _marker)) = buffer[..len].split_first_chunk::<HEADER>() else { continue };
                let [f0, f1, number @ ..] = *header;
                let (train, number) = (usize::from(u16::from_be_bytes([f0, f1])), u64::from_be_bytes(number));
                // One that was damaged on the way may name any number.
                let (Some(log), true) = (logs.get_mut(train), number < 1 << 26) else { continue };
                log.arrive(number as usize, now, &mut next[train]);
            }
        }
    }
    Ok(logs)
}

fn next_of(udp: &Udp, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    match udp.receive(buffer) {
        Ok(received) => Ok(Some(received.len)),
        Err(error) if is_would_block(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

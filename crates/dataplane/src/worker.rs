//! One data-plane thread: an epoll loop over the halves that it owns, bounded work per turn.

use std::{
    collections::HashMap,
    io, mem,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use crossbeam_channel::Receiver;
use meshtun_sys::{
    epoll::{Epoll, Events, Interest},
    event::EventFd,
    thread,
    tun::Tun,
};

use crate::{
    ChannelId, Command, DropReason, Half,
    receiving::ReceivingHalf,
    scratch::Scratch,
    sending::SendingHalf,
    turn::{Source, Turn, from_token, token},
};

/// What the control side asks of a worker.
pub(crate) enum Order {
    /// A half, and what it obeys before its first turn.
    AddSending(Box<SendingHalf>, Vec<Command>, mpsc::Sender<io::Result<()>>),
    AddReceiving(Box<ReceivingHalf>, Vec<Command>, mpsc::Sender<io::Result<()>>),
    Remove(ChannelId, Half, mpsc::Sender<()>),
    /// The sending half stops reading its device, and hands it out.
    Lend(ChannelId, mpsc::Sender<Arc<Tun>>),
    /// The first channel's sending half reads the second's device, too.
    Borrow(ChannelId, ChannelId, Arc<Tun>, mpsc::Sender<io::Result<()>>),
    /// The first channel's sending half reads the second's device no longer.
    GiveBack(ChannelId, ChannelId, mpsc::Sender<()>),
    /// The sending half reads its device again.
    Reclaim(ChannelId, mpsc::Sender<io::Result<()>>),
    Command(ChannelId, Half, Command),
    Settle(mpsc::Sender<()>),
    Stop,
}

/// The thread's state. Everything in it belongs to this thread alone.
pub(crate) struct Worker {
    orders: Receiver<Order>,
    wake: Arc<EventFd>,
    epoll: Epoll,
    sending: HashMap<ChannelId, Box<SendingHalf>>,
    receiving: HashMap<ChannelId, Box<ReceivingHalf>>,
    /// Channels whose sending halves have packets waiting: they get a turn whether their devices have more or not.
    waiting: Vec<ChannelId>,
    /// A half has sent something in this round. On a shared processor its worker gives way then to those who have to
    /// digest it, so that packets wait in a sender's queue, by flow, and not in a receiver's socket, in one line.
    has_sent: bool,
    /// Counts the times that all that was ready had its turn.
    round: u64,
    scratch: Scratch,
}

/// Descriptors that one wait may report.
const READY: usize = 256;

/// How long a worker that has been told to stop goes on for the sake of sessions that carry their last packets.
const LAST_PACKETS: Duration = Duration::from_millis(50);

/// How often a worker that has just carried packets looks again, giving way each time, before it sleeps. A wake-up costs
/// about as much as six looks: under load the next packets are there by then, and a flow of lone small packets costs half
/// of what it costs with twenty.
const LOOKS_BEFORE_SLEEP: u32 = 6;

impl Worker {
    pub(crate) fn new(orders: Receiver<Order>, wake: Arc<EventFd>) -> io::Result<Worker> {
        let epoll = Epoll::new()?;
        epoll.add(&*wake, token(None, Source::Wake), Interest::Read)?;
        Ok(Worker {
            orders,
            wake,
            epoll,
            sending: HashMap::new(),
            receiving: HashMap::new(),
            waiting: Vec::new(),
            has_sent: false,
            round: 0,
            scratch: Scratch::new(),
        })
    }

    /// Runs until told to stop. A processor that cannot be had is no reason not to run.
    pub(crate) fn run(mut self, cpu: Option<usize>) {
        if let Some(cpu) = cpu {
            let _runs_anywhere = thread::pin_current(cpu);
        }
        let mut ready = Events::with_capacity(READY);
        let mut looks = 0;
        loop {
            let timeout = if looks > 0 || !self.waiting.is_empty() { Some(Duration::ZERO) } else { None };
            if self.epoll.wait(&mut ready, timeout).is_err() {
                ready.clear();
            }
            match self.serve(&ready) {
                Served::Stop => return self.finish_drains(),
                Served::Busy => {
                    looks = LOOKS_BEFORE_SLEEP;
                    if mem::take(&mut self.has_sent) {
                        thread::yield_now();
                    }
                }
                Served::Idle if looks > 0 => {
                    looks -= 1;
                    thread::yield_now();
                }
                Served::Idle => {}
            }
        }
    }

    /// One turn for every half that is ready.
    fn serve(&mut self, ready: &Events) -> Served {
        let mut served = Served::Idle;
        let now = Instant::now();
        self.round += 1;
        for event in ready.iter() {
            // Control frames are among the orders: they do not wait behind the turns of many busy halves.
            if !self.orders.is_empty() && self.obey() == Served::Stop {
                return Served::Stop;
            }
            let (channel, source) = from_token(event.token);
            let turn = match source {
                Source::Wake => match self.obey() {
                    Served::Stop => return Served::Stop,
                    _ => Turn::Idle,
                },
                Source::Tun => self.turn_sending(channel, now, |half, scratch| half.turn(scratch, now)),
                Source::Writable => self.turn_sending(channel, now, |half, scratch| half.resume(scratch, now)),
                Source::Udp => self.turn_receiving(channel, now),
            };
            if turn == Turn::Busy {
                served = Served::Busy;
            }
        }
        self.serve_waiting(now);
        if self.has_sent || !self.waiting.is_empty() { Served::Busy } else { served }
    }

    /// A turn for those that no event gave one.
    fn serve_waiting(&mut self, now: Instant) {
        let mut index = 0;
        while let Some(&channel) = self.waiting.get(index) {
            let had_its_turn = self.sending.get(&channel).is_some_and(|half| half.round == self.round);
            if !had_its_turn {
                self.turn_sending(channel, now, |half, scratch| half.turn(scratch, now));
            }
            if self.sending.get(&channel).is_some_and(|half| half.is_waiting()) {
                index += 1;
            } else {
                self.waiting.swap_remove(index);
            }
        }
    }

    fn turn_sending(
        &mut self,
        id: ChannelId,
        now: Instant,
        turn: impl FnOnce(&mut SendingHalf, &mut Scratch) -> Turn,
    ) -> Turn {
        let Some(half) = self.sending.get_mut(&id) else { return Turn::Idle };
        half.round = self.round;
        let waited = half.waits_for_room();
        let turned = turn(half, &mut self.scratch);
        half.end_drain(turned, &mut self.scratch, now);
        self.has_sent |= turned == Turn::Busy;
        half.forget_broken(&self.epoll);
        if turned == Turn::Failed {
            half.clear(&mut self.scratch, DropReason::NoSession);
            half.unwatch(&self.epoll);
        } else if waited != half.waits_for_room() {
            half.watch_again(&self.epoll);
        }
        if half.is_waiting() && !self.waiting.contains(&id) {
            self.waiting.push(id);
        }
        turned
    }

    /// What is still to be carried under sessions that end, before everything does.
    fn finish_drains(&mut self) {
        let end = Instant::now() + LAST_PACKETS;
        let drains = |half: &SendingHalf| half.is_draining();
        let mut left: Vec<_> = self.sending.values().filter(|half| drains(half)).map(|half| half.channel()).collect();
        let mut now = Instant::now();
        while !left.is_empty() && now < end {
            left.retain(|&channel| {
                self.turn_sending(channel, now, |half, scratch| half.resume(scratch, now));
                self.sending.get(&channel).is_some_and(|half| drains(half))
            });
            thread::yield_now();
            now = Instant::now();
        }
    }

    fn turn_receiving(&mut self, id: ChannelId, now: Instant) -> Turn {
        let Some(half) = self.receiving.get_mut(&id) else { return Turn::Idle };
        let turned = half.turn(&mut self.scratch, now);
        if turned == Turn::Failed {
            half.unwatch(&self.epoll);
        }
        turned
    }

    fn obey(&mut self) -> Served {
        // Drained before the queue is read: an order that comes later wakes the worker again.
        let _spurious = self.wake.drain();
        while let Ok(order) = self.orders.try_recv() {
            if matches!(order, Order::Stop) {
                return Served::Stop;
            }
            self.obey_one(order);
        }
        Served::Busy
    }

    fn obey_one(&mut self, order: Order) {
        match order {
            Order::AddSending(mut half, first, answer) => {
                first.into_iter().for_each(|command| half.obey(command, &mut self.scratch));
                let watched = half.watch(&self.epoll);
                if watched.is_ok() {
                    let (id, is_waiting) = (half.channel(), half.is_waiting());
                    self.sending.insert(id, half);
                    self.waiting.reserve(self.sending.len());
                    self.waiting.extend(is_waiting.then_some(id));
                }
                let _asker_gone = answer.send(watched);
            }
            Order::AddReceiving(mut half, first, answer) => {
                first.into_iter().for_each(|command| half.obey(command));
                let watched = half.watch(&self.epoll);
                if watched.is_ok() {
                    self.receiving.insert(half.channel(), half);
                }
                let _asker_gone = answer.send(watched);
            }
            Order::Remove(id, half, answer) => {
                self.remove(id, half);
                let _asker_gone = answer.send(());
            }
            Order::Command(id, Half::Sending, command) => {
                if let Some(half) = self.sending.get_mut(&id) {
                    let waited = half.waits_for_room();
                    half.obey(command, &mut self.scratch);
                    if waited != half.waits_for_room() {
                        half.watch_again(&self.epoll);
                    }
                    // A drain comes to its end even if its device has nothing.
                    if half.is_waiting() && !self.waiting.contains(&id) {
                        self.waiting.push(id);
                    }
                }
            }
            Order::Command(id, Half::Receiving, command) => {
                if let Some(half) = self.receiving.get_mut(&id) {
                    half.obey(command);
                }
            }
            Order::Lend(id, answer) => {
                if let Some(half) = self.sending.get_mut(&id) {
                    let _asker_gone = answer.send(half.lend(&self.epoll));
                }
            }
            Order::Borrow(id, owner, device, answer) => {
                if let Some(half) = self.sending.get_mut(&id) {
                    let _asker_gone = answer.send(half.borrow(owner, device, &self.epoll));
                }
            }
            Order::GiveBack(id, owner, answer) => {
                if let Some(half) = self.sending.get_mut(&id) {
                    half.give_back(owner, &self.epoll);
                }
                let _asker_gone = answer.send(());
            }
            Order::Reclaim(id, answer) => {
                if let Some(half) = self.sending.get_mut(&id) {
                    let _asker_gone = answer.send(half.reclaim(&self.epoll));
                }
            }
            Order::Settle(answer) => {
                let _asker_gone = answer.send(());
            }
            Order::Stop => {}
        }
    }

    fn remove(&mut self, id: ChannelId, half: Half) {
        match half {
            Half::Sending => {
                if let Some(mut half) = self.sending.remove(&id) {
                    half.unwatch(&self.epoll);
                    half.clear(&mut self.scratch, DropReason::NoSession);
                }
            }
            Half::Receiving => {
                if let Some(half) = self.receiving.remove(&id) {
                    half.unwatch(&self.epoll);
                }
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Served {
    Idle,
    Busy,
    Stop,
}

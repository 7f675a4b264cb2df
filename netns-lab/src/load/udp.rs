//! A train of numbered datagrams of each of some flows, at a steady rate.
//!
//! One thread sends for all flows in turn, a datagram a call, one receives. A datagram carries its flow (2 bytes), its
//! number (8 bytes, both big-endian) and then the marker, again and again.

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use meshtun_sys::{
    epoll::{Epoll, Events, Interest},
    udp::{Udp, UdpOptions, is_would_block},
};

use super::{
    LoadError, Marker,
    train::{Arrivals, UdpFlow, UdpReport},
};
use crate::{Node, cpu};

/// Flow and number.
const HEADER: usize = 10;

/// The least time that the sender sleeps: below it, what is due is sent together.
const TICK: Duration = Duration::from_micros(200);

/// The longest standstill that a sender makes up for, unless told otherwise: longer ones happen on a machine that is
/// paused or overloaded.
const CATCH_UP: Duration = Duration::from_millis(100);

/// Half a second at 200,000 small datagrams a second, each of which costs the buffer about 768 bytes.
const RECEIVE_BUFFER: usize = 64 << 20;

/// A train that can be sent.
#[derive(Clone, Debug)]
pub struct UdpTrain {
    /// The node that sends.
    pub client: Node,
    /// The node that receives.
    pub server: Node,
    /// The server's address.
    pub address: IpAddr,
    /// How many flows, each with a source port of its own.
    pub flows: u16,
    /// Datagrams a second of each flow.
    pub rate: u32,
    /// Payload of a datagram in bytes, at least 10.
    pub size: usize,
    /// How long.
    pub duration: Duration,
    /// How long stragglers are waited for at the end.
    pub patience: Duration,
    /// What the payload repeats; a random one if none is given.
    pub marker: Option<Marker>,
    /// The server's port; 0 for any.
    pub port: u16,
    /// The flows' source ports, as many as there are flows; any, if empty.
    pub source_ports: Vec<u16>,
    /// The longest standstill that the sender makes up for by sending faster what it missed: what was missed in a longer
    /// one would only overflow buffers on the way.
    pub catch_up: Duration,
    /// How much of what was missed in a standstill is sent at once; the rest follows at twice the rate.
    pub burst: Duration,
    /// The sender ends when its time is over, even if it was held up and has not sent everything.
    pub punctual: bool,
    /// The receiver's buffer in bytes.
    pub receive_buffer: usize,
    /// Whether the receiver takes trains with one call (`UDP_GRO`), which costs it less and most programs cannot.
    pub gro: bool,
}

impl UdpTrain {
    /// One flow of 1,000 datagrams of 64 bytes a second, for one second.
    pub fn new(client: &Node, server: &Node, address: IpAddr) -> UdpTrain {
        UdpTrain {
            client: client.clone(),
            server: server.clone(),
            address,
            flows: 1,
            rate: 1000,
            size: 64,
            duration: Duration::from_secs(1),
            patience: Duration::from_millis(500),
            marker: None,
            port: 0,
            source_ports: Vec::new(),
            catch_up: CATCH_UP,
            burst: CATCH_UP,
            punctual: false,
            receive_buffer: RECEIVE_BUFFER,
            gro: true,
        }
    }

    /// Sends it and waits for the last datagrams.
    ///
    /// A sender that was held up for long goes on at its rate, and ends later, unless it is [`Self::punctual`].
    ///
    /// A datagram that the client's kernel refuses is counted and not sent again.
    ///
    /// # Errors
    /// [`LoadError::Server`], [`LoadError::Client`] if a socket cannot be had.
    pub fn run(&self) -> Result<UdpReport, LoadError> {
        let plan = self.plan()?;
        let receiver = Receiver::bind(self)?;
        let mut sender = Sender::connect(self, &plan, receiver.socket.local_addr())?;
        let (over, start, busy) = (AtomicBool::new(false), Instant::now(), cpu::busy()?);
        let (arrivals, ended, cpu_seconds) = thread::scope(|scope| -> io::Result<_> {
            let receiving = scope.spawn(|| receiver.receive(&plan, start, &over));
            sender.send(&plan, start);
            let (ended, busy_at_end) = (start.elapsed(), cpu::busy());
            thread::sleep(self.patience);
            over.store(true, Ordering::Relaxed);
            let arrivals = receiving.join().expect("receiving indexes only flows that it has checked")?;
            Ok((arrivals, ended, busy_at_end?.saturating_sub(busy).as_secs_f64()))
        })?;
        let flows = sender.flows.iter().zip(&arrivals).map(|(flow, arrivals)| flow.account(arrivals, ended)).collect();
        Ok(UdpReport { flows, elapsed: ended, cpu_seconds, overrun: receiver.socket.drops()? })
    }

    fn plan(&self) -> io::Result<Plan> {
        let interval = Duration::from_secs(1) / self.rate.max(1);
        let count = (self.duration.as_nanos() / interval.as_nanos().max(1)) as u64;
        let limit = if self.punctual { self.duration } else { Duration::MAX };
        let marker = self.marker.map_or_else(Marker::random, Ok)?;
        Ok(Plan {
            flows: usize::from(self.flows),
            count,
            interval,
            limit,
            catch_up: self.catch_up,
            burst: self.burst,
            marker,
        })
    }
}

/// A train in numbers.
struct Plan {
    flows: usize,
    /// Datagrams of each flow.
    count: u64,
    interval: Duration,
    /// When sending ends at the latest.
    limit: Duration,
    catch_up: Duration,
    burst: Duration,
    marker: Marker,
}

/// When datagrams are due.
struct Pace {
    interval: Duration,
    catch_up: Duration,
    burst: Duration,
    /// By how much all that is to come is later than planned.
    delay: Duration,
    /// When all that was sent would have been sent at twice the rate.
    fastest: Duration,
}

impl Pace {
    fn new(plan: &Plan) -> Pace {
        let Plan { interval, catch_up, burst, .. } = *plan;
        Pace { interval, catch_up, burst, delay: Duration::ZERO, fastest: Duration::ZERO }
    }

    /// How long to wait for the time of a datagram, which has come if there is none.
    fn early(&mut self, number: u64, now: Duration) -> Option<Duration> {
        let due = self.interval.mul_f64(number as f64) + self.delay;
        let late = now.saturating_sub(due);
        if late > self.catch_up {
            self.delay += late;
        }
        due.max(self.fastest.saturating_sub(self.burst)).checked_sub(now).filter(|early| !early.is_zero())
    }

    fn sent(&mut self, now: Duration) {
        self.fastest = self.fastest.max(now) + self.interval / 2;
    }
}

struct Sender {
    payload: Vec<u8>,
    flows: Vec<SendingFlow>,
}

struct SendingFlow {
    socket: UdpSocket,
    sent: u64,
    refused: u64,
}

impl Sender {
    fn connect(train: &UdpTrain, plan: &Plan, to: SocketAddr) -> Result<Sender, LoadError> {
        let from: IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
        let connect = |flow| {
            let port = train.source_ports.get(flow).copied().unwrap_or(0);
            let open = || UdpSocket::bind((from, port)).and_then(|socket| socket.connect(to).map(|()| socket));
            let failed = |source| LoadError::Client { node: train.client.name().to_owned(), flow, source };
            Ok(SendingFlow { socket: train.client.run(open)?.map_err(failed)?, sent: 0, refused: 0 })
        };
        let flows = (0..plan.flows).map(connect).collect::<Result<_, LoadError>>()?;
        let mut payload = vec![0; HEADER];
        payload.extend_from_slice(&plan.marker.payload(train.size.saturating_sub(HEADER)));
        Ok(Sender { payload, flows })
    }

    /// Sends what is due, sleeps until more is, and so on to the end.
    fn send(&mut self, plan: &Plan, start: Instant) {
        let mut pace = Pace::new(plan);
        for number in 0..plan.count {
            while let Some(early) = pace.early(number, start.elapsed()) {
                thread::sleep(early.max(TICK));
            }
            let now = start.elapsed();
            if now > plan.limit {
                break;
            }
            pace.sent(now);
            self.send_one_of_each(number);
        }
    }

    fn send_one_of_each(&mut self, number: u64) {
        self.payload[2..HEADER].copy_from_slice(&number.to_be_bytes());
        for (index, flow) in (0u16..).zip(&mut self.flows) {
            self.payload[..2].copy_from_slice(&index.to_be_bytes());
            match flow.socket.send(&self.payload) {
                Ok(_) => flow.sent += 1,
                Err(_) => flow.refused += 1,
            }
        }
    }
}

impl SendingFlow {
    fn account(&self, arrivals: &Arrivals, ended: Duration) -> UdpFlow {
        let port = self.socket.local_addr().map_or(0, |address| address.port());
        UdpFlow { port, sent: self.sent, refused: self.refused, ..arrivals.close(self.sent + self.refused, ended) }
    }
}

struct Receiver {
    socket: Udp,
    epoll: Epoll,
}

impl Receiver {
    fn bind(train: &UdpTrain) -> Result<Receiver, LoadError> {
        let failed = |source| LoadError::Server { node: train.server.name().to_owned(), source };
        let UdpTrain { receive_buffer, gro, .. } = *train;
        let options = UdpOptions { receive_buffer, gro, ..UdpOptions::new((train.address, train.port).into()) };
        let bound = train.server.run(|| Udp::bind(&options))?;
        let socket = bound.map_err(|error| failed(io::Error::other(error)))?;
        let epoll = Epoll::new().map_err(failed)?;
        epoll.add(&socket, 0, Interest::Read).map_err(failed)?;
        Ok(Receiver { socket, epoll })
    }

    fn receive(&self, plan: &Plan, start: Instant, over: &AtomicBool) -> io::Result<Vec<Arrivals>> {
        let mut arrivals: Vec<_> = (0..plan.flows).map(|_| Arrivals::new(Duration::ZERO)).collect();
        let (mut events, mut buffer) = (Events::with_capacity(1), vec![0; 1 << 16]);
        while !over.load(Ordering::Relaxed) {
            match self.socket.receive(&mut buffer) {
                Ok(received) => {
                    let now = start.elapsed();
                    for datagram in buffer[..received.len].chunks(received.segment.max(1)) {
                        note(&mut arrivals, plan, datagram, now);
                    }
                }
                Err(error) if is_would_block(&error) => {
                    self.epoll.wait(&mut events, Some(Duration::from_millis(10)))?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(arrivals)
    }
}

/// A datagram that is not one of ours, or no longer what it was, is passed over.
fn note(arrivals: &mut [Arrivals], plan: &Plan, datagram: &[u8], now: Duration) {
    let Some((header, payload)) = datagram.split_first_chunk::<HEADER>() else { return };
    let [f0, f1, number @ ..] = *header;
    let (flow, number) = (u16::from_be_bytes([f0, f1]), u64::from_be_bytes(number));
    if let Some(flow) =
        arrivals.get_mut(usize::from(flow)).filter(|_| number < plan.count && plan.marker.matches(payload, 0))
    {
        flow.arrived(number, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn pace(burst: Duration) -> Pace {
        Pace { interval: ms(20), catch_up: CATCH_UP, burst, delay: Duration::ZERO, fastest: Duration::ZERO }
    }

    #[test]
    fn what_a_short_standstill_missed_is_sent_at_once() {
        let mut pace = pace(CATCH_UP);
        assert_eq!(pace.early(1, ms(5)), Some(ms(15)));
        for number in 1..=5 {
            assert_eq!(pace.early(number, ms(110)), None);
            pace.sent(ms(110));
        }
        assert_eq!(pace.early(6, ms(110)), Some(ms(10)));
    }

    #[test]
    fn what_is_more_than_may_be_sent_at_once_follows_at_twice_the_rate() {
        let mut pace = pace(ms(10));
        for number in 1..=2 {
            assert_eq!(pace.early(number, ms(110)), None);
            pace.sent(ms(110));
        }
        assert_eq!(pace.early(3, ms(110)), Some(ms(10)));
        assert_eq!(pace.early(3, ms(120)), None);
        pace.sent(ms(120));
        assert_eq!(pace.early(4, ms(120)), Some(ms(10)));
    }

    #[test]
    fn after_a_long_standstill_the_train_goes_on_at_its_rate() {
        let mut pace = pace(CATCH_UP);
        assert_eq!(pace.early(1, ms(3_600)), None);
        assert_eq!(pace.early(2, ms(3_600)), Some(ms(20)));
        assert_eq!(pace.early(3, ms(3_621)), Some(ms(19)));
    }
}

//! Datagrams that are sent back, and how long that takes.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use netns_lab::Node;

/// The time between two datagrams: 200 a second.
const EVERY: Duration = Duration::from_millis(5);

/// How long the last answers are waited for at the most.
pub(super) const PATIENCE: Duration = Duration::from_millis(300);

/// Payload of a datagram: the time at which it was sent, and nothing else of use.
const SIZE: usize = 64;

/// Who asks whom.
pub(super) struct Echo {
    pub(super) client: Node,
    pub(super) server: Node,
    /// The client's port.
    pub(super) from: u16,
    /// Where the server is.
    pub(super) to: SocketAddr,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Pings {
    pub(super) sent: u64,
    /// From sending to the answer, in the order of the answers.
    pub(super) answers: Vec<Duration>,
}

impl Echo {
    /// Asks 200 times a second, whatever becomes of the answers.
    pub(super) fn run(&self, duration: Duration) -> anyhow::Result<Pings> {
        let server = self.server.run(|| UdpSocket::bind(self.to))?.context("the echo's server")?;
        // Not connected: a connected socket's packets carry a hash of the socket's own, by which a gateway in another
        // namespace of this machine chooses the channel (fib_multipath_hash), and not by the ports as for a real host.
        let client = self.client.run(|| UdpSocket::bind(("0.0.0.0", self.from)))?.context("the echo's client")?;
        for socket in [&server, &client] {
            // Only so that their threads look at whether it is over.
            socket.set_read_timeout(Some(Duration::from_millis(20)))?;
        }
        let (over, heard, start) = (AtomicBool::new(false), AtomicU64::new(0), Instant::now());
        thread::scope(|scope| {
            let echoing = scope.spawn(|| send_back(&server, &over));
            let hearing = scope.spawn(|| hear(&client, start, &heard, &over));
            let sent = ask(&client, self.to, start, duration);
            let deadline = Instant::now() + PATIENCE;
            while heard.load(Ordering::Relaxed) < sent && Instant::now() < deadline {
                thread::sleep(EVERY);
            }
            over.store(true, Ordering::Relaxed);
            echoing.join().expect("sending back does not panic")?;
            let answers = hearing.join().expect("hearing does not panic")?;
            Ok(Pings { sent, answers })
        })
    }
}

fn ask(client: &UdpSocket, to: SocketAddr, start: Instant, duration: Duration) -> u64 {
    let count = (duration.as_nanos() / EVERY.as_nanos()) as u32;
    for number in 0..count {
        let due = EVERY * number;
        thread::sleep(due.saturating_sub(start.elapsed()));
        let mut datagram = [0; SIZE];
        datagram[..16].copy_from_slice(&start.elapsed().as_nanos().to_be_bytes());
        // One that could not be sent has no answer.
        let _unanswered = client.send_to(&datagram, to);
    }
    count.into()
}

fn hear(client: &UdpSocket, start: Instant, heard: &AtomicU64, over: &AtomicBool) -> io::Result<Vec<Duration>> {
    let (mut answers, mut datagram) = (Vec::new(), [0; SIZE]);
    while !over.load(Ordering::Relaxed) {
        match client.recv(&mut datagram) {
            Ok(SIZE) => {
                answers.extend(age(&datagram, start.elapsed()));
                heard.store(answers.len() as u64, Ordering::Relaxed);
            }
            Ok(_) => {}
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(answers)
}

/// The time since a datagram was sent.
fn age(datagram: &[u8; SIZE], now: Duration) -> Option<Duration> {
    let (sent, _) = datagram.split_first_chunk()?;
    let sent = u64::try_from(u128::from_be_bytes(*sent)).ok()?;
    now.checked_sub(Duration::from_nanos(sent))
}

fn send_back(server: &UdpSocket, over: &AtomicBool) -> io::Result<()> {
    let mut datagram = [0; SIZE];
    while !over.load(Ordering::Relaxed) {
        match server.recv_from(&mut datagram) {
            Ok((size, from)) => {
                // As lost as one that never came.
                let _lost = server.send_to(&datagram[..size], from);
            }
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Nothing came in time, or an ICMP error for what was sent before.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable, TimedOut, WouldBlock};
    matches!(error.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable | TimedOut | WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_tells_its_age() {
        let mut datagram = [0; SIZE];
        datagram[..16].copy_from_slice(&5_000_000_u128.to_be_bytes());
        assert_eq!(age(&datagram, Duration::from_millis(8)), Some(Duration::from_millis(3)));
        assert_eq!(age(&datagram, Duration::from_millis(2)), None, "not ours: it comes from the future");
        assert_eq!(age(&[255; SIZE], Duration::from_millis(2)), None);
    }
}

//! A TCP flow that talks slowly: a message, its echo, a pause, and so on.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, Shutdown, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use netns_lab::Node;

/// Bytes of a message: numbers that count on, so that no two messages of a flow are alike.
const MESSAGE: usize = 1024;

/// Between an echo and the next message.
const PAUSE: Duration = Duration::from_millis(20);

/// An echo that takes longer is taken to be lost for good.
const PATIENCE: Duration = Duration::from_secs(15);

/// Both ends of a connection.
pub(super) struct Conversation {
    client: TcpStream,
    server: TcpStream,
}

/// What came of a conversation.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// Messages that came back as they were.
    pub(super) exchanges: u64,
    /// The longest time that an echo took.
    pub(super) longest: Duration,
    /// Why it ended before its time.
    pub(super) broken: Option<io::Error>,
}

impl Conversation {
    /// Connects from one node to an address of another.
    pub(super) fn open(from: &Node, to: &Node, address: IpAddr) -> anyhow::Result<Conversation> {
        let listener = to.run(|| TcpListener::bind((address, 0)))?.context("cannot listen")?;
        let there = listener.local_addr()?;
        let client = from.run(|| TcpStream::connect_timeout(&there, PATIENCE))?;
        let client = client.with_context(|| format!("cannot connect from {} to {there}", from.name()))?;
        let (server, _) = listener.accept()?;
        for end in [&client, &server] {
            end.set_nodelay(true)?;
        }
        client.set_read_timeout(Some(PATIENCE))?;
        Ok(Conversation { client, server })
    }

    /// Talks until then, on this thread and one more.
    pub(super) fn talk(&self, until: Instant) -> Account {
        thread::scope(|scope| {
            scope.spawn(|| echo(&self.server));
            let mut account = Account::default();
            while Instant::now() < until && account.broken.is_none() {
                match self.exchange(account.exchanges) {
                    Ok(took) => {
                        account.exchanges += 1;
                        account.longest = account.longest.max(took);
                    }
                    Err(error) => account.broken = Some(error),
                }
                thread::sleep(PAUSE);
            }
            // Ends the echo; fails where the connection is gone already.
            let _gone = self.server.shutdown(Shutdown::Both);
            account
        })
    }

    fn exchange(&self, number: u64) -> io::Result<Duration> {
        let (begun, message) = (Instant::now(), message(number));
        (&self.client).write_all(&message)?;
        let mut echo = [0; MESSAGE];
        (&self.client).read_exact(&mut echo)?;
        if echo == message { Ok(begun.elapsed()) } else { Err(io::Error::other("other bytes came back")) }
    }
}

fn echo(mut stream: &TcpStream) {
    let mut buffer = [0; MESSAGE];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..read]).is_err() {
            return;
        }
    }
}

fn message(number: u64) -> [u8; MESSAGE] {
    let mut message = [0; MESSAGE];
    let first = number * (MESSAGE / 8) as u64;
    for (counted, bytes) in (first..).zip(message.chunks_exact_mut(8)) {
        bytes.copy_from_slice(&counted.to_be_bytes());
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversation() -> Conversation {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        Conversation { client, server: listener.accept().unwrap().0 }
    }

    #[test]
    fn messages_are_counted_when_their_echo_comes() {
        let account = conversation().talk(Instant::now() + 5 * PAUSE);
        assert!((1..=5).contains(&account.exchanges), "{account:?}");
        assert!(account.broken.is_none() && !account.longest.is_zero(), "{account:?}");
    }

    #[test]
    fn a_connection_that_ends_is_broken() {
        let conversation = conversation();
        conversation.server.shutdown(Shutdown::Write).unwrap();
        let account = conversation.talk(Instant::now() + PATIENCE);
        assert!(account.broken.is_some() && account.exchanges == 0, "{account:?}");
    }

    #[test]
    fn an_echo_of_other_bytes_is_broken() {
        let conversation = conversation();
        (&conversation.server).write_all(&[7; MESSAGE]).unwrap();
        assert!(conversation.exchange(0).is_err());
    }
}

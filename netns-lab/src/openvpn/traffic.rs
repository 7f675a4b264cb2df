//! Datagrams and bytes through a tunnel and back.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use super::{OpenVpnError, ask};
use crate::Node;

/// The port at which either end answers.
const PORT: u16 = 7007;

/// Payloads: empty, around a block of 16 bytes and of 8, and up to what an MTU of 1500 takes.
const LENGTHS: [usize; 14] = [0, 1, 7, 8, 15, 16, 17, 100, 500, 548, 1000, 1300, 1399, 1452];

/// How much goes through TCP in each direction.
const BYTES: usize = 1 << 20;

/// How long a datagram is waited for before it is sent again.
const AGAIN: Duration = Duration::from_millis(200);

/// One end of the tunnel.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) node: &'a Node,
    pub(super) inside: IpAddr,
}

/// Sends datagrams of all lengths to and fro, each way round, until each has come back as it was.
pub(super) fn echo_datagrams(ends: [Place<'_>; 2], limit: Duration) -> Result<(), OpenVpnError> {
    for (from, to) in [(ends[0], ends[1]), (ends[1], ends[0])] {
        let deadline = Instant::now() + limit;
        let answers = bind(to, PORT, deadline)?;
        answers.set_read_timeout(Some(Duration::from_millis(50)))?;
        let asks = bind(from, 0, deadline)?;
        asks.set_read_timeout(Some(AGAIN))?;
        thread::scope(|scope| {
            let echo = scope.spawn(move || echo(&answers, deadline));
            let asked = LENGTHS.iter().try_for_each(|length| ask_once(&asks, to.inside, *length, deadline));
            // A word of its own ends the other thread.
            let _gone =
                to.node.run(|| UdpSocket::bind((to.inside, 0)).and_then(|end| end.send_to(END, (to.inside, PORT))));
            echo.join().unwrap_or_else(|_| Err(io::Error::other("the echoing thread panicked")))?;
            asked.map_err(|length| {
                let (from, to) = (from.node.name(), to.node.name());
                OpenVpnError::Traffic(format!(
                    "{from} to {to}: a datagram of {length} bytes has not come back in {limit:?}"
                ))
            })
        })?;
    }
    Ok(())
}

/// A socket with an end's address, which may be there only when its device is.
fn bind(end: Place<'_>, port: u16, deadline: Instant) -> Result<UdpSocket, OpenVpnError> {
    loop {
        match end.node.run(|| UdpSocket::bind((end.inside, port)))? {
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable && Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(20));
            }
            bound => return Ok(bound?),
        }
    }
}

/// What ends an echo: longer than any datagram that is asked.
const END: &[u8] = &[0xE0; 1460];

fn echo(socket: &UdpSocket, deadline: Instant) -> io::Result<()> {
    let mut buffer = [0; 2048];
    while Instant::now() < deadline {
        match socket.recv_from(&mut buffer) {
            Ok((length, _)) if buffer[..length] == *END => return Ok(()),
            // That the way back is gone for a moment is for the asking end to notice.
            Ok((length, from)) => drop(socket.send_to(&buffer[..length], from)),
            Err(error) if is_patience(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Asks until the same comes back; the length is the error.
fn ask_once(socket: &UdpSocket, to: IpAddr, length: usize, deadline: Instant) -> Result<(), usize> {
    let wanted = pattern(length, length as u8);
    let mut buffer = [0; 2048];
    while Instant::now() < deadline {
        let _refused = socket.send_to(&wanted, (to, PORT));
        if let Ok((came, _)) = socket.recv_from(&mut buffer)
            && buffer[..came] == wanted
        {
            return Ok(());
        }
    }
    Err(length)
}

/// Sends a megabyte each way in one connection, and gives the segments that the two ends agreed on.
pub(super) fn stream(ends: [Place<'_>; 2], limit: Duration) -> Result<u32, OpenVpnError> {
    let [client, server] = ends;
    let listener = server.node.run(|| TcpListener::bind((server.inside, PORT)))??;
    let there = SocketAddr::new(server.inside, PORT);
    let connection = client.node.run(|| TcpStream::connect_timeout(&there, limit))??;
    let (accepted, _) = listener.accept()?;
    let failed = |error: io::Error| OpenVpnError::Traffic(format!("{BYTES} bytes of TCP each way: {error}"));
    for end in [&connection, &accepted] {
        end.set_read_timeout(Some(limit))?;
        end.set_write_timeout(Some(limit))?;
    }
    thread::scope(|scope| {
        let halves = [(&connection, &accepted, 1), (&accepted, &connection, 2)];
        let moving = halves
            .map(|(from, to, seed)| [scope.spawn(move || write(from, seed)), scope.spawn(move || read(to, seed))]);
        moving.into_iter().flatten().try_for_each(|half| {
            half.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked"))).map_err(failed)
        })
    })?;
    // The socket is asked where it is open still.
    let said = ask(client.node, &["ss", "-tinH", "dst", &there.to_string()])?;
    let mss = said.split_ascii_whitespace().find_map(|word| word.strip_prefix("mss:")?.parse().ok());
    mss.ok_or_else(|| OpenVpnError::Traffic(format!("`ss` tells no segment size: {said}")))
}

fn write(mut to: &TcpStream, seed: u8) -> io::Result<()> {
    to.write_all(&pattern(BYTES, seed))
}

fn read(mut from: &TcpStream, seed: u8) -> io::Result<()> {
    let mut came = vec![0; BYTES];
    from.read_exact(&mut came)?;
    if came == pattern(BYTES, seed) { Ok(()) } else { Err(io::Error::other("other bytes came than were sent")) }
}

/// Bytes that compress badly and differ from place to place.
fn pattern(length: usize, seed: u8) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32.wrapping_add(seed.into());
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

fn is_patience(error: &io::Error) -> bool {
    // A port that was not open a moment ago is told by ICMP.
    let kinds = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut, io::ErrorKind::ConnectionRefused];
    kinds.contains(&error.kind())
}

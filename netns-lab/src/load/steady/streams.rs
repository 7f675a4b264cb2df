//! The TCP flows of a steady load.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use meshtun_sys::epoll::{Epoll, Events, Interest};

use super::{
    Flags, Plan, Stream,
    account::{FlowLog, tick},
};
use crate::load::LoadError;

/// How long a connection may take to be made.
const PATIENCE: Duration = Duration::from_secs(10);

/// Both ends of every connection.
pub(super) struct Streams {
    out: Vec<TcpStream>,
    into: Vec<TcpStream>,
}

/// The thread that sends, and the one that receives.
pub(super) type Threads = (JoinHandle<()>, JoinHandle<io::Result<Vec<FlowLog>>>);

impl Streams {
    pub(super) fn connect(plan: &Plan) -> Result<Streams, LoadError> {
        let mut streams = Streams { out: Vec::new(), into: Vec::new() };
        for (flow, stream) in plan.streams.iter().enumerate() {
            let (out, into) = pair(flow, stream)?;
            streams.out.push(out);
            streams.into.push(into);
        }
        Ok(streams)
    }

    pub(super) fn start(self, plan: &Plan, start: Instant, flags: &Flags) -> io::Result<Threads> {
        let (every, payload) = (plan.every, plan.marker.payload(plan.size));
        let (sending, receiving) = (flags.clone(), flags.clone());
        let Streams { out, into } = self;
        let writer = thread::Builder::new().name("flows-out".into());
        let writer = writer.spawn(move || write(out, &payload, every, start, &sending))?;
        let reader = thread::Builder::new().name("flows-in".into());
        let reader = reader.spawn(move || read(into, start, &receiving))?;
        Ok((writer, reader))
    }
}

fn pair(flow: usize, stream: &Stream) -> Result<(TcpStream, TcpStream), LoadError> {
    let server_failed = |source| LoadError::Server { node: stream.to.name().to_owned(), source };
    let client_failed = |source| LoadError::Client { node: stream.from.name().to_owned(), flow, source };
    let listener = stream.to.run(|| TcpListener::bind((stream.destination, 0)))?.map_err(server_failed)?;
    let there: SocketAddr = listener.local_addr().map_err(server_failed)?;
    let out = stream.from.run(|| TcpStream::connect_timeout(&there, PATIENCE))?.map_err(client_failed)?;
    // The client's handshake is done, so the connection waits here or is about to.
    let (into, _) = listener.accept().map_err(server_failed)?;
    for end in [&out, &into] {
        end.set_nonblocking(true).map_err(client_failed)?;
        end.set_nodelay(true).map_err(client_failed)?;
    }
    Ok((out, into))
}

/// Writes a little to each flow at each turn, the flows one after the other over the interval. Where a socket has no room
/// the turn is left out; a connection that broke stays silent.
fn write(mut out: Vec<TcpStream>, payload: &[u8], every: Duration, start: Instant, sending: &Flags) {
    let pause = every / u32::try_from(out.len().max(1)).unwrap_or(1);
    let mut due = start.elapsed();
    while sending.may_send() && !out.is_empty() {
        for stream in &mut out {
            let _full_or_broken = stream.write(payload);
            due += pause;
            if let Some(early) = due.checked_sub(start.elapsed()).filter(|early| *early > Duration::from_micros(200)) {
                thread::sleep(early);
            }
        }
        due = due.max(start.elapsed().saturating_sub(every));
    }
}

fn read(mut into: Vec<TcpStream>, start: Instant, receiving: &Flags) -> io::Result<Vec<FlowLog>> {
    let epoll = Epoll::new()?;
    for (token, stream) in (0..).zip(&into) {
        epoll.add(stream, token, Interest::Read)?;
    }
    let now = tick(start.elapsed());
    let mut logs = vec![FlowLog { last: now, ..FlowLog::default() }; into.len()];
    let (mut events, mut buffer) = (Events::with_capacity(into.len()), vec![0; 1 << 16]);
    while receiving.may_receive() {
        epoll.wait(&mut events, Some(Duration::from_millis(20)))?;
        for event in events.iter() {
            let at = usize::try_from(event.token).unwrap_or(usize::MAX);
            let Some(stream) = into.get_mut(at) else { continue };
            match stream.read(&mut buffer) {
                Ok(1..) => logs[at].arrive(tick(start.elapsed())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The end of the flow, whoever brought it about; it would be told again and again.
                Ok(0) | Err(_) => epoll.delete(&*stream)?,
            }
        }
    }
    Ok(logs)
}

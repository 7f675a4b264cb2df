//! TCP flows of one node to another, as fast as they go.
//!
//! Every flow is a connection with a source port of its own. Each direction of a flow has a thread that writes or reads
//! 256 KiB at a time, so that user space costs next to nothing. When the time is over all sockets are shut down, which
//! ends every thread whatever the network does.

use std::{
    io,
    net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use meshtun_sys::tcp;
use tokio::{net::TcpSocket, runtime, time};

use super::{
    LoadError, Marker,
    flow::{Counter, Way, receive, send},
};
use crate::{LabError, Node, cpu};

/// Which way the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
    /// Both at once.
    Both,
}

/// A load that can be run.
#[derive(Clone, Debug)]
pub struct TcpLoad {
    /// The node that connects.
    pub client: Node,
    /// The node that listens.
    pub server: Node,
    /// The server's address.
    pub address: IpAddr,
    /// How many flows.
    pub flows: usize,
    /// Which way.
    pub direction: Direction,
    /// How long.
    pub duration: Duration,
    /// What the payload repeats; a random one if none is given.
    pub marker: Option<Marker>,
    /// How often progress is told.
    pub every: Duration,
    /// How long a connection may take to be made.
    pub patience: Duration,
    /// The server's port; 0 for any.
    pub port: u16,
    /// The flows' source ports, as many as there are flows; any, if empty. Towards the same port of the server each serves
    /// once a minute: the kernel remembers a connection that ended for so long (`TCP_TIMEWAIT_LEN`).
    pub source_ports: Vec<u16>,
    /// How both ends find their rate, such as `cubic`; as the machine does, if none is given.
    pub congestion_control: Option<String>,
}

/// How far a load has come.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Since the first byte.
    pub elapsed: Duration,
    /// Each flow up to here.
    pub flows: Vec<TcpFlow>,
}

/// One flow: what has been received, without the headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFlow {
    /// The client's port.
    pub port: u16,
    /// Bytes received by the server.
    pub to_server: u64,
    /// Bytes received by the client.
    pub to_client: u64,
    /// The longest time in which nothing came, in either direction that is used.
    pub longest_gap: Duration,
    /// Times that what came was not the payload that was sent.
    pub corrupt: u64,
}

/// What came of a load.
#[derive(Clone, Debug)]
pub struct TcpReport {
    /// From the first byte to the end of the time.
    pub elapsed: Duration,
    /// Each flow.
    pub flows: Vec<TcpFlow>,
    /// Busy seconds of the whole machine meanwhile.
    pub cpu_seconds: f64,
    /// Segments that the client's and the server's node sent again, all their connections together.
    pub retransmitted: u64,
    /// What the payload repeated.
    pub marker: Marker,
}

impl TcpLoad {
    /// 16 flows to the server for 5 seconds.
    pub fn new(client: &Node, server: &Node, address: IpAddr) -> TcpLoad {
        TcpLoad {
            client: client.clone(),
            server: server.clone(),
            address,
            flows: 16,
            direction: Direction::ToServer,
            duration: Duration::from_secs(5),
            marker: None,
            every: Duration::from_millis(250),
            patience: Duration::from_secs(5),
            port: 0,
            source_ports: Vec::new(),
            congestion_control: None,
        }
    }

    /// Runs it to its end. `progress` is called now and then by the calling thread.
    ///
    /// A connection that breaks on the way ends its flow and nothing else: its bytes stop growing.
    ///
    /// # Errors
    /// [`LoadError::Client`] if a connection cannot be made, [`LoadError::Server`] if the server cannot listen.
    pub fn run(&self, mut progress: impl FnMut(&Progress)) -> Result<TcpReport, LoadError> {
        let marker = self.marker.map_or_else(Marker::random, Ok)?;
        let pairs = self.connect()?;
        let flows: Vec<_> = pairs.iter().map(Flow::new).collect();
        let (retransmitted, busy, start) = (self.retransmitted()?, cpu::busy()?, Instant::now());
        let mut busy_until_end = Ok(busy);
        let counted = thread::scope(|scope| {
            for flow in &flows {
                flow.start(scope, self.direction, marker, start);
            }
            while let Some(left) = self.duration.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) {
                thread::sleep(left.min(self.every));
                let elapsed = start.elapsed();
                progress(&Progress { elapsed, flows: count(&flows, elapsed) });
            }
            // Read before the shutting down, which is not part of the load.
            let elapsed = start.elapsed();
            let counted = (elapsed, count(&flows, elapsed));
            busy_until_end = cpu::busy();
            flows.iter().for_each(Flow::shut_down);
            counted
        });
        let (elapsed, flows) = counted;
        let cpu_seconds = busy_until_end?.saturating_sub(busy).as_secs_f64();
        let retransmitted = self.retransmitted()?.saturating_sub(retransmitted);
        Ok(TcpReport { elapsed, flows, cpu_seconds, retransmitted, marker })
    }

    /// Makes all connections, one after the other: the client's end and the server's.
    fn connect(&self) -> Result<Vec<(TcpStream, TcpStream)>, LoadError> {
        let server_failed = |source| LoadError::Server { node: self.server.name().to_owned(), source };
        let listener = self.server.run(|| TcpListener::bind((self.address, self.port)))?.map_err(server_failed)?;
        listener.set_nonblocking(true).map_err(server_failed)?;
        let address = listener.local_addr().map_err(server_failed)?;
        let connect = |flow| {
            let failed = |source| LoadError::Client { node: self.client.name().to_owned(), flow, source };
            let port = self.source_ports.get(flow).copied();
            let open = || match port {
                None => TcpStream::connect_timeout(&address, self.patience),
                Some(port) => connect_from(port, address, self.patience),
            };
            let client = self.client.run(open)?.map_err(failed)?;
            let server = self.accept(&listener, client.local_addr().map_err(failed)?).map_err(server_failed)?;
            if let Some(algorithm) = &self.congestion_control {
                tcp::set_congestion_control(&client, algorithm).map_err(failed)?;
                tcp::set_congestion_control(&server, algorithm).map_err(server_failed)?;
            }
            Ok((client, server))
        };
        (0..self.flows).map(connect).collect()
    }

    /// The connection's other end; a client's handshake is done before the server's, whose last packet may be on its way.
    fn accept(&self, listener: &TcpListener, client: SocketAddr) -> io::Result<TcpStream> {
        let deadline = Instant::now() + self.patience;
        loop {
            match listener.accept() {
                Ok((stream, from)) if from.port() == client.port() => {
                    stream.set_nonblocking(false)?;
                    return Ok(stream);
                }
                // A stranger.
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(1));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(io::ErrorKind::TimedOut.into()),
                Err(error) => return Err(error),
            }
        }
    }

    fn retransmitted(&self) -> Result<u64, LoadError> {
        let counted = |node: &Node| -> Result<u64, LabError> { Ok(node.run(retransmitted_segments)?.unwrap_or(0)) };
        Ok(counted(&self.client)? + counted(&self.server)?)
    }
}

impl TcpReport {
    /// Bytes of payload received, both directions together.
    pub fn bytes(&self) -> u64 {
        self.flows.iter().map(|flow| flow.to_server + flow.to_client).sum()
    }

    /// Payload received, both directions together, in 10⁹ bits a second.
    pub fn gigabits_per_second(&self) -> f64 {
        self.bytes() as f64 * 8.0 / 1e9 / self.elapsed.as_secs_f64()
    }

    /// Busy seconds of the whole machine for each 10⁹ bytes of payload.
    pub fn cpu_seconds_per_gigabyte(&self) -> f64 {
        self.cpu_seconds / (self.bytes() as f64 / 1e9)
    }
}

/// A connection under load.
struct Flow<'a> {
    client: &'a TcpStream,
    server: &'a TcpStream,
    to_server: Counter,
    to_client: Counter,
}

impl<'a> Flow<'a> {
    fn new((client, server): &'a (TcpStream, TcpStream)) -> Flow<'a> {
        Flow { client, server, to_server: Counter::default(), to_client: Counter::default() }
    }

    fn start<'scope>(
        &'scope self,
        scope: &'scope thread::Scope<'scope, '_>,
        direction: Direction,
        marker: Marker,
        start: Instant,
    ) {
        let mut ways = Vec::new();
        if direction != Direction::ToClient {
            ways.push(Way { from: self.client, to: self.server, counter: &self.to_server });
        }
        if direction != Direction::ToServer {
            ways.push(Way { from: self.server, to: self.client, counter: &self.to_client });
        }
        for way in ways {
            way.counter.begin(start);
            scope.spawn(move || send(way.from, marker));
            scope.spawn(move || receive(way.to, marker, way.counter, start));
        }
    }

    fn shut_down(&self) {
        for stream in [self.client, self.server] {
            // Fails on a connection that broke, whose threads have ended.
            let _broken = stream.shutdown(Shutdown::Both);
        }
    }

    fn count(&self, elapsed: Duration) -> TcpFlow {
        let ways = [&self.to_server, &self.to_client];
        TcpFlow {
            port: self.client.local_addr().map_or(0, |address| address.port()),
            to_server: self.to_server.bytes(),
            to_client: self.to_client.bytes(),
            longest_gap: ways.map(|way| way.longest_gap(elapsed)).into_iter().max().unwrap_or_default(),
            corrupt: ways.map(Counter::corrupt).into_iter().sum(),
        }
    }
}

fn count(flows: &[Flow<'_>], elapsed: Duration) -> Vec<TcpFlow> {
    flows.iter().map(|flow| flow.count(elapsed)).collect()
}

/// A connection from a port of our choice.
fn connect_from(port: u16, to: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
    let connect = async || {
        let (socket, from): (_, IpAddr) = match to {
            SocketAddr::V4(_) => (TcpSocket::new_v4()?, [0; 4].into()),
            SocketAddr::V6(_) => (TcpSocket::new_v6()?, [0; 16].into()),
        };
        // A connection from the port that has just ended, to somewhere else, is no obstacle.
        socket.set_reuseaddr(true)?;
        socket.bind((from, port).into())?;
        time::timeout(patience, socket.connect(to)).await?
    };
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let stream = runtime.block_on(connect())?.into_std()?;
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// `RetransSegs` of the calling thread's namespace (proc_net_snmp, RFC 4022).
fn retransmitted_segments() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/net/snmp").ok()?;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = (lines.next()?, lines.next()?);
    let at = names.split(' ').position(|name| name == "RetransSegs")?;
    values.split(' ').nth(at)?.parse().ok()
}

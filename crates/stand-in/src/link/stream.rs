//! A TCP connection to the peer (socket.c, `socket_listen_accept`, `socket_do_connect`).

use std::{
    io,
    net::{SocketAddr, TcpStream},
    os::fd::AsFd,
};

use meshtun_openvpn::{
    options::{Options, Protocol},
    text::{Level, socket_address},
};
use meshtun_sys::tcp;
use tokio::net::TcpSocket;

use super::Plan;
use crate::{
    fatal::Fatal,
    log::{Log, told},
};

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum NoConnection {
    /// Again after a pause.
    Failed,
    /// The process cannot go on.
    Fatal(Fatal),
}

impl Plan {
    /// Makes the connection, or waits for it. May be dropped at any time.
    pub(crate) async fn open_tcp(&self, options: &Options, log: &Log) -> Result<TcpStream, NoConnection> {
        let socket = self.socket(options, log).map_err(NoConnection::Fatal)?;
        let stream = match (self.protocol, self.remote) {
            (Protocol::TcpClient, Some(remote)) => connect(socket, remote, options, log).await?,
            (Protocol::TcpClient, None) => {
                return Err(NoConnection::Fatal(Fatal::new(
                    "tcp-client needs a remote to connect to: add `remote HOST PORT`",
                )));
            }
            _ => self.accept(socket, options, log).await?,
        };
        // OpenVPN's default since 2.7, and for pings and small packets the only thing that makes sense.
        if let Err(error) = stream.set_nodelay(true) {
            log.warning(format_args!("NOTE: setsockopt TCP_NODELAY=1 failed: {}", told(&error)));
        }
        log.info(format_args!("TCP connection established with {}", socket_address(stream.peer_addr().ok())));
        Ok(stream)
    }

    fn socket(&self, options: &Options, log: &Log) -> Result<TcpSocket, Fatal> {
        let failed = |what: &str, error: &io::Error| Fatal::new(format_args!("TCP/UDP: {what}: {}", told(error)));
        let socket = if self.local.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let socket = socket.map_err(|error| failed("Cannot create socket", &error))?;
        let step = |what: &str, result: io::Result<()>| result.map_err(|error| failed(what, &error));
        if let Some(bytes) = options.rcvbuf {
            step("rcvbuf", socket.set_recv_buffer_size(bytes))?;
        }
        if let Some(bytes) = options.sndbuf {
            step("sndbuf", socket.set_send_buffer_size(bytes))?;
        }
        if let (Ok(receive), Ok(send)) = (socket.recv_buffer_size(), socket.send_buffer_size()) {
            log.say(Level::BUFFERS, format_args!("Socket Buffers: R=[{receive}->{receive}] S=[{send}->{send}]"));
        }
        if let Some(mark) = options.mark {
            step("mark", tcp::set_mark(socket.as_fd(), mark))?;
        }
        if let Some(device) = &options.bind_dev {
            step("bind-dev", socket.bind_device(Some(device.as_bytes())))?;
        }
        if self.bound || options.local.is_some() {
            step("SO_REUSEADDR", socket.set_reuseaddr(true))?;
            if self.local.is_ipv6() {
                step("IPV6_V6ONLY", tcp::set_only_v6(socket.as_fd(), options.bind_ipv6_only))?;
            }
            let address = socket_address(Some(self.local));
            socket.bind(self.local).map_err(|error| {
                let fatal = failed(&format!("Socket bind failed on local address {address}"), &error);
                if error.kind() == io::ErrorKind::AddrNotAvailable { fatal.passing() } else { fatal }
            })?;
        }
        Ok(socket)
    }

    /// Waits for the peer; whoever else calls is sent away.
    async fn accept(&self, socket: TcpSocket, options: &Options, log: &Log) -> Result<TcpStream, NoConnection> {
        let failed =
            |error: io::Error| NoConnection::Fatal(Fatal::new(format_args!("TCP: listen() failed: {}", told(&error))));
        let listener = socket.listen(1).map_err(failed)?;
        log.info(format_args!("Listening for incoming TCP connection on {}", socket_address(Some(self.local))));
        loop {
            let (stream, from) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    log.say(Level::LINK, format_args!("TCP: accept() failed: {}", told(&error)));
                    return Err(NoConnection::Failed);
                }
            };
            let expected = self.remote.filter(|_| !options.float);
            if expected.is_none_or(|expected| expected.ip() == from.ip()) {
                return stream.into_std().map_err(failed);
            }
            log.warning(format_args!(
                "TCP NOTE: Rejected connection attempt from {} due to --remote setting",
                socket_address(Some(from))
            ));
        }
    }
}

async fn connect(
    socket: TcpSocket,
    remote: SocketAddr,
    options: &Options,
    log: &Log,
) -> Result<TcpStream, NoConnection> {
    let to = socket_address(Some(remote));
    log.info(format_args!("Attempting to establish TCP connection with {to}"));
    let why = match tokio::time::timeout(options.connect_timeout, socket.connect(remote)).await {
        Ok(Ok(stream)) => match stream.into_std() {
            Ok(stream) => return Ok(stream),
            Err(error) => error,
        },
        Ok(Err(error)) => error,
        Err(_elapsed) => io::Error::from_raw_os_error(TIMED_OUT),
    };
    let why = told(&why);
    let why = why.split(" (errno=").next().unwrap_or_default();
    log.say(Level::LINK, format_args!("TCP: connect to {to} failed: {why}"));
    Err(NoConnection::Failed)
}

/// `ETIMEDOUT`.
const TIMED_OUT: i32 = 110;

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use meshtun_openvpn::directive::read_file;

    use super::*;

    #[test]
    fn a_server_of_ipv6_takes_ipv4_as_well_unless_it_shall_not() {
        for (bind, takes_both) in [("bind", true), ("bind ipv6only", false)] {
            let text = format!("dev tun\nsecret k\nproto tcp6-server\n{bind}\n");
            let reading = read_file("nq1.conf", text.as_bytes(), &mut |_| unreachable!("nothing is named"));
            let options = Options::read(&reading).options;
            let local = (std::net::Ipv6Addr::UNSPECIFIED, 0).into();
            let plan = Plan { protocol: Protocol::TcpServer, local, remote: None, bound: true };
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = plan.socket(&options, &Log::new()).unwrap().listen(1).unwrap();
                let port = listener.local_addr().unwrap().port();
                let called = std::net::TcpStream::connect(("127.0.0.1", port));
                assert_eq!(called.is_ok(), takes_both, "{bind}: {called:?}");
            });
        }
    }

    #[test]
    fn small_packets_do_not_wait_in_a_connection() {
        let text = b"dev tun\nsecret k\nproto tcp-client\nremote 127.0.0.1\n";
        let options = Options::read(&read_file("nq1.conf", text, &mut |_| unreachable!("nothing is named"))).options;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let plan = Plan {
            protocol: Protocol::TcpClient,
            local: ([127, 0, 0, 1], 0).into(),
            remote: listener.local_addr().ok(),
            bound: false,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let stream = runtime.block_on(plan.open_tcp(&options, &Log::new())).unwrap();
        assert!(stream.nodelay().unwrap());
    }
}

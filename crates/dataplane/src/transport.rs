//! What carries a channel's datagrams.

use std::{
    io::{self, Write},
    net::{SocketAddr, TcpStream},
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
};

use meshtun_sys::udp::Udp;

/// What carries a channel's datagrams.
#[derive(Clone, Debug)]
pub enum Transport {
    /// A bound socket, shared with the control side, which sends handshakes by it.
    Udp(Arc<Udp>),
    /// A connected stream, in which each datagram has its length before it in two bytes, the higher first. It has no other
    /// peer than the one it is connected to, and ends with [`Event::Failed`](crate::Event::Failed), once, for the half that
    /// notices first or for both.
    ///
    /// Nothing that was sealed for it is ever dropped: what it has no room for waits. A datagram that its session refuses is
    /// the end of it ([`StreamError::Refused`]), for what comes behind can't be trusted any more than that; not so one of which
    /// only the content is bad ([`DropReason::BadInner`](crate::DropReason::BadInner),
    /// [`DropReason::BadFragment`](crate::DropReason::BadFragment)).
    Tcp(Stream),
}

/// A connected stream.
#[derive(Clone, Debug)]
pub struct Stream {
    pub(crate) stream: Arc<TcpStream>,
    pub(crate) peer: SocketAddr,
    /// The longest datagram that the peer may send, in bytes.
    pub(crate) longest: u16,
}

impl Stream {
    /// A stream for datagrams, of which the peer sends none longer than `longest` bytes. It must have been read to the end of
    /// a datagram and no further. It is made non-blocking; other options stay as they are.
    ///
    /// # Errors
    /// The kernel's, if it is not connected.
    pub fn new(stream: TcpStream, longest: u16) -> io::Result<Stream> {
        stream.set_nonblocking(true)?;
        let peer = stream.peer_addr()?;
        Ok(Stream { stream: Arc::new(stream), peer, longest })
    }
}

/// Why a stream is no more use: what [`Event::Failed`](crate::Event::Failed)'s error holds, unless it is the kernel's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The peer closed it.
    #[error("the peer has closed the connection")]
    Closed,
    /// It says that a datagram is empty, or longer than any may be.
    #[error("a datagram of {length} bytes is announced, and there are none but of 1 to {longest}")]
    Length {
        /// What it says, in bytes.
        length: u16,
        /// The most that is taken, in bytes.
        longest: u16,
    },
    /// Its session refused a datagram; the session's words are in the [`Event::Refused`](crate::Event::Refused) before.
    #[error("a datagram of the stream was refused ({})", .0.label())]
    Refused(crate::DropReason),
}

impl From<StreamError> for io::Error {
    fn from(error: StreamError) -> io::Error {
        let kind = match error {
            StreamError::Closed => io::ErrorKind::UnexpectedEof,
            StreamError::Length { .. } | StreamError::Refused(_) => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, error)
    }
}

impl Transport {
    /// Bytes before each datagram of a train.
    pub(crate) fn prefix(&self) -> usize {
        match self {
            Transport::Udp(_) => 0,
            Transport::Tcp(_) => 2,
        }
    }
}

impl AsFd for Transport {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Transport::Udp(udp) => udp.as_fd(),
            Transport::Tcp(stream) => stream.stream.as_fd(),
        }
    }
}

impl Stream {
    /// Writes what there is room for, and tells how much that was.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match (&*self.stream).write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                written => return written,
            }
        }
    }
}

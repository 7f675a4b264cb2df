//! Worker threads that own the halves of channels and carry packets.
//!
//! A channel has two halves. The *sending half* (tun → UDP) owns the send keys and their counters; the
//! *receiving half* (UDP → tun) owns the receive keys and their replay windows. A half belongs to exactly
//! one worker, and a worker is one thread with one epoll loop, so nothing on a packet's way is locked,
//! shared or allocated.
//!
//! ```text
//!  sending half                                        receiving half
//!  1 read a super-packet from the tun device           1 receive a train from the UDP socket
//!  2 split it into segments, in place                  2 find the session by the receiver index
//!  3 seal each segment straight into the train         3 open each message in place
//!  4 send the train (UDP_SEGMENT)                      4 check addresses, join what is consecutive
//!                                                      5 write super-packets to the tun device (writev)
//! ```
//!
//! The control side talks to the halves by [`Command`]s and hears from them by [`Event`]s; both go through
//! queues that carry no packet but handshakes and control frames. [`Counters`] have one writer each and are
//! read at any time.
//!
//! # Another wire
//! What a datagram looks like is for a session to know: the traits [`Sealing`] and [`Opening`], which stand
//! beside WireGuard's keys ([`SendSession`], [`ReceiveSession`]). A channel of such a format is added with [`Format::Sole`], its sessions among the
//! commands that [`ChannelParts::first`] has obeyed before anything is read:
//!
//! ```text
//!  ChannelParts { format: Format::Sole, filter: Filter::all(), first: vec![
//!      Command::InstallReceive(ReceiveSession::Other(…)), Command::InstallSend(SendSession::Other(…)),
//!      Command::Use(0), Command::Admit(0),               // whatever Sealing::session and Opening::session tell
//!      Command::Sources(vec![peer]),                     // or none, to hear anybody who can authenticate
//!  ], .. }
//!  Command::Seal { session: 0, plaintext }               // a ping or a control message goes by Sealing::seal
//!  Event::Confirmed, Frame, Moved, Refused, Failed       // the first authentic datagram, Opened::Control, …
//!  Counters::heard(), Counters::said()                   // for keepalives and time-outs
//! ```
#![forbid(unsafe_code)]

mod clamp;
mod command;
mod counters;
mod events;
mod filter;
mod plane;
mod queue;
mod receiving;
mod scratch;
mod sending;
mod session;
mod transport;
mod turn;
mod worker;

pub use clamp::ClampMss;
pub use command::{ChannelId, Command, Event, Half};
pub use counters::{Counters, CountersSnapshot, DropReason, ReceiveSnapshot, SendSnapshot};
pub use events::Events;
pub use filter::{Filter, Verdict};
pub use plane::{ChannelParts, DataPlane, PlaneConfig, PlaneError};
pub use sending::Shaper;
pub use session::{
    Authentic, Datagrams, Format, Opened, Opening, Pieces, ReceiveSession, Sealing, SendSession, Together,
};
pub use transport::{Stream, StreamError, Transport};

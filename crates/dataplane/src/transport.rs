//! What carries a channel's datagrams.

use std::sync::Arc;

use meshtun_sys::udp::Udp;

/// What carries a channel's datagrams.
#[derive(Clone, Debug)]
pub enum Transport {
    /// A bound socket, shared with the control side, which sends handshakes by it.
    Udp(Arc<Udp>),
}

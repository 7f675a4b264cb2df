//! UDP sockets that live on across a restart, where the service runner keeps them: what a peer sends meanwhile waits in them.

use meshtun_config::{ChannelView, LinkView};
use meshtun_sys::{
    service::{self, Passed},
    udp::{BindError, Udp, UdpOptions},
};

use crate::notify::Notifier;

/// Sockets of the daemon before, until channels take them over.
#[derive(Debug, Default)]
pub(crate) struct KeptSockets {
    passed: Vec<Passed>,
}

impl KeptSockets {
    /// Those that were passed to this process and are ours.
    pub(crate) fn passed() -> KeptSockets {
        let (ours, others): (Vec<_>, Vec<_>) =
            service::passed().into_iter().partition(|passed| passed.name.starts_with(MARK));
        if !others.is_empty() {
            tracing::warn!("{} descriptors of the service runner are not of meshtun: closed", others.len());
        }
        KeptSockets { passed: ours }
    }

    /// The socket of a channel, if it was kept and is bound as the channel wants it now.
    ///
    /// # Errors
    /// If it cannot be set.
    pub(crate) fn take(
        &mut self,
        link: &LinkView,
        channel: &ChannelView,
        options: &UdpOptions,
    ) -> Result<Option<Udp>, BindError> {
        let name = name(&link.name, channel.number);
        while let Some(place) = self.passed.iter().position(|passed| passed.name == name) {
            if let Some(udp) = Udp::adopt(self.passed.swap_remove(place).descriptor, options)? {
                return Ok(Some(udp));
            }
        }
        Ok(None)
    }

    /// Closes those that no channel took, so that their ports are free.
    pub(crate) fn close(self, notifier: &Notifier) {
        self.passed.into_iter().for_each(|passed| notifier.forget(&passed.name));
    }
}

/// Under which name the service runner keeps a channel's socket.
pub(crate) fn name(link: &str, channel: u16) -> String {
    format!("{MARK}{link}-{channel}")
}

/// What the names of our sockets begin with.
const MARK: &str = "meshtun-";

//! What a worker and its halves say to each other about a turn.

use crate::ChannelId;

/// What a half says after its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It found nothing to do.
    Idle,
    /// It carried something.
    Busy,
    /// Its device or socket is gone: it wants no more turns.
    Failed,
}

/// Which descriptor of a channel a token stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The worker's own wake-up.
    Wake,
    /// The tun device has packets.
    Tun,
    /// The socket takes packets again.
    Writable,
    /// The socket has packets.
    Udp,
}

/// epoll's 64-bit token: the channel above, the source in the two lowest bits.
pub(crate) fn token(channel: Option<ChannelId>, source: Source) -> u64 {
    u64::from(channel.map_or(0, |id| id.0)) << 2 | source as u64
}

/// The channel and source of a token.
pub(crate) fn from_token(token: u64) -> (ChannelId, Source) {
    let source = [Source::Wake, Source::Tun, Source::Writable, Source::Udp][(token & 3) as usize];
    (ChannelId((token >> 2) as u32), source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_tells_channel_and_source_apart() {
        for source in [Source::Wake, Source::Tun, Source::Writable, Source::Udp] {
            for id in [0, 1, 77, u32::MAX] {
                assert_eq!(from_token(token(Some(ChannelId(id)), source)), (ChannelId(id), source));
            }
        }
    }
}

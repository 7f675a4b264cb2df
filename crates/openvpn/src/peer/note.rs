//! What there is to say about a connection, in the words of OpenVPN's log, for which monitoring looks.

use std::fmt;

/// Something for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// `ping-restart`'s time is over.
    PingRestart,
    /// `ping-exit`'s time is over.
    PingExit,
    /// `inactive`'s time is over.
    Inactive,
    /// `session-timeout`'s time is over.
    SessionTimeout,
    /// The peer said goodbye.
    RemoteExit,
    /// We are about to say goodbye.
    SayingGoodbye,
    /// A stream that does not open.
    FatalDecryptionError,
    /// The peer does not tell its options.
    NoOptions {
        /// Bytes of all datagrams received.
        received_bytes: u64,
        /// Bytes of the payloads of authentic ones.
        authentic_bytes: u64,
    },
    /// The peer's options string is of another version.
    OtherVersion,
    /// One of [`occ::differences`](crate::occ::differences): a warning.
    Difference(String),
    /// `mtu-test` begins.
    MtuTestBegins,
    /// `mtu-test` got no answer.
    MtuTestFailed,
    /// `mtu-test` is over; lengths of the longest datagrams in bytes.
    MtuTested {
        /// That we sent, and that the peer received of them.
        local_to_remote: (u16, u16),
        /// That the peer sent, and that we received of them.
        remote_to_local: (u16, u16),
    },
    /// `mtu-test` found that long datagrams get lost.
    MtuTooLong(u16),
}

impl Note {
    /// Whether it is a warning.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        matches!(self, Self::Difference(_))
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PingRestart => f.write_str("Inactivity timeout (--ping-restart), restarting"),
            Self::PingExit => f.write_str("Inactivity timeout (--ping-exit), exiting"),
            Self::Inactive => f.write_str("Inactivity timeout (--inactive), exiting"),
            Self::SessionTimeout => f.write_str("Session timeout, exiting"),
            Self::RemoteExit => f.write_str("OCC exit message received by peer"),
            Self::SayingGoodbye => f.write_str("SIGTERM received, sending exit notification to peer"),
            Self::FatalDecryptionError => f.write_str("Fatal decryption error (process_incoming_link), restarting"),
            Self::NoOptions { received_bytes, authentic_bytes } => write!(
                f,
                "NOTE: failed to obtain options consistency info from peer -- {received_bytes} bytes received from peer, \
                 {authentic_bytes} bytes authenticated data channel traffic; disable the options consistency check with \
                 --disable-occ"
            ),
            Self::OtherVersion => f.write_str("NOTE: Options consistency check may be skewed by version differences"),
            Self::Difference(difference) => write!(f, "WARNING: {difference}"),
            Self::MtuTestBegins => {
                f.write_str("NOTE: Beginning empirical MTU test -- results should be available in 3 to 4 minutes.")
            }
            Self::MtuTestFailed => f.write_str("NOTE: failed to empirically measure MTU: the peer does not answer."),
            Self::MtuTested { local_to_remote: (sent, arrived), remote_to_local: (theirs, ours) } => write!(
                f,
                "NOTE: Empirical MTU test completed [Tried,Actual] local->remote=[{sent},{arrived}] \
                 remote->local=[{theirs},{ours}]"
            ),
            Self::MtuTooLong(length) => write!(
                f,
                "NOTE: This connection is unable to accommodate a UDP packet size of {length}. Consider using --fragment or \
                 --mssfix options as a workaround."
            ),
        }
    }
}

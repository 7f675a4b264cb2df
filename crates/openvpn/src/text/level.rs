//! How important a line is, and of which sort (errlevel.h).

/// What kind of line it is: syslog's priority and the letter in the management interface's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The process ends.
    Fatal,
    /// Something failed.
    Error,
    /// Something is likely not what was meant.
    Warning,
    /// Default information.
    Info,
    /// Anything else.
    Other,
    /// For those who look for a fault.
    Debug,
}

impl Kind {
    /// The letter in `log` and `>LOG:` (manage.c, `man_output_list`; options.c has the order).
    #[must_use]
    pub fn letter(self) -> &'static str {
        match self {
            Self::Fatal => "F",
            Self::Error => "N",
            Self::Warning => "W",
            Self::Info => "I",
            Self::Other => "",
            Self::Debug => "D",
        }
    }

    /// syslog(3)'s priority: err, warning or notice (error.c, `x_msg_va`).
    #[must_use]
    pub fn priority(self) -> u8 {
        match self {
            Self::Fatal | Self::Error => 3,
            Self::Warning => 4,
            Self::Info | Self::Other | Self::Debug => 5,
        }
    }
}

/// From which `verb` a line is shown, of which kind it is, and which lines `mute` takes for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// `verb` from which it is shown.
    pub verb: u8,
    /// `mute` counts lines in a row with the same number; 0 is never muted together with others that count.
    pub sort: u8,
    /// Its kind.
    pub kind: Kind,
}

impl Level {
    /// Ends the process.
    pub const FATAL: Self = Self::new(0, 0, Kind::Fatal);
    /// Shown at `verb 0`, too.
    pub const ERROR: Self = Self::new(0, 0, Kind::Error);
    /// A warning.
    pub const WARNING: Self = Self::new(0, 0, Kind::Warning);
    /// Default information.
    pub const INFO: Self = Self::new(1, 0, Kind::Info);
    /// Of the link: reads, writes, sources.
    pub const LINK: Self = Self::new(1, 1, Kind::Error);
    /// Of decryption.
    pub const CRYPT: Self = Self::new(1, 2, Kind::Error);
    /// Of names that do not resolve.
    pub const RESOLVE: Self = Self::new(1, 4, Kind::Error);
    /// Of replayed packets.
    pub const REPLAY: Self = Self::new(1, 6, Kind::Error);
    /// Of the packet ids on disk.
    pub const PERSIST: Self = Self::new(1, 12, Kind::Error);
    /// Of fragments.
    pub const FRAGMENT: Self = Self::new(1, 13, Kind::Error);
    /// Of a TCP connection that ends.
    pub const STREAM: Self = Self::new(1, 7, Kind::Error);
    /// Of keys made ready.
    pub const HANDSHAKE: Self = Self::new(2, 20, Kind::Other);
    /// Of sockets and devices closed.
    pub const CLOSE: Self = Self::new(2, 22, Kind::Other);
    /// Of routes.
    pub const ROUTE: Self = Self::new(3, 0, Kind::Other);
    /// Of restarts.
    pub const RESTART: Self = Self::new(3, 33, Kind::Other);
    /// Of options compared with the peer's.
    pub const PUSH: Self = Self::new(3, 34, Kind::Other);
    /// Of the management interface.
    pub const MANAGEMENT: Self = Self::new(3, 40, Kind::Other);
    /// What a client of the management interface asks.
    pub const MANAGEMENT_COMMAND: Self = Self::new(3, 70, Kind::Debug);
    /// Of socket buffers.
    pub const BUFFERS: Self = Self::new(3, 43, Kind::Other);
    /// Rare events for those who look for a fault.
    pub const LOW: Self = Self::new(4, 52, Kind::Other);

    const fn new(verb: u8, sort: u8, kind: Kind) -> Self {
        Self { verb, sort, kind }
    }
}

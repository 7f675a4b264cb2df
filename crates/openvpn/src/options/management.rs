//! `management` and what begins with it.

/// The management interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Management {
    /// Where it listens, or where it connects to.
    pub address: ManagementAddress,
    /// A file whose first line is the password that a client must give; `stdin` asks.
    pub password_file: Option<String>,
    /// `management-client`: connect there in place of listening.
    pub client: bool,
    /// `management-hold`: do nothing until told.
    pub hold: bool,
    /// `management-signal`: SIGUSR1 when the client goes.
    pub signal: bool,
    /// `management-up-down`: tell of up and down.
    pub up_down: bool,
    /// `management-log-cache`: lines kept for `log`, 250 unless given.
    pub log_cache: u32,
    /// `management-client-user`: who may connect to the socket file.
    pub client_user: Option<String>,
    /// `management-client-group`: who may connect to the socket file.
    pub client_group: Option<String>,
}

/// Where the management interface is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManagementAddress {
    /// A host, as written, and a port.
    Tcp(String, u16),
    /// A socket file, as written.
    Unix(String),
}

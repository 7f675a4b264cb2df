//! How many files a gateway opens.

use meshtun_sys::process;

use crate::Error;

/// Whether as many files may be opened as the channels need; the limit is raised as far as it goes.
///
/// # Errors
/// If they may not.
pub(crate) fn may_open(channels: usize) -> Result<(), Error> {
    let needed = DESCRIPTORS_A_CHANNEL * channels + DESCRIPTORS_BESIDE;
    match process::raise_open_files_limit() {
        Some(limit) if limit < needed as u64 => Err(Error::OpenFiles { channels, needed, limit }),
        _ => Ok(()),
    }
}

/// Tun device, UDP socket, the carrier switch's two, and what a data-plane half may need.
const DESCRIPTORS_A_CHANNEL: usize = 5;

/// Workers, netlink, control socket and its callers, log, lock.
const DESCRIPTORS_BESIDE: usize = 128;

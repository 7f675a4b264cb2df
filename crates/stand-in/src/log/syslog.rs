//! syslog(3)'s datagrams.

use std::{io, os::unix::net::UnixDatagram, time::SystemTime};

use meshtun_sys::clock::LocalTime;

const SOCKET: &str = "/dev/log";

/// LOG_DAEMON of syslog.h.
const FACILITY: u8 = 3;

/// A connection to the machine's log, which is made early: the socket may be out of reach later (`chroot`).
#[derive(Debug)]
pub(super) struct Syslog {
    ident: String,
    socket: io::Result<UnixDatagram>,
}

impl Syslog {
    pub(super) fn new(ident: &str) -> Syslog {
        Syslog { ident: ident.to_owned(), socket: connect() }
    }

    /// Writes a line; a connection that broke is made again.
    pub(super) fn write(&mut self, priority: u8, text: &str, now: SystemTime) -> io::Result<()> {
        let line = line(&self.ident, priority, text, now);
        if let Ok(socket) = &self.socket
            && socket.send(line.as_bytes()).is_ok()
        {
            return Ok(());
        }
        let again = connect()?;
        again.send(line.as_bytes())?;
        self.socket = Ok(again);
        Ok(())
    }
}

fn connect() -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect(SOCKET)?;
    Ok(socket)
}

/// `<29>Nov 21 19:32:31 openvpn[123]: text` (RFC 3164, as the C library writes it).
fn line(ident: &str, priority: u8, text: &str, now: SystemTime) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let time = LocalTime::at(now);
    let month = MONTHS[usize::from(time.month.clamp(1, 12)) - 1];
    let (day, hour, minute, second) = (time.day, time.hour, time.minute, time.second);
    let (number, pid) = (FACILITY * 8 + priority, std::process::id());
    format!("<{number}>{month} {day:2} {hour:02}:{minute:02}:{second:02} {ident}[{pid}]: {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_priority_time_name_and_process() {
        let line = line("nq1", 5, "hello", SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(86_400 * 40));
        assert!(line.starts_with("<29>Feb "), "{line}");
        assert!(line.ends_with(&format!(" nq1[{}]: hello", std::process::id())), "{line}");
    }
}

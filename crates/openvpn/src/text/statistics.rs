//! The status file, the answer to SIGUSR2 and to `status` (sig.c, `print_status`).

/// What went through a process since its session began, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Inner packets from the device.
    pub tun_read: u64,
    /// Inner packets to the device.
    pub tun_write: u64,
    /// Datagrams' payloads, or the stream's packets, that came.
    pub link_read: u64,
    /// Those that went.
    pub link_write: u64,
    /// What was in the packets that were authentic.
    pub auth_read: u64,
}

/// The lines, from `OpenVPN STATISTICS` to `END`. `updated` is the time as [`stamp`](super::stamp()) has it, without microseconds.
#[must_use]
pub fn statistics(counted: &Statistics, updated: &str, compression: bool) -> Vec<String> {
    let mut lines = vec!["OpenVPN STATISTICS".to_owned(), format!("Updated,{updated}")];
    let mut line = |name: &str, bytes: u64| lines.push(format!("{name} bytes,{bytes}"));
    line("TUN/TAP read", counted.tun_read);
    line("TUN/TAP write", counted.tun_write);
    line("TCP/UDP read", counted.link_read);
    line("TCP/UDP write", counted.link_write);
    line("Auth read", counted.auth_read);
    if compression {
        // Of packets that were compressed, which none is.
        for name in ["pre-compress", "post-compress", "pre-decompress", "post-decompress"] {
            line(name, 0);
        }
    }
    lines.push("END".to_owned());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_file_is_what_exporters_read() {
        let counted = Statistics { tun_read: 180, tun_write: 48, link_read: 192, link_write: 304, auth_read: 64 };
        let text = statistics(&counted, "2026-11-21 19:32:37", false).join("\n");
        assert_eq!(
            text,
            "OpenVPN STATISTICS\nUpdated,2026-11-21 19:32:37\nTUN/TAP read bytes,180\nTUN/TAP write bytes,48\n\
             TCP/UDP read bytes,192\nTCP/UDP write bytes,304\nAuth read bytes,64\nEND"
        );
        assert!(statistics(&counted, "", true).contains(&"post-decompress bytes,0".to_owned()));
    }
}

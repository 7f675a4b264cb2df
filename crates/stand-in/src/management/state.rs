//! States of the process as the management interface tells them (manage.c, `man_state_name`, `log_entry_print`).

use std::{
    fmt::Write,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::{SystemTime, UNIX_EPOCH},
};

/// What the process is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Connecting,
    TcpConnect,
    AssignIp,
    AddRoutes,
    Connected,
    Reconnecting,
    Exiting,
}

/// The addresses that belong to a state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) tun: Option<Ipv4Addr>,
    pub(crate) tun_ipv6: Option<Ipv6Addr>,
    pub(crate) remote: Option<SocketAddr>,
    pub(crate) local: Option<SocketAddr>,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            State::Connecting => "CONNECTING",
            State::TcpConnect => "TCP_CONNECT",
            State::AssignIp => "ASSIGN_IP",
            State::AddRoutes => "ADD_ROUTES",
            State::Connected => "CONNECTED",
            State::Reconnecting => "RECONNECTING",
            State::Exiting => "EXITING",
        }
    }

    /// `seconds,NAME,description,tun,remote,port,local,port[,tun of IPv6]`.
    pub(super) fn entry(self, description: &str, ends: &Ends) -> String {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut entry = format!("{seconds},{},{description},", self.name());
        // Writing to a String cannot fail.
        let _ = ends.tun.map_or(Ok(()), |tun| write!(entry, "{tun}"));
        for end in [ends.remote, ends.local] {
            let _ = match end {
                Some(end) => write!(entry, ",{},{}", end.ip().to_canonical(), end.port()),
                None => write!(entry, ",,"),
            };
        }
        let _ = ends.tun_ipv6.map_or(Ok(()), |tun| write!(entry, ",{tun}"));
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(state: State, description: &str, ends: &Ends) -> String {
        state.entry(description, ends).split_once(',').unwrap().1.to_owned()
    }

    #[test]
    fn entries_have_as_many_fields_as_openvpns() {
        assert_eq!(rest(State::Connecting, "", &Ends::default()), "CONNECTING,,,,,,");
        let mut ends = Ends { tun: Some([10, 7, 0, 1].into()), ..Ends::default() };
        assert_eq!(rest(State::AssignIp, "", &ends), "ASSIGN_IP,,10.7.0.1,,,,");
        ends.remote = Some("10.99.0.2:6001".parse().unwrap());
        ends.local = Some("10.99.0.1:6011".parse().unwrap());
        assert_eq!(
            rest(State::Connected, "SUCCESS", &ends),
            "CONNECTED,SUCCESS,10.7.0.1,10.99.0.2,6001,10.99.0.1,6011"
        );
        ends.tun_ipv6 = Some("fd00:7::1".parse().unwrap());
        assert!(rest(State::Connected, "SUCCESS", &ends).ends_with(",6011,fd00:7::1"));
    }
}

//! The environment of scripts: names and values in the order in which OpenVPN hands them over (env_set.c).

use std::net::{IpAddr, SocketAddr};

use meshtun_openvpn::options::{Ifconfig, Options, Protocol};

/// Names with values. The one that was set last comes first; setting a name again moves it there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    /// In the order in which they were set.
    variables: Vec<(String, Vec<u8>)>,
}

impl Environment {
    /// Sets a variable. What cannot be in a name, and control characters in a value, are left out.
    pub(crate) fn set(&mut self, name: &str, value: impl ToString) {
        self.set_raw(name, value.to_string().as_bytes());
    }

    /// As [`Self::set`], with a value that need not be text.
    fn set_raw(&mut self, name: &str, value: &[u8]) {
        let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        let value = value.iter().copied().filter(|byte| !byte.is_ascii_control()).collect();
        self.variables.retain(|(other, _)| *other != name);
        self.variables.push((name, value));
    }

    /// As [`Self::set`], if there is a value.
    pub(crate) fn set_some(&mut self, name: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// `PREFIX_ip` or `PREFIX_ip6`, and `PREFIX_port` (socket.c, `setenv_sockaddr`).
    pub(crate) fn set_address(&mut self, prefix: &str, address: SocketAddr) {
        match address.ip().to_canonical() {
            IpAddr::V4(ip) => self.set(&format!("{prefix}_ip"), ip),
            IpAddr::V6(ip) => self.set(&format!("{prefix}_ip6"), ip),
        }
        self.set(&format!("{prefix}_port"), address.port());
    }

    /// What a session begins with: the same variables, the oldest first (env_set.c, `env_set_inherit`).
    pub(crate) fn inherited(&self) -> Environment {
        Environment { variables: self.variables.iter().rev().cloned().collect() }
    }

    /// In the order in which a program is given them: the latest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.variables.iter().rev().map(|(name, value)| (name.as_str(), value.as_slice()))
    }
}

/// What is told of the process (options.c, `setenv_settings`; variables of the configuration come before). `started` counts
/// seconds since 1970.
pub(crate) fn of_process(options: &Options, started: u64, pid: u32) -> Environment {
    let mut environment = Environment::default();
    options.environment.iter().for_each(|(name, value)| environment.set_raw(name, value));
    environment.set_some("config", options.config.as_ref());
    environment.set("verb", options.verb);
    environment.set("daemon", u8::from(options.daemon.is_some()));
    environment.set("daemon_log_redirect", u8::from(options.log.is_some()));
    environment.set("daemon_start_time", started);
    environment.set("daemon_pid", pid);
    let mut connection = |number: usize, protocol: Protocol, remote: Option<&str>, port: u16| {
        environment.set(&format!("proto_{number}"), protocol_name(protocol));
        let local = options.local.as_ref().and_then(|local| local.host.as_ref());
        environment.set_some(&format!("local_{number}"), local);
        environment.set_some(&format!("local_port_{number}"), options.local_port);
        environment.set_some(&format!("remote_{number}"), remote);
        environment.set(&format!("remote_port_{number}"), port);
    };
    if options.remotes.is_empty() {
        connection(1, options.protocol, None, options.remote_port);
    }
    for (number, remote) in (1..).zip(&options.remotes) {
        connection(number, remote.protocol, Some(&remote.host), remote.port);
    }
    environment
}

fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Udp => "udp",
        Protocol::TcpServer => "tcp-server",
        Protocol::TcpClient => "tcp-client",
    }
}

/// What is told of the device's addresses (tun.c, `do_ifconfig_setenv`).
pub(crate) fn set_ifconfig(environment: &mut Environment, options: &Options) {
    if let Some(ifconfig) = options.ifconfig {
        let second = match ifconfig {
            Ifconfig::PointToPoint { .. } => "ifconfig_remote",
            Ifconfig::Subnet { .. } => "ifconfig_netmask",
        };
        environment.set("ifconfig_local", ifconfig.local());
        environment.set(second, ifconfig.second());
    }
    if let Some(six) = options.ifconfig_ipv6 {
        environment.set("ifconfig_ipv6_local", six.local);
        environment.set("ifconfig_ipv6_netbits", six.prefix_len);
        environment.set("ifconfig_ipv6_remote", six.remote);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Environment {
        let mut environment = Environment::default();
        variables.iter().for_each(|(name, value)| environment.set(name, value));
        environment
    }

    fn pairs(environment: &Environment) -> Vec<(&str, &str)> {
        environment.iter().map(|(name, value)| (name, std::str::from_utf8(value).unwrap())).collect()
    }

    fn names(environment: &Environment) -> Vec<&str> {
        environment.iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn what_was_set_last_comes_first_and_what_is_set_again_moves_there() {
        let environment = of(&[("a", "1"), ("b", "2"), ("c", "3"), ("a", "4")]);
        assert_eq!(pairs(&environment), [("a", "4"), ("c", "3"), ("b", "2")]);
    }

    #[test]
    fn a_session_inherits_in_the_opposite_order() {
        assert_eq!(names(&of(&[("a", "1"), ("b", "2")])), ["b", "a"]);
        assert_eq!(names(&of(&[("a", "1"), ("b", "2")]).inherited()), ["a", "b"]);
    }

    #[test]
    fn characters_that_have_no_place_in_a_variable_are_left_out() {
        assert_eq!(pairs(&of(&[("a-b", "x\ny\u{7f}z ü")])), [("ab", "xyz ü")]);
    }

    #[test]
    fn addresses_have_a_name_for_each_family() {
        let mut environment = Environment::default();
        environment.set_address("trusted", "[::ffff:192.0.2.1]:5".parse().unwrap());
        assert_eq!(pairs(&environment), [("trusted_port", "5"), ("trusted_ip", "192.0.2.1")]);
        environment.set_address("trusted", "[fd00::1]:6".parse().unwrap());
        assert_eq!(names(&environment), ["trusted_port", "trusted_ip6", "trusted_ip"]);
    }
}

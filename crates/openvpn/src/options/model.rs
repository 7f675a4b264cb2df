//! The options of one process, with OpenVPN's defaults (options.c, `init_options`).

use std::{collections::BTreeMap, time::Duration};

use super::{
    Cipher, Compression, Daemon, Device, Digest, Family, GatewayRedirect, Ifconfig, IfconfigV6, Inactivity,
    KeyDirection, Local, LogFile, Management, Mssfix, MtuDiscovery, PingTimeout, Protocol, Remote, ReplayWindow, Route,
    RouteDelay, RouteGateway, RouteV6, Script, ScriptSecurity, Secret, Status, Topology, UserSignal,
};
use crate::directive::Place;

/// Everything that a point-to-point process with a static key is told.
///
/// Paths are as they were written: relative ones count from [`Options::cd`], which the process enters before it
/// opens any of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// `config`: the first file that was named, for the environment variable `config`.
    pub config: Option<String>,
    /// `cd`: the directory to enter before anything is opened; the last one wins.
    pub cd: Option<String>,

    /// `dev`: the device.
    pub device: Device,
    /// `ifconfig`: IPv4 addresses of the device. `None`: the device gets none, and the scripts' arguments are empty.
    pub ifconfig: Option<Ifconfig>,
    /// `ifconfig-ipv6`.
    pub ifconfig_ipv6: Option<IfconfigV6>,
    /// `ifconfig-noexec`: addresses are told to scripts and to the peer but not set.
    pub ifconfig_noexec: bool,
    /// `ifconfig-nowarn`: do not compare addresses with the peer's.
    pub ifconfig_nowarn: bool,
    /// `topology`: net30 unless given, which for a point-to-point process is the same as p2p.
    pub topology: Topology,
    /// `tun-mtu`, in bytes.
    pub tun_mtu: u16,
    /// `tun-mtu N M`: the MTU to tell the peer, in bytes. `None`: [`Options::tun_mtu`].
    pub occ_mtu: Option<u16>,
    /// `link-mtu`, in bytes: the largest datagram's payload, from which the device's MTU follows.
    pub link_mtu: Option<u16>,
    /// `txqueuelen`, in packets. `None`: as the system has it.
    pub txqueuelen: Option<u32>,
    /// `persist-tun`: the device outlives a restart.
    pub persist_tun: bool,

    /// `proto`: what carries the packets; a remote can say otherwise for itself.
    pub protocol: Protocol,
    /// `proto udp4`, `udp6` …: the address family; a remote can say otherwise for itself.
    pub family: Family,
    /// `local`: where to bind.
    pub local: Option<Local>,
    /// `lport`, `port`; `None` with `nobind`, and for `tcp-client` unless `lport` or `bind` is given: any free port.
    pub local_port: Option<u16>,
    /// `bind ipv6only`.
    pub bind_ipv6_only: bool,
    /// `bind-dev`: a VRF or device that the socket is bound to.
    pub bind_dev: Option<String>,
    /// `remote`, in order. Empty: wait for whoever authenticates.
    pub remotes: Vec<Remote>,
    /// `rport`, `port`: the peer's port where no remote says otherwise, for the environment of scripts.
    pub remote_port: u16,
    /// `remote-random`: begin with any of the remotes.
    pub remote_random: bool,
    /// `float`: accept authenticated packets from any address, and answer there.
    pub float: bool,
    /// `resolv-retry`. `None`: for ever.
    pub resolv_retry: Option<Duration>,
    /// `connect-retry N`: pause between attempts.
    pub connect_retry: Duration,
    /// `connect-retry N M`: the longest pause.
    pub connect_retry_max: Duration,
    /// `connect-retry-max`: attempts before giving up. `None`: no limit.
    pub connect_attempts: Option<u32>,
    /// `connect-timeout`: for a TCP connection to be made.
    pub connect_timeout: Duration,
    /// `persist-local-ip`: keep the address that `local` resolved to over a restart.
    pub persist_local_ip: bool,
    /// `persist-remote-ip`: keep the address that the peer was heard from over a restart.
    pub persist_remote_ip: bool,
    /// `multihome`: answer from the address that was written to.
    pub multihome: bool,
    /// `sndbuf`, in bytes. `None`: as the system has it.
    pub sndbuf: Option<u32>,
    /// `rcvbuf`, in bytes. `None`: as the system has it.
    pub rcvbuf: Option<u32>,
    /// `mark`: `SO_MARK`.
    pub mark: Option<u32>,
    /// `passtos`: copy the inner packet's type of service.
    pub passtos: bool,
    /// `mtu-disc`. `None`: as the system has it.
    pub mtu_disc: Option<MtuDiscovery>,
    /// `mtu-test`: measure the path's MTU at the start.
    pub mtu_test: bool,
    /// `mssfix`, with its default worked out. `None`: switched off.
    pub mssfix: Option<Mssfix>,
    /// `fragment`, in bytes: datagrams longer than that are sent in pieces, and every packet has a fragment header.
    pub fragment: Option<u16>,
    /// `fragment N mtu`: [`Options::fragment`] counts the whole IP packet on the underlay, not its UDP payload.
    pub fragment_counts_packet: bool,
    /// `shaper`, in bytes per second, 100 to 100,000,000.
    pub shaper: Option<u32>,
    /// `comp-lzo`, `compress`: what stands before each packet. Nothing is ever compressed on the way out.
    pub compression: Compression,

    /// `ping`, and `keepalive`'s first: a ping when nothing was sent for so long.
    pub ping: Option<Duration>,
    /// `ping-restart`, `ping-exit`, and `keepalive`'s second: what to do when nothing was heard for so long.
    pub ping_timeout: Option<PingTimeout>,
    /// `ping-timer-rem`: the timeout runs only while a remote address is known.
    pub ping_timer_remote: bool,
    /// `inactive`: exit when too little went through the device.
    pub inactive: Option<Inactivity>,
    /// `session-timeout`: exit after so long.
    pub session_timeout: Option<Duration>,
    /// `explicit-exit-notify`: how often to tell the peer of our exit, once a second. `None`: not at all; UDP only.
    pub explicit_exit_notify: Option<u32>,
    /// `disable-occ` turns it off: compare options with the peer.
    pub occ: bool,

    /// `secret`.
    pub secret: Secret,
    /// `key-direction`, or the second word of `secret`.
    pub key_direction: KeyDirection,
    /// `cipher`.
    pub cipher: Cipher,
    /// `auth`.
    pub digest: Digest,
    /// `replay-window`.
    pub replay_window: ReplayWindow,
    /// `replay-persist`: the file that keeps packet ids over a restart.
    pub replay_persist: Option<String>,
    /// `mute-replay-warnings`.
    pub mute_replay_warnings: bool,

    /// `script-security`.
    pub script_security: ScriptSecurity,
    /// `up`.
    pub up: Option<Script>,
    /// `down`.
    pub down: Option<Script>,
    /// `ipchange`.
    pub ipchange: Option<Script>,
    /// `route-up`.
    pub route_up: Option<Script>,
    /// `route-pre-down`.
    pub route_pre_down: Option<Script>,
    /// `up-delay`: open the device and run `up` when the first authenticated packet has come.
    pub up_delay: bool,
    /// `down-pre`: run `down` before the device is closed.
    pub down_pre: bool,
    /// `up-restart`: run `up` and `down` on a restart that keeps the device, too.
    pub up_restart: bool,
    /// Variables for scripts from `setenv`, `setenv-safe` (with `OPENVPN_` before the name), `dhcp-option`
    /// (`foreign_option_1` …) and `redirect-gateway`, in the order written; a later one of the same name replaces.
    pub environment: Vec<(String, Vec<u8>)>,

    /// `route`.
    pub routes: Vec<Route>,
    /// `route-ipv6`.
    pub routes_ipv6: Vec<RouteV6>,
    /// `route-gateway`: for routes without a gateway of their own. `None`: the other end of the device.
    pub route_gateway: Option<RouteGateway>,
    /// `route-ipv6-gateway`, as written.
    pub route_ipv6_gateway: Option<std::net::Ipv6Addr>,
    /// `route-metric`: for routes without a metric of their own.
    pub route_metric: Option<u32>,
    /// `route-table`: for all routes.
    pub route_table: Option<u32>,
    /// `route-delay`: how long after `up` routes are added. `None`: at once, before "Initialization Sequence Completed".
    pub route_delay: Option<RouteDelay>,
    /// `route-noexec`: routes are told to scripts but not set.
    pub route_noexec: bool,
    /// `redirect-gateway`, `redirect-private`.
    pub redirect_gateway: Option<GatewayRedirect>,

    /// `user`: the name or number to become when all is set up.
    pub user: Option<String>,
    /// `group`: the name or number to become when all is set up.
    pub group: Option<String>,
    /// `chroot`: the directory to be locked into when all is set up.
    pub chroot: Option<String>,
    /// `nice`.
    pub nice: Option<i32>,
    /// `mlock`.
    pub mlock: bool,

    /// `daemon`.
    pub daemon: Option<Daemon>,
    /// `syslog`: log there, under this name (`openvpn` unless given).
    pub syslog: Option<String>,
    /// `log`, `log-append`.
    pub log: Option<LogFile>,
    /// `suppress-timestamps`.
    pub suppress_timestamps: bool,
    /// `machine-readable-output`: times as seconds with microseconds, and flags.
    pub machine_readable_output: bool,
    /// `errors-to-stderr`.
    pub errors_to_stderr: bool,
    /// `verb`: 0 to 15.
    pub verb: u8,
    /// `mute`: at most so many messages of one kind in a row. `None`: no limit.
    pub mute: Option<u32>,
    /// `writepid`.
    pub writepid: Option<String>,
    /// `status`, `status-version`.
    pub status: Option<Status>,
    /// `remap-usr1`: what SIGUSR1 does in place of a soft restart.
    pub remap_usr1: Option<UserSignal>,
    /// `management` and what begins with it.
    pub management: Option<Management>,

    /// Where each directive stands, by its name; the last one where there are several.
    pub places: BTreeMap<String, Place>,
}

impl Options {
    /// OpenVPN's defaults with this secret, before anything depends on anything: `mssfix`, for one, is as it is
    /// without `fragment` and with the default MTU.
    #[must_use]
    pub fn new(secret: Secret) -> Self {
        Self {
            config: None,
            cd: None,
            device: Device::default(),
            ifconfig: None,
            ifconfig_ipv6: None,
            ifconfig_noexec: false,
            ifconfig_nowarn: false,
            topology: Topology::Net30,
            tun_mtu: 1500,
            occ_mtu: None,
            link_mtu: None,
            txqueuelen: None,
            persist_tun: false,
            protocol: Protocol::Udp,
            family: Family::Any,
            local: None,
            local_port: Some(1194),
            bind_ipv6_only: false,
            bind_dev: None,
            remotes: Vec::new(),
            remote_port: 1194,
            remote_random: false,
            float: false,
            resolv_retry: None,
            connect_retry: Duration::from_secs(1),
            connect_retry_max: Duration::from_secs(300),
            connect_attempts: None,
            connect_timeout: Duration::from_secs(120),
            persist_local_ip: false,
            persist_remote_ip: false,
            multihome: false,
            sndbuf: None,
            rcvbuf: None,
            mark: None,
            passtos: false,
            mtu_disc: None,
            mtu_test: false,
            mssfix: Some(Mssfix::DEFAULT),
            fragment: None,
            fragment_counts_packet: false,
            shaper: None,
            compression: Compression::None,
            ping: None,
            ping_timeout: None,
            ping_timer_remote: false,
            inactive: None,
            session_timeout: None,
            explicit_exit_notify: None,
            occ: true,
            secret,
            key_direction: KeyDirection::Both,
            cipher: Cipher::BfCbc,
            digest: Digest::Sha1,
            replay_window: ReplayWindow::DEFAULT,
            replay_persist: None,
            mute_replay_warnings: false,
            script_security: ScriptSecurity::BuiltIn,
            up: None,
            down: None,
            ipchange: None,
            route_up: None,
            route_pre_down: None,
            up_delay: false,
            down_pre: false,
            up_restart: false,
            environment: Vec::new(),
            routes: Vec::new(),
            routes_ipv6: Vec::new(),
            route_gateway: None,
            route_ipv6_gateway: None,
            route_metric: None,
            route_table: None,
            route_delay: None,
            route_noexec: false,
            redirect_gateway: None,
            user: None,
            group: None,
            chroot: None,
            nice: None,
            mlock: false,
            daemon: None,
            syslog: None,
            log: None,
            suppress_timestamps: false,
            machine_readable_output: false,
            errors_to_stderr: false,
            verb: 1,
            mute: None,
            writepid: None,
            status: None,
            remap_usr1: None,
            management: None,
            places: BTreeMap::new(),
        }
    }
}

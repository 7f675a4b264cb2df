use std::{io, time::Duration};

use proptest::prelude::*;

use super::{super::*, *};
use crate::directive;

fn parse(text: &str) -> Parsed {
    let mut none = |name: &str| Err(io::Error::other(format!("nobody asked for {name}")));
    Options::read(&directive::read_file("nq1.conf", text.as_bytes(), &mut none))
}

/// A configuration that is sound, with more lines.
fn with(lines: &str) -> Parsed {
    parse(&format!("dev tun\nsecret static.key\ncipher AES-256-CBC\n{lines}"))
}

fn options(lines: &str) -> Options {
    let parsed = with(lines);
    assert!(!parsed.is_refused(), "{lines}: {:?}", parsed.findings);
    parsed.options
}

fn told(parsed: &Parsed, severity: Severity) -> Vec<String> {
    parsed.findings.iter().filter(|f| f.severity == severity).map(Finding::to_string).collect()
}

/// The one error.
fn error(lines: &str) -> String {
    let errors = told(&with(lines), Severity::Error);
    assert_eq!(errors.len(), 1, "{lines}: {errors:?}");
    errors[0].clone()
}

#[test]
fn what_is_left_out_is_as_openvpn_has_it() {
    let parsed = with("");
    assert_eq!(parsed.findings, []);
    let secret = Secret {
        source: SecretSource::File("static.key".to_owned()),
        place: crate::directive::Place { file: Some("nq1.conf".into()), line: 2 },
    };
    let expected = Options { cipher: Cipher::Aes256Cbc, places: parsed.options.places.clone(), ..Options::new(secret) };
    assert_eq!(parsed.options, expected);
}

#[test]
fn fastmails_file_is_read() {
    let options = options(
        "local 198.51.100.7\nlport 6011\nremote 203.0.113.2\nrport 6001\nifconfig 10.9.1.1 10.9.1.2\nping 5\nping-restart 30\n\
         script-security 2\nup \"/etc/openvpn/up.pl nq\"\ndown /etc/openvpn/down.pl\nup-delay\ndown-pre\nup-restart\nuser nobody\n",
    );
    assert_eq!(options.local.as_ref().and_then(|local| local.host.as_deref()), Some("198.51.100.7"));
    assert_eq!((options.local_port, options.remotes[0].port), (Some(6011), 6001));
    assert_eq!(options.remotes[0].host, "203.0.113.2");
    let (local, remote) = ([10, 9, 1, 1].into(), [10, 9, 1, 2].into());
    assert_eq!(options.ifconfig, Some(Ifconfig::PointToPoint { local, remote }));
    assert_eq!(options.ping, Some(Duration::from_secs(5)));
    assert_eq!(options.ping_timeout, Some(PingTimeout::Restart(Duration::from_secs(30))));
    assert_eq!(options.up.map(|up| up.argv), Some(vec!["/etc/openvpn/up.pl".to_owned(), "nq".to_owned()]));
    assert!(options.up_delay && options.down_pre && options.up_restart);
    assert_eq!(options.places["ping-restart"].line, 10);
}

#[test]
fn keepalive_stands_for_ping_and_ping_restart() {
    let options = options("keepalive 10 60");
    assert_eq!(options.ping, Some(Duration::from_secs(10)));
    assert_eq!(options.ping_timeout, Some(PingTimeout::Restart(Duration::from_secs(60))));
    assert!(error("keepalive 10 19").contains("must be at least twice the first"));
    assert!(error("ping 5\nkeepalive 10 60").contains("take these out"));
    assert!(error("keepalive 0 60").contains("from 1 to 86400"));
    assert!(!with("ping 0\nping-restart 0\nkeepalive 10 60").is_refused(), "zeros say nothing");
}

#[test]
fn the_last_of_ping_exit_and_ping_restart_counts_and_zero_is_off() {
    assert_eq!(options("ping-restart 3\nping-exit 9").ping_timeout, Some(PingTimeout::Exit(Duration::from_secs(9))));
    assert_eq!(options("ping 0\nping-exit 3\nping-restart 0").ping_timeout, None);
}

#[test]
fn mssfix_follows_fragment_and_mtu_where_it_is_left_out() {
    let mssfix = |lines: &str| options(lines).mssfix.map(|m| (m.bytes, m.counts));
    assert_eq!(mssfix(""), Some((1492, MssfixCounts::Packet)));
    assert_eq!(mssfix("fragment 1300\nmssfix"), Some((1300, MssfixCounts::Packet)));
    assert_eq!(mssfix("tun-mtu 1400"), Some((1400, MssfixCounts::Inner)));
    assert_eq!(mssfix("link-mtu 1450"), None);
    assert_eq!(mssfix("mssfix 0"), None);
    assert_eq!(mssfix("mssfix 1300"), Some((1300, MssfixCounts::Payload)));
    assert_eq!(mssfix("mssfix 1300 mtu"), Some((1300, MssfixCounts::Packet)));
    assert_eq!(mssfix("mssfix 1300 fixed"), Some((1300, MssfixCounts::Inner)));
    assert!(error("mssfix 100").contains("0 (off) or at least 154"));
    assert!(error("mssfix 1300 yes").contains("mtu or fixed"));
}

#[test]
fn a_port_is_bound_unless_tcp_connects_or_nobind_says_otherwise() {
    let port = |lines: &str| options(lines).local_port;
    assert_eq!(port(""), Some(1194));
    assert_eq!(port("port 5000\nremote a"), Some(5000));
    assert_eq!(port("lport 0\nremote a"), None);
    assert_eq!(port("nobind\nremote a"), None);
    assert_eq!(port("proto tcp-client\nremote a"), None);
    assert_eq!(port("proto tcp-client\nremote a\nport 5000"), None);
    assert_eq!(port("proto tcp-client\nremote a\nlport 5000"), Some(5000));
    assert_eq!(port("proto tcp-client\nremote a\nlocal 192.0.2.1"), Some(1194));
    assert_eq!(port("proto tcp-server"), Some(1194));
    assert_eq!(port("local * 7000"), Some(7000));
    assert_eq!(options("local * 7000").local.and_then(|local| local.host), None);
}

#[test]
fn a_remote_takes_what_it_leaves_out_from_elsewhere() {
    let remotes = options("remote a\nremote b 1\nremote c 2 udp6\nrport 7\nproto udp4").remotes;
    let short: Vec<_> = remotes.iter().map(|r| (r.host.as_str(), r.port, r.protocol, r.family)).collect();
    assert_eq!(
        short,
        [("a", 7, Protocol::Udp, Family::V4), ("b", 1, Protocol::Udp, Family::V4), ("c", 2, Protocol::Udp, Family::V6)]
    );
    assert_eq!(options("proto tcp\nremote a").remotes[0].protocol, Protocol::TcpClient);
    assert!(error("proto sctp").contains("should be udp"));
}

#[test]
fn a_subnet_has_a_mask_and_everything_else_a_second_address() {
    let parsed = options("topology subnet\nifconfig 10.9.0.1 255.255.255.0").ifconfig;
    assert_eq!(parsed, Some(Ifconfig::Subnet { local: [10, 9, 0, 1].into(), netmask: [255, 255, 255, 0].into() }));
    assert!(error("topology subnet\nifconfig 10.9.0.1 10.9.0.2").contains("its ones must come first"));
    assert!(error("ifconfig 10.9.0.1 peer.example").contains("should be an IPv4 address"));
    assert!(error("ifconfig 10.9.0.1 10.9.0.1").contains("the second is the other end's"));
    let warned = with("ifconfig 10.9.0.1 255.255.255.0");
    assert!(!warned.is_refused() && told(&warned, Severity::Warning)[0].contains("looks like a mask"));
    assert!(error("ifconfig-ipv6 fd00::1/48 fd00::2").contains("from /64 to /124"));
}

#[test]
fn what_does_not_fit_together_is_told_with_its_line() {
    for (lines, place, text) in [
        ("nobind\nremote a\nlport 5", 4, "`nobind` and `lport`"),
        ("nobind\nremote a\nbind", 4, "`nobind` and `bind`"),
        ("local a\nnobind\nremote b", 5, "`nobind` and `local`"),
        ("nobind", 4, "nobody could find this end"),
        ("remote 10.9.0.2\nifconfig 10.9.0.1 10.9.0.2", 4, "inside the tunnel"),
        ("local 10.9.0.1\nifconfig 10.9.0.1 10.9.0.2", 4, "inside the tunnel"),
        ("local 192.0.2.1\nremote 192.0.2.1", 5, "the same address and port"),
        ("tun-mtu 1400\nlink-mtu 1450", 5, "contradict each other"),
        ("proto tcp-server\nfragment 1300", 5, "`fragment` is for UDP alone"),
        ("proto tcp-server\nmtu-test", 5, "`mtu-test` is for UDP alone"),
        ("proto tcp-client", 4, "needs a `remote`"),
        ("proto tcp-server\nremote a\nremote b", 6, "waits for one peer"),
        ("management-hold", 4, "needs `management"),
        ("management a 7505\nmanagement-client-user me", 4, "are for `management PATH unix`"),
        ("up /bin/true", 4, "only after `script-security 2`"),
        ("keysize 128", 4, "keys of AES-256-CBC have 256 bits"),
    ] {
        let error = error(lines);
        assert!(error.starts_with(&format!("nq1.conf:{place}: ")) && error.contains(text), "{lines}: {error}");
    }
}

#[test]
fn a_device_must_be_a_tun_device() {
    let error = |lines: &str| {
        let errors = told(&parse(&format!("{lines}\nsecret k\n")), Severity::Error);
        assert_eq!(errors.len(), 1, "{errors:?}");
        errors[0].clone()
    };
    assert_eq!(error(""), "`dev` is missing: add `dev tun`");
    assert!(error("dev tap").contains("tap devices, which carry Ethernet frames"));
    assert!(error("dev nq1\ndev-type tap").starts_with("nq1.conf:2: `dev-type tap`"));
    assert!(error("dev nq1").contains("Add `dev-type tun`"));
    assert!(error("dev null").contains("`null` devices"));
    assert!(error("dev tun-of-sixteen-b").contains("longer than 15 bytes"));
    assert!(error("dev tun\ndev-node /dev/tun3").contains("leave the line out"));
    let named = parse("dev nq1\ndev-type tun\nsecret k");
    assert!(!named.is_refused() && !named.options.device.is_dynamic());
}

#[test]
fn values_have_openvpns_ranges() {
    for (line, text) in [
        ("ping 86401", "from 0 to 86400"),
        ("ping 5s", "`5s` should be a whole number"),
        ("replay-window 65537", "from 0 to 65536"),
        ("replay-window 64 601", "from 0 to 600"),
        ("shaper 99", "from 100 to 100000000"),
        ("tun-mtu 99", "from 100 to 65535"),
        ("fragment 67", "from 68"),
        ("script-security 4", "from 0 to 3"),
        ("status-version 4", "from 1 to 3"),
        ("lport 70000", "a port from 1 to 65535"),
        ("remote a isakmp", "a port from 1 to 65535, or the name of a service"),
        ("key-direction 2", "0 at one end and 1 at the other"),
        ("key-direction x", "0 at one end and 1 at the other"),
        ("mtu-disc perhaps", "yes, maybe or no"),
        ("remap-usr1 SIGINT", "SIGHUP or SIGTERM"),
        ("cipher AES-256-GCM", "cannot be used with a static key"),
        ("cipher AES-256-CFB", "only CBC can"),
        ("cipher CAMELLIA-128-CBC", "change both ends to one of BF-CBC"),
        ("auth WHIRLPOOL", "change both ends to one of MD5, SHA1"),
        ("route 10.0.0.0/8", "the mask is a parameter of its own"),
        ("route 10.0.0.0 255.0.255.0", "its ones must come first"),
        ("route default", "a network is missing"),
        ("up a b", "put quotation marks around it"),
        ("down", "it takes one parameter, not 0"),
        ("verb", "it takes one parameter, not 0"),
        ("float on", "it takes no parameter, not 1"),
        ("mode client", "should be p2p"),
        ("socks-proxy a 1080", "proxies cannot be used"),
        ("no-iv", "by itself neither since 2.5"),
    ] {
        let error = error(line);
        assert!(error.starts_with("nq1.conf:4: ") && error.contains(text), "{line}: {error}");
    }
}

#[test]
fn names_of_ciphers_and_hashes_are_found_in_any_case() {
    let parsed = options("cipher aes-128-cbc\nauth RSA-SHA256");
    assert_eq!((parsed.cipher, parsed.digest), (Cipher::Aes128Cbc, Digest::Sha256));
    assert_eq!((options("auth sha1").digest, options("auth SHA2-512").digest), (Digest::Sha1, Digest::Sha512));
}

#[test]
fn weak_ciphers_are_warned_of() {
    let warned = |lines: &str| told(&with(lines), Severity::Warning).join("\n");
    assert!(warned("cipher none\nauth none").contains("not encrypted") && warned("auth none").contains("forge"));
    assert!(warned("cipher BF-CBC").contains("SWEET32"));
    let defaulted = parse("dev tun\nsecret k");
    assert_eq!(defaulted.options.cipher, Cipher::BfCbc);
    assert!(told(&defaulted, Severity::Warning)[0].contains("SWEET32"));
}

#[test]
fn a_direction_comes_from_either_directive() {
    assert_eq!(options("secret k 1").key_direction, KeyDirection::One);
    assert_eq!(options("key-direction 0").key_direction, KeyDirection::Zero);
    let inline = parse("dev tun\ncipher AES-256-CBC\nkey-direction 1\n<secret>\nabc\n</secret>\n");
    assert_eq!(inline.options.key_direction, KeyDirection::One);
    assert!(matches!(&inline.options.secret.source, SecretSource::Inline(text) if text.as_str() == "abc\n"));
    assert!(!format!("{inline:?}").contains("abc"), "a key is never printed");
}

#[test]
fn a_tls_configuration_is_refused_once_with_the_way_out() {
    let parsed =
        parse("dev tun\ntls-client\nca ca.crt\ncert a.crt\nkey a.key\nremote a\nreneg-sec 0\ntls-auth ta.key 1\n");
    let errors = told(&parsed, Severity::Error);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].starts_with("nq1.conf:2: `tls-client` makes this a TLS configuration"), "{}", errors[0]);
    assert!(errors[0].contains("`ca` (nq1.conf:3)") && errors[0].contains("`meshtun import`"), "{}", errors[0]);
    assert!(parsed.tls && !parsed.server);
    let server = parse("dev tun\nserver 10.8.0.0 255.255.255.0\nca ca.crt\nclient-to-client\n");
    let errors = told(&server, Severity::Error);
    assert!(errors.len() == 1 && errors[0].contains("leave it to OpenVPN"), "{errors:?}");
    assert!(server.server);
    assert!(error("client-to-client").contains("for a server with many clients"));
}

#[test]
fn without_a_key_nothing_runs() {
    assert!(told(&parse("dev tun\n"), Severity::Error)[0].contains("`secret` is missing"));
    let wrong = told(&parse("dev tun\nsecret k 2\n"), Severity::Error);
    assert!(wrong.len() == 1 && wrong[0].contains("0 at one end"), "{wrong:?}");
}

#[test]
fn unknown_names_are_errors_unless_they_are_said_to_be_optional() {
    assert_eq!(
        error("ping-restrat 30"),
        "nq1.conf:4: `ping-restrat` is unknown (`ping-restart`?): correct it or take it out, or allow it by `ignore-unknown-option ping-restrat` before it"
    );
    for lines in ["ignore-unknown-option --frob x\nfrob 1", "setenv opt frob 1", "setenv FORWARD_COMPATIBLE 1\nfrob 1"]
    {
        let parsed = with(lines);
        assert!(!parsed.is_refused(), "{lines}");
        assert!(told(&parsed, Severity::Warning)[0].contains("`frob` is unknown and left out"), "{lines}");
    }
    assert!(with("frob 1\nignore-unknown-option frob").is_refused(), "what comes later does not help");
    assert_eq!(options("setenv opt ping 7").ping, Some(Duration::from_secs(7)));
}

#[test]
fn what_has_no_meaning_is_accepted_with_a_note() {
    for line in ["persist-key", "fast-io", "comp-noadapt", "tun-ipv6", "ncp-disable", "providers legacy default"] {
        let parsed = with(line);
        assert!(!parsed.is_refused(), "{line}");
        assert!(told(&parsed, Severity::Note)[0].contains("changes nothing"), "{line}");
    }
    let tcp = with("proto tcp-server\nexplicit-exit-notify");
    assert_eq!(tcp.options.explicit_exit_notify, None);
    assert!(told(&tcp, Severity::Note)[0].contains("over TCP"));
    assert_eq!(options("explicit-exit-notify").explicit_exit_notify, Some(1));
}

#[test]
fn compression_is_framing_without_compressing() {
    for (line, framing, warned) in [
        ("comp-lzo", Compression::Lzo, true),
        ("comp-lzo no", Compression::Lzo, false),
        ("compress", Compression::Swap, false),
        ("compress lz4", Compression::Swap, true),
        ("compress stub-v2", Compression::V2, false),
        ("compress migrate", Compression::None, false),
    ] {
        let parsed = with(line);
        assert_eq!(parsed.options.compression, framing, "{line}");
        assert_eq!(!told(&parsed, Severity::Warning).is_empty(), warned, "{line}");
    }
}

#[test]
fn variables_for_scripts_are_collected_and_cleaned() {
    let environment = options(
        "setenv NAME \"a b\"\nsetenv bad-na/me 1\nsetenv-safe X y\ndhcp-option DNS 10.0.0.1\ndhcp-option DOMAIN a.example\n\
         redirect-gateway def1 ipv6\nsetenv NAME\n",
    )
    .environment;
    let short: Vec<_> =
        environment.iter().map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value))).collect();
    assert_eq!(
        short,
        [
            "badname=1",
            "OPENVPN_X=y",
            "foreign_option_1=dhcp-option DNS 10.0.0.1",
            "foreign_option_2=dhcp-option DOMAIN a.example",
            "route_redirect_gateway_ipv4=1",
            "route_redirect_gateway_ipv6=1",
            "NAME="
        ]
    );
}

#[test]
fn a_variable_may_have_a_value_that_is_no_text() {
    let read = |line: &[u8]| {
        let text = [b"dev tun\nsecret k\ncipher AES-256-CBC\n", line].concat();
        Options::read(&directive::read_file("nq1.conf", &text, &mut |_| unreachable!("nothing is named")))
    };
    let parsed = read(b"setenv CITY Z\xfcrich\nsetenv-safe CITY \"Gen\xe8ve 1\"\n");
    assert!(!parsed.is_refused(), "{:?}", parsed.findings);
    let expected = [("CITY".to_owned(), b"Z\xfcrich".to_vec()), ("OPENVPN_CITY".to_owned(), b"Gen\xe8ve 1".to_vec())];
    assert_eq!(parsed.options.environment, expected);
    for line in [&b"setenv Z\xfc x\n"[..], b"status Z\xfc\n", b"setenv a b Z\xfc\n"] {
        assert!(told(&read(line), Severity::Error)[0].contains("is not UTF-8 text"), "{line:?}");
    }
}

#[test]
fn routes_keep_openvpns_own_words() {
    let routes =
        options("route 10.1.0.0 255.255.0.0\nroute 10.2.0.1\nroute remote_host default net_gateway 5\nroute a.example")
            .routes;
    assert_eq!(routes[0].network, Destination::Address([10, 1, 0, 0].into()));
    assert_eq!(routes[1].netmask, std::net::Ipv4Addr::BROADCAST);
    assert_eq!((&routes[2].network, &routes[2].gateway), (&Destination::RemoteHost, &Some(Destination::NetGateway)));
    assert_eq!((routes[2].metric, &routes[3].network), (Some(5), &Destination::Name("a.example".to_owned())));
    assert!(
        told(&with("route 10.1.0.1 255.255.0.0"), Severity::Warning)[0].contains("10.1.0.0/16, which is not 10.1.0.1")
    );
}

#[test]
fn management_and_status_are_put_together() {
    let parsed = options(
        "management /run/m.sock unix pw\nmanagement-hold\nmanagement-log-cache 9\nstatus s 5\nstatus-version 2",
    );
    let management = parsed.management.expect("it is given");
    assert_eq!(management.address, ManagementAddress::Unix("/run/m.sock".to_owned()));
    assert!(management.hold && !management.signal && management.log_cache == 9);
    assert_eq!(parsed.status, Some(Status { path: "s".to_owned(), every: Duration::from_secs(5), version: 2 }));
    let open = with("management 127.0.0.1 7505");
    assert_eq!(
        told(&open, Severity::Warning),
        Vec::<String>::new(),
        "whoever listens warns of a port without a password"
    );
}

#[test]
fn a_command_line_overrides_a_file_where_it_comes_later() {
    let line = ["--config", "nq1.conf", "--verb", "4", "--daemon", "nq1", "--daemon", "late"].map(str::to_owned);
    let reading =
        directive::read_arguments(&line, &mut |_| Ok(b"dev tun\nsecret k\nverb 1\ncipher AES-256-CBC".to_vec()));
    let parsed = Options::read(&reading);
    assert_eq!((parsed.options.verb, parsed.options.config.as_deref()), (4, Some("nq1.conf")));
    assert_eq!(parsed.options.daemon, Some(Daemon { name: Some("nq1".to_owned()) }));
    assert_eq!(
        told(&parsed, Severity::Warning),
        ["argument 7: `daemon` is given more than once: the first one counts, not `late`"]
    );
}

#[test]
fn blocks_of_connections_are_remotes_with_ports_and_protocols_of_their_own() {
    let text = "rport 7001\n<connection>\nremote a.example\n</connection>\nproto tcp-client\n\
                <connection>\n# the second\nremote b.example 7002 udp6\n</connection>\n\
                <connection>\nproto udp4\nrport 7003\nremote c.example\n</connection>\n";
    let remotes = options(text).remotes;
    let short: Vec<_> = remotes.iter().map(|r| (r.host.as_str(), r.port, r.protocol, r.family, r.place.line)).collect();
    assert_eq!(
        short,
        [
            // What stands below a block is not for it.
            ("a.example", 7001, Protocol::Udp, Family::Any, 5),
            ("b.example", 7002, Protocol::Udp, Family::V6, 9),
            ("c.example", 7003, Protocol::Udp, Family::V4, 13),
        ]
    );
    let beside = with("remote z.example\n<connection>\nremote a.example\n</connection>\n");
    assert_eq!(beside.options.remotes.len(), 1);
    assert!(told(&beside, Severity::Warning)[0].starts_with("nq1.conf:4: `remote` outside"), "{:?}", beside.findings);
    for (block, words) in [
        ("<connection>\nremote a.example\nfloat\n</connection>\n", "nq1.conf:6: `float`: only `remote`"),
        ("<connection>\nrport 7\n</connection>\n", "there is no `remote` in it"),
        ("<connection>\nremote a.example port\n</connection>\n", "nq1.conf:5: `port` should be a port"),
        ("connection\n", "it takes one parameter"),
        ("connection a\n", "it stands around lines"),
    ] {
        assert!(error(block).contains(words), "{block}: {}", error(block));
    }
}

#[test]
fn of_a_file_that_cannot_be_read_nothing_is_said_to_be_missing() {
    let line = ["--config", "nq1.conf"].map(str::to_owned);
    let reading = directive::read_arguments(&line, &mut |_| Err(io::ErrorKind::PermissionDenied.into()));
    let errors = told(&Options::read(&reading), Severity::Error);
    assert!(errors.len() == 1 && errors[0].contains("`nq1.conf` cannot be read: permission denied"), "{errors:?}");
    let errors = told(&parse("\"dev tun\nsecret k\ncipher none\n"), Severity::Error);
    assert_eq!(errors.len(), 1, "`dev` stands in the line that cannot be split: {errors:?}");
    assert_eq!(told(&parse("cipher none\n"), Severity::Error).len(), 2, "but here it is missing, and `secret`");
}

#[test]
fn of_a_tls_configuration_is_said_what_it_is_and_nothing_else() {
    let text = "client\nproto udp\nremote a.example 1194\nca ca.crt\ncert c.crt\nkey c.key\ncipher AES-256-GCM\nnobind\n\
                persist-key\nlport 7\nport x\nfrobnicate\n";
    let parsed = parse(text);
    assert!(parsed.tls && parsed.findings.len() == 1, "{:?}", parsed.findings);
    assert!(parsed.findings[0].text.starts_with("`client` makes this a TLS configuration"));
    assert_eq!(parsed.options.remotes[0].host, "a.example", "what it says is there for `import`");
}

#[test]
fn findings_are_in_the_order_of_lines() {
    let parsed = parse("dev tap\nping x\nfrob\nsecret k\n\"open\n");
    let lines: Vec<_> = parsed.findings.iter().filter_map(|f| f.place.as_ref()).map(|place| place.line).collect();
    assert!(lines.is_sorted() && lines.len() == 4, "{:?}", parsed.findings);
}

#[test]
fn every_name_has_one_meaning() {
    let mut names: Vec<_> = table::names().collect();
    names.sort_unstable();
    let doubled: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).collect();
    assert!(doubled.is_empty(), "{doubled:?}");
}

proptest! {
    #[test]
    fn any_line_of_known_names_is_judged_without_a_panic(
        lines in prop::collection::vec((prop::sample::select(table::names().collect::<Vec<_>>()), prop::collection::vec("[0-9a-z./:-]{0,6}|0|1|10.0.0.1|tun|udp|255.255.255.0|opt", 0..4)), 0..12)
    ) {
        let text: String = lines.iter().map(|(name, words)| format!("{name} {}\n", words.join(" "))).collect();
        let parsed = parse(&text);
        prop_assert!(parsed.findings.iter().all(|finding| !finding.text.is_empty()));
    }
}

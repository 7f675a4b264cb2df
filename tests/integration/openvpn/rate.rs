//! `shaper` and `passtos`.

use std::{net::UdpSocket, time::Instant};

use netns_lab::trial;

use super::{COMPLETED, END, Ends, Kind, PEER};
use crate::bed::run;

/// Packets and bytes that a rule has counted.
fn counted(rules: &str, words: &str) -> (u64, u64) {
    let line = rules.lines().find(|line| line.contains(words)).unwrap_or_else(|| panic!("{words}: {rules}"));
    let number = |before: &str| line.split_once(before).unwrap().1.split_whitespace().next().unwrap().parse().unwrap();
    (number("packets "), number("bytes "))
}

#[test]
fn a_shaped_channel_sends_so_many_bytes_a_second_and_answers_meanwhile() {
    const RATE: u64 = 200_000;
    trial::run_with_tun(|| {
        let ends = Ends::new(PEER);
        run(&ends.left, "nft add table inet t");
        run(&ends.left, "nft add chain inet t out { type filter hook output priority 0 ; }");
        run(&ends.left, "nft add rule inet t out udp dport 6001 counter");
        let mut running = ends.start(Kind::Meshtun, &format!("{END}shaper {RATE}\n"));
        running.wait_for(COMPLETED, 1);
        assert!(running.log().contains(&format!("Output Traffic Shaping initialized at {RATE} bytes per second")));
        let sent = || counted(&run(&ends.left, "nft list ruleset"), "dport 6001").1;
        let socket = ends.left.run(|| UdpSocket::bind("10.7.0.1:0").unwrap()).unwrap();
        // Ten times as much as may go: long enough before, so that what may burst has gone.
        let flood = |seconds: f64| {
            let start = Instant::now();
            while start.elapsed().as_secs_f64() < seconds {
                for _ in 0..20 {
                    let _full = socket.send_to(&[7; 1000], "10.7.0.2:9");
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        };
        flood(0.5);
        let (before, start) = (sent(), Instant::now());
        flood(3.0);
        let (bytes, time) = (sent() - before, start.elapsed().as_secs_f64());
        let rate = bytes as f64 / time;
        // On a machine that has no time it may be slower, but never faster.
        assert!(rate < RATE as f64 * 1.1 && rate > RATE as f64 * 0.5, "{rate} bytes a second");
        run(&ends.left, "ping -n -c 2 -i 0.2 -W 20 10.7.0.2");
        running.end();
    });
}

#[test]
fn datagrams_have_the_class_of_what_they_carry_if_it_is_passed_on() {
    trial::run_with_tun(|| {
        let ends = Ends::new(PEER);
        run(&ends.left, "nft add table inet t");
        run(&ends.left, "nft add chain inet t out { type filter hook output priority 0 ; }");
        for class in ["ef", "af21"] {
            run(&ends.left, &format!("nft add rule inet t out udp dport 6001 ip dscp {class} counter"));
        }
        let packets = |class: &str| counted(&run(&ends.left, "nft list ruleset"), &format!("dscp {class} ")).0;
        let ping = |tos: &str, to: &str| run(&ends.left, &format!("ping -n -c 3 -i 0.2 -W 20 -Q {tos} {to}"));
        let six = "ifconfig-ipv6 fd00:7::1/64 fd00:7::2\n";
        let mut running = ends.start(Kind::Meshtun, &format!("{END}{six}"));
        running.wait_for(COMPLETED, 1);
        ping("0xb8", "10.7.0.2");
        assert_eq!((packets("ef"), packets("af21")), (0, 0), "nobody asked for it");
        running.end();
        let mut running = ends.start(Kind::Meshtun, &format!("{END}{six}passtos\n"));
        running.wait_for(COMPLETED, 1);
        ping("0xb8", "10.7.0.2");
        assert!(packets("ef") >= 3 && packets("af21") == 0, "{} {}", packets("ef"), packets("af21"));
        // ECT(0) with it: it does not count.
        ping("0x4a", "10.7.0.2");
        ping("0x48", "fd00:7::2");
        assert!(packets("af21") >= 6, "{}", packets("af21"));
        running.end();
    });
}

//! The maximum segment size that a SYN carries behind a channel.

use std::{net::TcpStream, time::Duration};

use meshtun_dataplane::{ClampMss, Command};
use meshtun_proto::Suite;
use meshtun_testkit::packet;
use netns_lab::trial;

use super::bench::{Bench, ID, OURS, PEERS, in_namespace};

#[test]
fn a_syn_of_the_kernel_is_lowered_as_told_and_stays_sound() {
    trial::run_with_tun(|| {
        in_namespace(|| {
            let mut bench = Bench::up(Suite::ChaCha20Poly1305);
            assert_eq!(size_in_next_syn(&mut bench), 1420 - 40, "left alone unless told otherwise");
            for (command, expected) in [
                (Command::ClampMss(ClampMss::ToMtu), 1420 - 40),
                (Command::Mtu(1400), 1400 - 40),
                (Command::ClampMss(ClampMss::To(1000)), 1000 - 40),
                (Command::Mtu(1420), 1000 - 40),
                (Command::ClampMss(ClampMss::To(9000)), 1420 - 40),
                (Command::ClampMss(ClampMss::Off), 1420 - 40),
            ] {
                let what = format!("{command:?}");
                bench.plane.send(ID, command);
                bench.plane.settle();
                assert_eq!(size_in_next_syn(&mut bench), expected, "{what}");
            }
        });
    });
}

fn size_in_next_syn(bench: &mut Bench) -> u16 {
    let connect = std::thread::spawn(|| TcpStream::connect_timeout(&(PEERS, 9).into(), Duration::from_millis(50)));
    let plaintext = bench.receive();
    assert!(connect.join().unwrap().is_err(), "nobody answers");
    let length = usize::from(u16::from_be_bytes([plaintext[2], plaintext[3]]));
    let syn = &plaintext[..length];
    packet::verify(syn).unwrap_or_else(|fault| panic!("{fault:?}"));
    assert_eq!(
        (&syn[12..16], &syn[16..20], syn[33]),
        (&OURS.octets()[..], &PEERS.octets()[..], 2),
        "a SYN to the peer"
    );
    // Linux puts the size first.
    assert_eq!(syn[40..42], [2, 4]);
    u16::from_be_bytes([syn[42], syn[43]])
}

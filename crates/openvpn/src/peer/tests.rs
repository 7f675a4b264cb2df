use proptest::prelude::*;

use super::*;
use crate::{
    directive::Place,
    options::{Cipher, Digest, Family, Inactivity, Remote, Secret, SecretSource},
    wire::Shape,
};

const SECOND: Duration = Duration::from_secs(1);

fn place() -> Place {
    Place { file: Some("test.conf".into()), line: 1 }
}

fn options() -> Options {
    let secret = Secret { source: SecretSource::File("key".into()), place: place() };
    let remote = Remote {
        host: "198.51.100.1".into(),
        port: 1194,
        protocol: Protocol::Udp,
        family: Family::Any,
        place: place(),
    };
    Options { cipher: Cipher::Aes256Cbc, remotes: vec![remote], occ: false, ..Options::new(secret) }
}

/// A peer, its clock, and what it said.
struct World {
    peer: Peer,
    began: Instant,
    now: Instant,
    traffic: Traffic,
    said: Vec<(u64, Output)>,
}

impl World {
    fn new(options: &Options) -> World {
        let now = Instant::now();
        let peer = Peer::new(options, options.protocol, now);
        World { peer, began: now, now, traffic: Traffic::default(), said: Vec::new() }
    }

    fn second(&self) -> u64 {
        (self.now - self.began).as_secs()
    }

    fn collect(&mut self) {
        while let Some(output) = self.peer.poll_output() {
            if matches!(output, Output::Send(_)) {
                self.traffic.sent = Some(self.now);
            }
            self.said.push((self.second(), output));
        }
    }

    /// Lets time pass until so many seconds after the beginning, with whatever `happens` each second.
    fn until(&mut self, second: u64, mut happens: impl FnMut(&mut World)) {
        let end = self.began + SECOND * second as u32;
        let mut tick = self.now;
        loop {
            let next = self.peer.poll_timeout().unwrap_or(end).max(self.now).min(tick + SECOND);
            if next > end {
                break;
            }
            if next == tick + SECOND {
                tick = next;
                self.now = next;
                happens(self);
            }
            self.now = next;
            self.peer.handle_traffic(self.now, self.traffic);
            self.peer.handle_timeout(self.now);
            self.collect();
            if next >= end {
                break;
            }
        }
        self.now = end;
    }

    fn seconds_of(&self, wanted: impl Fn(&Output) -> bool) -> Vec<u64> {
        self.said.iter().filter(|(_, output)| wanted(output)).map(|(second, _)| *second).collect()
    }

    fn pings(&self) -> Vec<u64> {
        self.seconds_of(|output| *output == Output::Send(PING.to_vec()))
    }

    fn sent(&self, message: &Message) -> Vec<u64> {
        self.seconds_of(|output| *output == Output::Send(message.encode()))
    }

    fn end(&self) -> Option<(u64, End)> {
        let ends: Vec<_> = self
            .said
            .iter()
            .filter_map(|(second, output)| match output {
                Output::End(end) => Some((*second, *end)),
                _ => None,
            })
            .collect();
        assert!(ends.len() <= 1, "one end: {ends:?}");
        ends.first().copied()
    }

    fn notes(&self) -> Vec<Note> {
        self.said
            .iter()
            .filter_map(|(_, output)| match output {
                Output::Note(note) => Some(note.clone()),
                _ => None,
            })
            .collect()
    }
}

fn hears(world: &mut World) {
    world.traffic.heard = Some(world.now);
}

#[test]
fn pings_go_at_once_and_then_whenever_nothing_else_was_sent_for_so_long() {
    let mut world = World::new(&Options { ping: Some(5 * SECOND), ..options() });
    world.until(12, |_| {});
    assert_eq!(world.pings(), [0, 5, 10]);
    world.until(20, |world| world.traffic.sent = Some(world.now));
    assert_eq!(world.pings(), [0, 5, 10], "what is sent says enough");
    world.until(31, |_| {});
    assert_eq!(world.pings(), [0, 5, 10, 25, 30]);
}

#[test]
fn a_silent_peer_is_given_up_after_the_time_and_no_earlier() {
    for (timeout, end) in [
        (PingTimeout::Restart(30 * SECOND), End::Restart("ping-restart")),
        (PingTimeout::Exit(30 * SECOND), End::Exit("ping-exit")),
    ] {
        let options = Options { ping: Some(5 * SECOND), ping_timeout: Some(timeout), ..options() };
        let mut never = World::new(&options);
        never.until(100, |_| {});
        assert_eq!(never.end(), Some((30, end)));
        assert!(never.pings().len() >= 6 && never.pings().iter().all(|second| *second < 30), "{:?}", never.pings());
        assert_eq!(never.peer.poll_timeout(), None, "nothing is to come");

        let mut later = World::new(&options);
        later.until(50, hears);
        assert_eq!(later.end(), None);
        later.until(100, |_| {});
        assert_eq!(later.end(), Some((80, end)));
    }
}

#[test]
fn the_first_datagram_heard_counts_from_when_it_came() {
    let timeout = Some(PingTimeout::Restart(10 * SECOND));
    let mut world = World::new(&Options { ping_timeout: timeout, ..options() });
    world.until(7, |_| {});
    world.peer.handle_authenticated(world.now);
    world.peer.handle_authenticated(world.now);
    world.collect();
    assert_eq!(world.said, [(7, Output::Established)], "once");
    world.until(60, |_| {});
    assert_eq!(world.end(), Some((17, End::Restart("ping-restart"))));
}

#[test]
fn with_ping_timer_rem_nobody_is_missed_before_somebody_is_known() {
    let options = Options {
        remotes: Vec::new(),
        ping_timeout: Some(PingTimeout::Exit(10 * SECOND)),
        ping_timer_remote: true,
        ..options()
    };
    let mut world = World::new(&options);
    world.until(1_000, |_| {});
    assert_eq!(world.end(), None);
    world.peer.handle_authenticated(world.now);
    world.collect();
    world.until(1_100, |_| {});
    assert_eq!(world.end(), Some((1_010, End::Exit("ping-exit"))));
}

#[test]
fn options_are_asked_for_every_ten_seconds_until_they_are_told() {
    let options = Options { occ: true, ..options() };
    let mut silent = World::new(&options);
    silent.traffic.received_bytes = 77;
    silent.until(300, |_| {});
    assert_eq!(silent.sent(&Message::Request), (1..12).map(|number| number * 10).collect::<Vec<_>>());
    assert_eq!(silent.notes(), [Note::NoOptions { received_bytes: 77, authentic_bytes: 0 }]);

    let mut answered = World::new(&options);
    answered.until(25, |_| {});
    let theirs = occ::options_string(&options, Protocol::Udp, Whose::Theirs);
    answered.peer.handle_message(answered.now, &Message::Reply(theirs.into_bytes()).encode(), 300);
    answered.until(300, |_| {});
    assert_eq!(answered.sent(&Message::Request), [10, 20]);
    assert_eq!(answered.notes(), []);

    let mut waiting = World::new(&Options { remotes: Vec::new(), ..options });
    waiting.until(300, |_| {});
    assert_eq!(waiting.notes(), [], "nobody is expected to be there");
}

#[test]
fn questions_are_answered_even_if_we_ask_none() {
    let options = options();
    let mut world = World::new(&options);
    world.peer.handle_message(world.now, &Message::Request.encode(), 52);
    world.collect();
    let ours = occ::options_string(&options, Protocol::Udp, Whose::Ours);
    assert_eq!(world.sent(&Message::Reply(ours.into_bytes())), [0]);
    assert!(world.peer.is_established());
}

#[test]
fn options_that_differ_are_told_and_change_nothing() {
    let mut world = World::new(&Options { occ: true, ..options() });
    let theirs = Message::Reply(b"V4,dev-type tun,link-mtu 1".to_vec());
    world.peer.handle_message(world.now, &theirs.encode(), 300);
    let version = Message::Reply(b"V5,dev-type tun".to_vec());
    world.peer.handle_message(world.now, &version.encode(), 300);
    world.peer.handle_message(world.now, &[&occ::MAGIC[..], b"\x63unknown"].concat(), 100);
    world.collect();
    let notes = world.notes();
    assert!(
        notes.iter().any(|note| note.is_warning() && note.to_string().contains("'link-mtu' is used inconsistently"))
    );
    assert!(notes.contains(&Note::OtherVersion));
    assert_eq!(world.end(), None);
}

#[test]
fn a_peer_that_goes_away_makes_us_start_again() {
    let mut world = World::new(&options());
    world.peer.handle_message(world.now, &Message::Exit.encode(), 52);
    world.collect();
    assert_eq!(world.end(), Some((0, End::Restart("remote-exit"))));
    world.peer.handle_message(world.now, &Message::Exit.encode(), 52);
    world.peer.handle_timeout(world.now + 1_000 * SECOND);
    world.collect();
    assert_eq!(world.end(), Some((0, End::Restart("remote-exit"))), "once");
}

#[test]
fn goodbyes_are_said_once_a_second_before_we_go() {
    let mut world = World::new(&Options { explicit_exit_notify: Some(3), ..options() });
    world.until(10, |_| {});
    world.peer.handle_exit(world.now);
    world.collect();
    world.until(30, |_| {});
    assert_eq!(world.sent(&Message::Exit), [10, 11, 12]);
    assert_eq!(world.end(), Some((13, End::Exit("exit-with-notification"))));

    let mut none = World::new(&options());
    none.peer.handle_exit(none.now);
    none.collect();
    assert_eq!(none.end(), Some((0, End::Exit(""))));

    let mut hurry = World::new(&Options { explicit_exit_notify: Some(30), ..options() });
    hurry.peer.handle_exit(hurry.now);
    hurry.until(2, |_| {});
    hurry.peer.handle_exit(hurry.now);
    hurry.collect();
    assert_eq!(hurry.end(), Some((2, End::Exit(""))), "told twice");

    let stream = Options { protocol: Protocol::TcpClient, explicit_exit_notify: Some(3), ..options() };
    let mut stream = World::new(&stream);
    stream.peer.handle_exit(stream.now);
    stream.collect();
    assert_eq!(stream.end(), Some((0, End::Exit(""))), "a stream's end says it");
}

#[test]
fn who_is_leaving_does_not_start_again() {
    let options = Options { explicit_exit_notify: Some(5), ..options() };
    let mut world = World::new(&options);
    world.peer.handle_exit(world.now);
    world.peer.handle_message(world.now, &Message::Exit.encode(), 52);
    world.collect();
    assert_eq!(world.end(), Some((0, End::Exit("exit-with-notification"))));

    let mut reset = World::new(&options);
    reset.peer.handle_exit(reset.now);
    reset.peer.handle_connection_reset();
    reset.collect();
    assert_eq!(reset.end(), None, "the goodbyes are still said");
}

#[test]
fn a_stream_that_breaks_is_made_again_and_a_datagram_that_does_not_open_is_nothing() {
    let mut datagrams = World::new(&options());
    datagrams.peer.handle_open_failed();
    datagrams.collect();
    assert_eq!(datagrams.said, []);
    let mut stream = World::new(&Options { protocol: Protocol::TcpServer, ..options() });
    stream.peer.handle_open_failed();
    stream.collect();
    assert_eq!(stream.end(), Some((0, End::Restart("decryption-error"))));
    let mut reset = World::new(&Options { protocol: Protocol::TcpServer, ..options() });
    reset.peer.handle_connection_reset();
    reset.collect();
    assert_eq!(reset.end(), Some((0, End::Restart("connection-reset"))));
}

#[test]
fn too_little_traffic_ends_the_process_where_it_was_told_so() {
    let rule = Inactivity { time: 20 * SECOND, bytes: 1_000 };
    let mut world = World::new(&Options { inactive: Some(rule), ping: Some(5 * SECOND), ..options() });
    world.until(60, |world| world.traffic.inner_bytes += 100);
    assert_eq!(world.end(), None, "1,000 bytes in ten seconds");
    world.until(200, |world| world.traffic.inner_bytes += 10);
    assert_eq!(world.end(), Some((80, End::Exit("inactive"))));

    let mut session = World::new(&Options { session_timeout: Some(40 * SECOND), ..options() });
    session.until(100, hears);
    assert_eq!(session.end(), Some((40, End::Exit("session-timeout"))));
}

/// What the left one of two peers notes, with a path between them that loses datagrams longer than `limit`.
fn mtu_tested(limit: usize) -> Vec<Note> {
    let testing = Options { mtu_test: true, ..options() };
    let now = Instant::now();
    let mut peers = [Peer::new(&testing, Protocol::Udp, now), Peer::new(&options(), Protocol::Udp, now)];
    let shape = Shape::new(Cipher::Aes256Cbc, Digest::Sha1);
    let mut notes = Vec::new();
    peers.iter_mut().for_each(|peer| peer.handle_authenticated(now));
    for second in 0..300 {
        let now = now + SECOND * second;
        peers.iter_mut().for_each(|peer| peer.handle_timeout(now));
        // A question, an answer, and nothing after that.
        for from in [0, 1, 0] {
            while let Some(output) = peers[from].poll_output() {
                match output {
                    Output::Send(payload) if shape.sealed_len(payload.len()) <= limit => {
                        peers[1 - from].handle_message(now, &payload, shape.sealed_len(payload.len()));
                    }
                    Output::Note(note) if from == 0 => notes.push(note),
                    _ => {}
                }
            }
        }
    }
    notes
}

#[test]
fn an_mtu_test_finds_the_longest_datagrams_that_arrive() {
    let longest = Shape::new(Cipher::Aes256Cbc, Digest::Sha1).sealed_len(1_500) as u16;
    let [Note::MtuTestBegins, Note::MtuTested { local_to_remote, remote_to_local }] = mtu_tested(10_000)[..] else {
        panic!("{:?}", mtu_tested(10_000))
    };
    for (tried, arrived) in [local_to_remote, remote_to_local] {
        assert!(tried.abs_diff(longest) <= 16 && arrived.abs_diff(tried) <= 16, "{tried} and {arrived} of {longest}");
    }
    let notes = mtu_tested(1_300);
    let [Note::MtuTestBegins, Note::MtuTested { local_to_remote: (tried, arrived), .. }, Note::MtuTooLong(told)] =
        notes[..]
    else {
        panic!("{notes:?}")
    };
    assert!((1_200..=1_300).contains(&arrived) && told == tried && tried > 1_500, "{tried} {arrived}");
    assert_eq!(mtu_tested(0), [Note::MtuTestBegins, Note::MtuTestFailed]);
}

proptest! {
    /// Whatever happens, time goes on: what is due is done, and an end is the last word.
    #[test]
    fn no_course_of_things_does_harm(
        events in prop::collection::vec((0..6_u8, 0..20_000_u64, prop::collection::vec(any::<u8>(), 0..8)), 1..60),
        goodbyes in prop::option::of(0..3_u32),
        occ in any::<bool>(),
        mtu_test in any::<bool>(),
    ) {
        let options = Options {
            ping: Some(3 * SECOND),
            ping_timeout: Some(PingTimeout::Restart(60 * SECOND)),
            inactive: Some(Inactivity { time: 100 * SECOND, bytes: 5 }),
            explicit_exit_notify: goodbyes,
            occ,
            mtu_test,
            ..options()
        };
        let mut now = Instant::now();
        let mut peer = Peer::new(&options, Protocol::Udp, now);
        let (mut ended, mut traffic) = (false, Traffic::default());
        for (event, milliseconds, bytes) in events {
            now += Duration::from_millis(milliseconds);
            match event {
                0 => peer.handle_authenticated(now),
                1 => peer.handle_message(now, &[&occ::MAGIC[..], &bytes].concat(), 100),
                2 => traffic.inner_bytes += 3,
                3 => traffic.heard = Some(now),
                4 if milliseconds < 500 => peer.handle_exit(now),
                _ => {}
            }
            peer.handle_traffic(now, traffic);
            peer.handle_timeout(now);
            if let Some(due) = peer.poll_timeout() {
                prop_assert!(due > now, "due again at once");
            }
            while let Some(output) = peer.poll_output() {
                prop_assert!(!ended, "{:?} after the end", output);
                ended = matches!(output, Output::End(_));
            }
        }
    }
}

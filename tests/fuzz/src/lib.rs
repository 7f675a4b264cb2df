//! What the fuzz targets do with their input: one function a target, each total over all inputs.
//!
//! `tests/replay.rs` runs every file of `corpus/<target>/` through its function under `cargo test`; the libFuzzer
//! wrappers are in `targets/`:
//!
//! ```text
//! cargo install cargo-fuzz
//! RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir tests/fuzz/targets super_packet tests/fuzz/corpus/super_packet
//! ```
#![forbid(unsafe_code)]

use std::{
    net::{Ipv4Addr, SocketAddr},
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use meshtun_config::Mesh;
use meshtun_offload::{
    coalesce::{Coalescer, Joining},
    packet::{Addresses, trim},
    split::Split,
    virtio::VirtioNetHdr,
};
use meshtun_openvpn::{
    directive,
    key::StaticKey,
    options::{Cipher, Digest, KeyDirection, Options},
};
use meshtun_proto::{
    LocalIdentity, Suite,
    channel::{Channel, ChannelConfig, Peer, State},
    control::Frame,
    message,
    noise::SessionKeys,
    session::padding_len,
    tai64n::Tai64n,
};

/// A fuzz target: what it is called, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All targets, by the names of their corpora.
pub const TARGETS: &[Target] = &[
    ("handshake", handshake),
    ("transport", transport),
    ("frame", frame),
    ("super_packet", super_packet),
    ("coalesce", coalesce),
    ("mesh_toml", mesh_toml),
    ("openvpn_config", openvpn_config),
    ("openvpn_key", openvpn_key),
    ("openvpn_datagrams", openvpn_datagrams),
];

/// A datagram of any kind for the control side of a channel that has sent an initiation: it never comes up.
pub fn handshake(input: &[u8]) {
    let now = Instant::now();
    let peer = LocalIdentity::new([2; 32]);
    let config = ChannelConfig {
        suite: Suite::ChaCha20Poly1305,
        identity: Arc::new(LocalIdentity::new([1; 32])),
        peer_key: peer.public_key(),
        preshared_key: [0; 32].into(),
        peer: Peer::Meshtun { link: "fuzz".into(), channel: 0, local_number: 1, peer_number: 2 },
        initiates: true,
        probe: Default::default(),
    };
    let mut channel = Channel::new(config, now, [3; 32]);
    channel.start(now);
    let later = now + Duration::from_secs(1);
    channel.handle_timeout(later, || Tai64n::ZERO);
    let from = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    for under_load in [false, true] {
        let _refused = channel.handle_handshake(later, from, input, under_load);
    }
    channel.handle_frame(later, later, 0, input);
    while channel.poll_output().is_some() {}
    assert_ne!(channel.state(), State::Up, "nobody can guess a handshake");
}

/// A transport message, both as it is and as a plaintext that is sealed, mutated and opened.
pub fn transport(input: &[u8]) {
    let now = Instant::now();
    let keys = |local, peer, send, receive| {
        SessionKeys::new(Suite::ChaCha20Poly1305, local, peer, [send; 32].into(), [receive; 32].into())
    };
    let (mut seals, _) = keys(1, 2, 1, 2).into_halves(now);
    let (_, mut opens) = keys(2, 1, 2, 1).into_halves(now);
    let _kind = message::classify(input);
    assert!(opens.open(&mut input.to_vec()).is_err(), "nobody can guess a tag");

    let padding = padding_len(input.len(), 1420);
    let mut sealed = vec![0; input.len() + padding + message::OVERHEAD];
    let length = seals.seal(input, padding, &mut sealed).expect("there is room");
    let again = sealed.clone();
    let opened = opens.open(&mut sealed[..length]).expect("what was sealed opens");
    assert!(opened.starts_with(input) && opened[input.len()..].iter().all(|byte| *byte == 0));
    assert!(opens.open(&mut again.clone()).is_err(), "a replay");
}

/// A control frame: what decodes encodes to what decodes to the same.
pub fn frame(input: &[u8]) {
    if let Ok(frame) = Frame::decode(input) {
        assert_eq!(Frame::decode(&frame.encode()).as_ref(), Ok(&frame));
    }
}

/// One read of a tun device: whatever it holds, its segments are whole IP packets within the MTU.
pub fn super_packet(input: &[u8]) {
    const MTU: usize = 1420;
    let mut read = input.to_vec();
    let Some((header, packet)) = VirtioNetHdr::detach(&mut read) else { return };
    let longest = packet.len();
    let Ok(mut segments) = Split::new(header, packet, MTU) else { return };
    let mut count = 0;
    while let Some(segment) = segments.next_segment() {
        assert!(segment.len() <= MTU, "a segment of {} bytes", segment.len());
        assert_eq!(trim(segment), Some(segment.len()), "a segment is an IP packet");
        count += 1;
        assert!(count <= longest.max(1), "more segments than bytes");
    }
}

/// Packets of one turn of the receiving half, each after its length (little-endian): every byte range that comes out lies
/// within the buffer, every packet comes out once, and super-packets split again.
pub fn coalesce(input: &[u8]) {
    let mut buffer = input.to_vec();
    let mut coalescer = Coalescer::new(Joining { tcp: true, udp: true });
    let packets = packets(&buffer);
    let pushed = packets.len();
    for packet in packets {
        coalescer.push(&buffer, packet);
        if coalescer.is_full() {
            break;
        }
    }
    let mut written = 0;
    while let Some(item) = coalescer.next_item(&mut buffer) {
        let header = VirtioNetHdr::decode(&item.header);
        let mut joined: Vec<u8> = Vec::new();
        item.ranges.iter().for_each(|range| joined.extend(&buffer[range.clone()]));
        assert!(joined.len() <= 65_535);
        written += item.ranges.len();
        if header.is_gso() {
            let mut segments = Split::new(header, &mut joined, 65_535).expect("what was joined splits");
            assert_eq!(std::iter::from_fn(|| segments.next_segment().map(<[u8]>::len)).count(), item.ranges.len());
        }
    }
    assert!(written <= pushed);
}

/// A mesh file.
pub fn mesh_toml(input: &[u8]) {
    if let Ok(text) = std::str::from_utf8(input) {
        let _errors = Mesh::parse("mesh.toml", text);
    }
}

/// A stream of OpenVPN's datagrams, each after its length, to a session without authentication, so that what is behind it is
/// reached, too. The first byte chooses cipher, framing and fragments.
pub fn openvpn_datagrams(input: &[u8]) {
    use meshtun_openvpn::{
        options::{Compression, Protocol, Secret, SecretSource},
        packet_id::Persisted,
        peer::{Output, Peer},
        session::{self, Kind, Start},
        tcp,
    };
    let Some((choice, stream)) = input.split_first() else { return };
    let framings = [Compression::None, Compression::Lzo, Compression::Swap, Compression::V2];
    let place = directive::Place { file: None, line: 1 };
    let options = Options {
        cipher: Cipher::ALL[usize::from(choice & 0x0f) % Cipher::ALL.len()],
        digest: Digest::None,
        compression: framings[usize::from(choice >> 4) % framings.len()],
        fragment: (choice & 0x80 != 0).then_some(300),
        ..Options::new(Secret { source: SecretSource::File("key".to_owned()), place })
    };
    let keys = StaticKey::from_bytes(&[0x5a; 256]).pair(options.key_direction, options.cipher, options.digest);
    let start =
        Start { protocol: Protocol::Udp, is_ipv6: false, now: 1, persisted: Persisted::default(), seed: [0; 32] };
    let keys = keys.expect("the key has both halves, and is not zero");
    let (_, mut incoming) = session::begin(&options, &keys, &start).expect("the keys are long enough");
    let now = Instant::now();
    let mut peer = Peer::new(&options, Protocol::Udp, now);
    let (mut stream, mut seconds) = (stream.to_vec(), 0);
    let mut rest = &mut stream[..];
    while let Ok(Some((datagram, behind))) = tcp::split_first(rest, 4_000) {
        let length = datagram.len();
        if let Ok(opened) = incoming.open(datagram, seconds) {
            let bytes = if opened.is_assembled { incoming.assembled() } else { datagram };
            let payload = &bytes[opened.range];
            assert_eq!(payload.is_empty(), matches!(opened.kind, Kind::Part | Kind::Empty));
            if opened.kind == Kind::Message {
                peer.handle_message(now, payload, length);
            }
        }
        (rest, seconds) = (behind, seconds + length as u64 % 4);
    }
    peer.handle_timeout(now + Duration::from_secs(seconds));
    let sent = std::iter::from_fn(|| peer.poll_output()).filter(|output| matches!(output, Output::Send(_))).count();
    assert!(sent <= input.len(), "no more answers than questions");
}

/// The whole IP packets of the coalescer's input, as the receiving half would push them.
fn packets(buffer: &[u8]) -> Vec<Range<usize>> {
    let (mut packets, mut at) = (Vec::new(), 0);
    while let Some(&[low, high]) = buffer.get(at..at + 2) {
        let start = at + 2;
        let end = (start + usize::from(u16::from_le_bytes([low, high]))).min(buffer.len());
        let whole =
            trim(&buffer[start..end]).filter(|length| Addresses::parse(&buffer[start..start + length]).is_some());
        packets.extend(whole.map(|length| start..start + length));
        at = end;
    }
    packets
}

/// An OpenVPN configuration that names itself, to its options.
pub fn openvpn_config(input: &[u8]) {
    let reading = directive::read_file("fuzz", input, &mut |_| Ok(input.to_vec()));
    for directive in &reading.directives {
        assert!(directive.parameters.len() < directive::MAX_WORDS, "{directive}");
    }
    let parsed = Options::read(&reading);
    assert!(parsed.findings.iter().all(|finding| !finding.text.is_empty()), "a finding says something");
}

/// A static key file.
pub fn openvpn_key(input: &[u8]) {
    let Ok(key) = StaticKey::parse(input) else { return };
    for direction in [KeyDirection::Both, KeyDirection::Zero, KeyDirection::One] {
        if let Ok(pair) = key.pair(direction, Cipher::Aes256Cbc, Digest::Sha1) {
            assert_eq!((pair.outgoing.cipher.len(), pair.incoming.hmac.len()), (32, 20));
        }
    }
}

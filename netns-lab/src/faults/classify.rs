//! What a frame is: whom it is for, and the UDP port.

/// Ethernet's header.
pub(super) const ETHERNET: usize = 14;

/// An Ethernet address.
pub(super) type Mac = [u8; 6];

/// Where the UDP header begins in a frame, if it is a whole datagram (no fragment, no IP options, no extension headers).
pub(super) fn udp_at(frame: &[u8]) -> Option<usize> {
    const UDP: u8 = 17;
    let packet = frame.get(ETHERNET..)?;
    match (frame[12], frame[13], packet.first()?) {
        (0x08, 0x00, 0x45) => {
            let header = packet.first_chunk::<20>()?;
            let is_fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
            (header[9] == UDP && !is_fragment && packet.len() >= 28).then_some(ETHERNET + 20)
        }
        (0x86, 0xdd, _) => (*packet.get(6)? == UDP && packet.len() >= 48).then_some(ETHERNET + 40),
        _ => None,
    }
}

/// The UDP port that a frame is for.
pub(super) fn port_of(frame: &[u8]) -> Option<u16> {
    let at = udp_at(frame)?;
    Some(u16::from_be_bytes([frame[at + 2], frame[at + 3]]))
}

/// Whether a frame is UDP whose payload begins as WireGuard's handshake messages do.
pub(super) fn is_handshake(frame: &[u8]) -> bool {
    let payload = udp_at(frame).and_then(|at| frame.get(at + 8..at + 12));
    payload.is_some_and(|start| matches!(start, [1..=3, 0, 0, 0]))
}

/// Destination and source.
pub(super) fn addresses(frame: &[u8]) -> Option<(Mac, Mac)> {
    let (header, _) = frame.split_first_chunk::<ETHERNET>()?;
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, ..] = *header;
    Some(([d0, d1, d2, d3, d4, d5], [s0, s1, s2, s3, s4, s5]))
}

/// Whether a frame is for more than one: the lowest bit of the first byte (IEEE 802).
pub(super) fn is_for_many(destination: &Mac) -> bool {
    destination[0] & 1 == 1
}

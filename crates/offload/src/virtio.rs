//! `struct virtio_net_hdr`: the ten bytes before every packet read from or written to a tun device with `IFF_VNET_HDR`
//! (`include/uapi/linux/virtio_net.h`). Its fields are in the machine's own byte order.

/// Length of an encoded [`VirtioNetHdr`] in bytes (`TUNSETVNETHDRSZ` 10).
pub const HEADER_LEN: usize = 10;

/// `flags`: the checksum is partial. It is to be completed over the bytes from `csum_start` on, and stored at
/// `csum_start + csum_offset`, where the pseudo header's sum lies.
pub const NEEDS_CSUM: u8 = 1;

/// `gso_type`: an ordinary packet.
pub const GSO_NONE: u8 = 0;
/// `gso_type`: a TCP super-packet over IPv4.
pub const GSO_TCPV4: u8 = 1;
/// `gso_type`: a TCP super-packet over IPv6.
pub const GSO_TCPV6: u8 = 4;
/// `gso_type`: several UDP datagrams of one size (USO), over IPv4 or IPv6.
pub const GSO_UDP_L4: u8 = 5;
/// Bit set beside a TCP `gso_type`: the super-packet has CWR set, which belongs on its first segment only.
pub const GSO_ECN: u8 = 0x80;

/// The decoded header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VirtioNetHdr {
    /// [`NEEDS_CSUM`] or 0; other bits are of no concern to a tun device.
    pub flags: u8,
    /// [`GSO_NONE`], [`GSO_TCPV4`], [`GSO_TCPV6`] or [`GSO_UDP_L4`], with or without [`GSO_ECN`].
    pub gso_type: u8,
    /// Length of all headers in bytes, as a hint only: the kernel gives too much for forwarded packets.
    pub hdr_len: u16,
    /// Payload bytes of each segment but the last.
    pub gso_size: u16,
    /// Offset of the first byte under the checksum, from the start of the packet.
    pub csum_start: u16,
    /// Offset of the checksum field from `csum_start`.
    pub csum_offset: u16,
}

impl VirtioNetHdr {
    /// Reads a header.
    #[inline]
    pub fn decode(bytes: &[u8; HEADER_LEN]) -> VirtioNetHdr {
        let [flags, gso_type, h0, h1, g0, g1, s0, s1, o0, o1] = *bytes;
        VirtioNetHdr {
            flags,
            gso_type,
            hdr_len: u16::from_ne_bytes([h0, h1]),
            gso_size: u16::from_ne_bytes([g0, g1]),
            csum_start: u16::from_ne_bytes([s0, s1]),
            csum_offset: u16::from_ne_bytes([o0, o1]),
        }
    }

    /// Writes the header.
    #[inline]
    pub fn encode(self) -> [u8; HEADER_LEN] {
        let [h0, h1] = self.hdr_len.to_ne_bytes();
        let [g0, g1] = self.gso_size.to_ne_bytes();
        let [s0, s1] = self.csum_start.to_ne_bytes();
        let [o0, o1] = self.csum_offset.to_ne_bytes();
        [self.flags, self.gso_type, h0, h1, g0, g1, s0, s1, o0, o1]
    }

    /// Takes the header off what a read of the tun device gave: the header and the packet behind it. `None` where the
    /// read is shorter than a header.
    #[inline]
    pub fn detach(read: &mut [u8]) -> Option<(VirtioNetHdr, &mut [u8])> {
        let (header, packet) = read.split_first_chunk_mut::<HEADER_LEN>()?;
        Some((VirtioNetHdr::decode(header), packet))
    }

    /// Whether the packet is a super-packet.
    #[inline]
    pub fn is_gso(self) -> bool {
        self.gso_type != GSO_NONE
    }

    /// Whether the packet's checksum is partial.
    #[inline]
    pub fn needs_csum(self) -> bool {
        self.flags & NEEDS_CSUM != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_encoding_and_decoding() {
        let header = VirtioNetHdr {
            flags: NEEDS_CSUM,
            gso_type: GSO_TCPV6 | GSO_ECN,
            hdr_len: 72,
            gso_size: 1348,
            csum_start: 40,
            csum_offset: 16,
        };
        assert_eq!(VirtioNetHdr::decode(&header.encode()), header);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn the_layout_is_the_kernels() {
        let bytes = [1, 5, 0x1c, 0, 0xb0, 4, 20, 0, 6, 0];
        let header = VirtioNetHdr {
            flags: NEEDS_CSUM,
            gso_type: GSO_UDP_L4,
            hdr_len: 28,
            gso_size: 1200,
            csum_start: 20,
            csum_offset: 6,
        };
        assert_eq!(VirtioNetHdr::decode(&bytes), header);
    }

    #[test]
    fn a_read_shorter_than_a_header_gives_none() {
        assert!(VirtioNetHdr::detach(&mut [0; 9]).is_none());
        assert!(VirtioNetHdr::detach(&mut [0; 10]).is_some_and(|(_, packet)| packet.is_empty()));
    }
}

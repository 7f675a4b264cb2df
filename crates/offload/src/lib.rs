//! Arithmetic of segmentation offloads, on byte slices alone: no sockets, no clock, no threads.
//!
//! A tun device with `IFF_VNET_HDR` hands out and takes **super-packets**: one set of headers and up to 64 KiB of
//! payload. A UDP socket with `UDP_SEGMENT` and `UDP_GRO` does the same with **trains** of datagrams. This crate is what
//! lies between:
//!
//! - [`virtio`]: the ten bytes before every packet on the tun device.
//! - [`split`]: a super-packet into segments, each made contiguous inside the tun buffer itself.
//! - [`train`]: sealed segments one behind the other, ready for one `UDP_SEGMENT` send.
//! - [`coalesce`]: opened packets of a flow into super-packets, as ranges of the receive buffer, without a copy.
//! - [`packet`]: the checked view of an inner packet that the filter needs.
//! - [`mss`]: a smaller maximum segment size in a TCP SYN.
//! - [`checksum`]: the Internet checksum.
//!
//! Nothing allocates after construction, nothing panics on hostile bytes.
//!
//! # Sending: tun to UDP
//!
//! ```
//! use meshtun_offload::{split::Split, train::Train, virtio::VirtioNetHdr};
//! # fn seal(segment: &[u8], out: &mut [u8]) -> usize { out[..segment.len()].copy_from_slice(segment); out.len() }
//! # fn send(_bytes: &[u8], _segment: usize) {}
//! # let mut read = vec![0u8; 10 + 20];
//! # read[10] = 0x45;
//! # read[13] = 20;
//! let mut train = Train::new(vec![0u8; meshtun_offload::train::MAX_BYTES]);
//!
//! // `read` holds what one read of the tun device gave.
//! if let Some((header, packet)) = VirtioNetHdr::detach(&mut read) {
//!     match Split::new(header, packet, 1420) {
//!         Ok(mut split) => {
//!             while let Some(segment) = split.next_segment() {
//!                 let sealed = segment.len() + 32;
//!                 if !train.fits(sealed) {
//!                     send(train.bytes(), train.segment_len());
//!                     train.reset();
//!                 }
//!                 let room = train.reserve(sealed).expect("an empty train has room for a segment");
//!                 let length = seal(segment, room);
//!                 train.commit(length);
//!             }
//!         }
//!         Err(_reason) => { /* dropped, and counted by the caller */ }
//!     }
//! }
//! if !train.is_empty() { // nothing more to read
//!     send(train.bytes(), train.segment_len());
//!     train.reset();
//! }
//! ```
//!
//! # Receiving: UDP to tun
//!
//! ```
//! use meshtun_offload::{coalesce::{Coalescer, Joining}, packet};
//! use std::io::IoSlice;
//! # fn writev(_slices: &[IoSlice<'_>]) {}
//! # let mut buffer = vec![0u8; 64];
//! # buffer[0] = 0x45;
//! # buffer[3] = 20;
//! # let opened = [0..32];
//! let mut coalescer = Coalescer::new(Joining { tcp: true, udp: true });
//!
//! // `opened` are the plaintexts, where the receive buffer holds them.
//! for plaintext in opened {
//!     let Some(length) = packet::trim(&buffer[plaintext.clone()]) else { continue };
//!     coalescer.push(&buffer, plaintext.start..plaintext.start + length);
//!     if coalescer.is_full() { /* write out, as below, before the next push */ }
//! }
//! while let Some(item) = coalescer.next_item(&mut buffer) {
//!     let mut slices = [IoSlice::new(&[]); 1 + meshtun_offload::coalesce::MAX_SEGMENTS];
//!     slices[0] = IoSlice::new(&item.header);
//!     for (slice, range) in slices[1..].iter_mut().zip(item.ranges) {
//!         *slice = IoSlice::new(&buffer[range.clone()]);
//!     }
//!     writev(&slices[..1 + item.ranges.len()]);
//! }
//! coalescer.clear(); // the buffer may be received into again from its start
//! ```
#![forbid(unsafe_code)]

pub mod checksum;
pub mod coalesce;
pub mod mss;
pub mod packet;
pub mod split;
pub mod train;
pub mod virtio;

#[cfg(test)]
mod fixtures;

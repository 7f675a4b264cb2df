//! `sendmsg`, `sendmmsg` and `recvmsg` with everything on the stack.

use std::{
    array,
    ffi::{c_int, c_void},
    io,
    mem::{self, MaybeUninit},
    os::fd::AsRawFd,
    ptr,
};

use socket2::Socket;

use super::{Endpoint, MAX_SEGMENTS, RECEIVE_BATCH, Received};

/// Room for one control message with a `T`, aligned as the kernel wants it.
#[derive(Clone, Copy)]
#[repr(C)]
union Control<T: Copy> {
    _align: libc::cmsghdr,
    _payload: T,
    bytes: [u8; CONTROL_LEN],
}

/// `CMSG_SPACE` of an int, the larger of the two payloads that occur (`UDP_SEGMENT` u16, `UDP_GRO` int).
const CONTROL_LEN: usize = {
    // SAFETY: CMSG_SPACE only computes.
    (unsafe { libc::CMSG_SPACE(size_of::<c_int>() as u32) }) as usize
};

/// Sends one datagram.
pub(super) fn send(socket: &Socket, to: &Endpoint, datagram: &[u8]) -> io::Result<()> {
    let address = to.as_bytes();
    // SAFETY: the descriptor is open; both pointers are valid for reads of their lengths until the call returns.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            datagram.as_ptr().cast(),
            datagram.len(),
            0,
            address.as_ptr().cast(),
            address.len() as libc::socklen_t,
        )
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sends a train with one `sendmsg` and `UDP_SEGMENT`.
pub(super) fn send_train(socket: &Socket, to: &Endpoint, bytes: &[u8], segment: usize) -> io::Result<()> {
    let Ok(segment) = u16::try_from(segment) else { return Err(io::Error::from_raw_os_error(libc::EMSGSIZE)) };
    let mut part = part(bytes);
    let mut message = header(to, &mut part);
    let mut control = Control::<u16> { bytes: [0; CONTROL_LEN] };
    message.msg_control = (&raw mut control).cast();
    // SAFETY: CMSG_SPACE only computes.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(size_of::<u16>() as u32) } as _;
    // SAFETY: the control buffer is aligned for a `cmsghdr` and as long as `msg_controllen` says, so that the first
    // header and its u16 lie within it; the u16 is written unaligned.
    unsafe {
        let first = libc::CMSG_FIRSTHDR(&raw const message);
        (*first).cmsg_level = libc::SOL_UDP;
        (*first).cmsg_type = libc::UDP_SEGMENT;
        (*first).cmsg_len = libc::CMSG_LEN(size_of::<u16>() as u32) as _;
        libc::CMSG_DATA(first).cast::<u16>().write_unaligned(segment);
    }
    // SAFETY: the descriptor is open; address, bytes and control outlive the call and the kernel only reads them.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, 0) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sends all datagrams of a train one by one.
pub(super) fn send_all(socket: &Socket, to: &Endpoint, bytes: &[u8], segment: usize) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        rest = &rest[send_each(socket, to, rest, segment)?..];
    }
    Ok(())
}

/// Sends at most [`MAX_SEGMENTS`] datagrams with one `sendmmsg`, and goes on while all of them go out.
pub(super) fn send_each(socket: &Socket, to: &Endpoint, bytes: &[u8], segment: usize) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        let batch = &bytes[sent..bytes.len().min(sent + segment.max(1) * MAX_SEGMENTS)];
        match send_batch(socket, to, batch, segment.max(1)) {
            Ok(0) => break,
            Ok(part) => sent += part,
            Err(_) if sent > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}

fn send_batch(socket: &Socket, to: &Endpoint, bytes: &[u8], segment: usize) -> io::Result<usize> {
    let mut datagrams = bytes.chunks(segment);
    let mut parts: [libc::iovec; MAX_SEGMENTS] = array::from_fn(|_| part(datagrams.next().unwrap_or_default()));
    let count = bytes.len().div_ceil(segment).min(MAX_SEGMENTS);
    let mut parts = parts.iter_mut();
    let mut messages: [libc::mmsghdr; MAX_SEGMENTS] = array::from_fn(|_| libc::mmsghdr {
        msg_hdr: header(to, parts.next().expect("as many parts as messages")),
        msg_len: 0,
    });
    // SAFETY: the descriptor is open; the first `count` headers point to the address, the parts and the bytes, all of
    // which outlive the call; the kernel writes only `msg_len`.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), count as _, 0) };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(bytes.len().min(sent as usize * segment))
}

/// Receives one datagram or train.
pub(super) fn receive(socket: &Socket, buffer: &mut [u8]) -> io::Result<Received> {
    let mut place = Place::EMPTY;
    let mut part = place_part(buffer);
    let mut message = place.header(&mut part);
    // SAFETY: the descriptor is open; the kernel writes at most the given lengths into the address, the buffer and the
    // control buffer, all of which outlive the call and are valid whatever bytes they hold.
    let len = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0) };
    let Ok(len) = usize::try_from(len) else { return Err(io::Error::last_os_error()) };
    Ok(place.received(&message, len))
}

/// Receives up to [`RECEIVE_BATCH`] datagrams or trains, each into a place of `stride` bytes of the buffer.
pub(super) fn receive_each(
    socket: &Socket,
    buffer: &mut [u8],
    stride: usize,
    received: &mut [Received],
) -> io::Result<usize> {
    let mut rooms = buffer.chunks_exact_mut(stride.max(1));
    let count = received.len().min(RECEIVE_BATCH).min(rooms.len());
    let mut places = [Place::EMPTY; RECEIVE_BATCH];
    let mut parts: [libc::iovec; RECEIVE_BATCH] = array::from_fn(|_| place_part(rooms.next().unwrap_or_default()));
    let mut messages: [libc::mmsghdr; RECEIVE_BATCH] = {
        let (mut places, mut parts) = (places.iter_mut(), parts.iter_mut());
        array::from_fn(|_| {
            let place = places.next().expect("as many places as messages");
            let part = parts.next().expect("as many parts as messages");
            libc::mmsghdr { msg_hdr: place.header(part), msg_len: 0 }
        })
    };
    // SAFETY: the descriptor is open; the first `count` headers point to an address, a part of the buffer and a control
    // buffer of their own, with their lengths, all of which outlive the call and are valid whatever bytes they hold.
    let filled = unsafe { libc::recvmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), count as _, 0, ptr::null_mut()) };
    let Ok(filled) = usize::try_from(filled) else { return Err(io::Error::last_os_error()) };
    for ((message, place), out) in messages[..filled].iter().zip(&places).zip(received) {
        *out = place.received(&message.msg_hdr, message.msg_len as usize);
    }
    Ok(filled)
}

/// Where the kernel says who sent a message, and of what it is made.
#[derive(Clone, Copy)]
struct Place {
    from: [u8; size_of::<libc::sockaddr_in6>()],
    control: Control<c_int>,
}

impl Place {
    const EMPTY: Place =
        Place { from: [0; size_of::<libc::sockaddr_in6>()], control: Control { bytes: [0; CONTROL_LEN] } };

    /// A header that receives into this place and `part`; holds pointers to both.
    fn header(&mut self, part: &mut libc::iovec) -> libc::msghdr {
        let mut message = empty_header();
        message.msg_name = self.from.as_mut_ptr().cast();
        message.msg_namelen = self.from.len() as libc::socklen_t;
        message.msg_iov = part;
        message.msg_iovlen = 1;
        message.msg_control = (&raw mut self.control).cast();
        message.msg_controllen = CONTROL_LEN as _;
        message
    }

    fn received(&self, message: &libc::msghdr, len: usize) -> Received {
        Received {
            len,
            segment: segment_size(message).map_or(len, |segment| segment.clamp(1, len.max(1))),
            from: Endpoint::from_kernel(&self.from),
            truncated: message.msg_flags & libc::MSG_TRUNC != 0,
        }
    }
}

fn place_part(room: &mut [u8]) -> libc::iovec {
    libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() }
}

/// The payload of the `UDP_GRO` control message, if there is one.
fn segment_size(message: &libc::msghdr) -> Option<usize> {
    // SAFETY: the kernel has just filled the control buffer and set `msg_controllen` to what it wrote; CMSG_FIRSTHDR
    // gives a header that lies within it, or null, and the header's own length is checked before its payload is read.
    unsafe {
        let first = libc::CMSG_FIRSTHDR(message).as_ref()?;
        let is_gro = first.cmsg_level == libc::SOL_UDP && first.cmsg_type == libc::UDP_GRO;
        let is_int = first.cmsg_len as usize >= libc::CMSG_LEN(size_of::<c_int>() as u32) as usize;
        let size = (is_gro && is_int).then(|| libc::CMSG_DATA(first).cast::<c_int>().read_unaligned())?;
        usize::try_from(size).ok()
    }
}

fn part(bytes: &[u8]) -> libc::iovec {
    libc::iovec { iov_base: ptr::from_ref(bytes).cast::<c_void>().cast_mut(), iov_len: bytes.len() }
}

/// A header that sends `part` to `to`; holds pointers to both.
fn header(to: &Endpoint, part: &mut libc::iovec) -> libc::msghdr {
    let address = to.as_bytes();
    let mut message = empty_header();
    message.msg_name = address.as_ptr().cast_mut().cast();
    message.msg_namelen = address.len() as libc::socklen_t;
    message.msg_iov = part;
    message.msg_iovlen = 1;
    message
}

fn empty_header() -> libc::msghdr {
    let message = MaybeUninit::<libc::msghdr>::zeroed();
    // SAFETY: a `msghdr` is integers and raw pointers (and padding fields with some libraries): all zero bytes are
    // valid.
    unsafe { message.assume_init() }
}

const _: () = assert!(mem::align_of::<Control<c_int>>() >= mem::align_of::<libc::cmsghdr>());

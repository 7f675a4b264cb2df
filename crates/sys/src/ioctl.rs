//! The one door to `ioctl(2)`.

use std::{
    ffi::{c_char, c_int},
    io, mem,
    os::fd::{AsFd, AsRawFd},
};

/// The longest interface name, without the NUL that ends it in an `ifreq`.
pub(crate) const MAX_NAME: usize = libc::IFNAMSIZ - 1;

/// Calls `ioctl` with a pointer to `argument`.
///
/// # Safety
/// `request` must be one whose argument is a pointer to a `T` that the kernel may read and write.
pub(crate) unsafe fn with_pointer<T>(fd: impl AsFd, request: libc::Ioctl, argument: &mut T) -> io::Result<c_int> {
    // SAFETY: the descriptor is open while it is borrowed; the pointer is valid for reads and writes of a `T` until the
    // call returns, and by this function's contract that is what the request wants.
    check(unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), request, std::ptr::from_mut(argument)) })
}

/// Calls `ioctl` with `argument` itself.
///
/// # Safety
/// `request` must be one whose argument is an integer, not a pointer.
pub(crate) unsafe fn with_value(fd: impl AsFd, request: libc::Ioctl, argument: libc::c_ulong) -> io::Result<c_int> {
    // SAFETY: the descriptor is open while it is borrowed; by this function's contract the kernel dereferences nothing.
    check(unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), request, argument) })
}

/// An `ifreq` for the interface `name`, everything else zero.
///
/// # Errors
/// `InvalidInput` if the name is empty, longer than 15 bytes or holds a NUL.
pub(crate) fn interface_request(name: &str) -> io::Result<libc::ifreq> {
    check_name(name)?;
    // SAFETY: an `ifreq` is plain integers and a union of plain integers and pointers; all zero bytes are valid for
    // each.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as c_char;
    }
    Ok(request)
}

pub(crate) fn check_name(name: &str) -> io::Result<()> {
    if name.is_empty() || name.len() > MAX_NAME || name.bytes().any(|byte| byte == 0) {
        let message = format!("{name:?} cannot be an interface name: 1 to {MAX_NAME} bytes without NUL");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(())
}

/// The name that the kernel wrote into an `ifreq`.
pub(crate) fn interface_name(request: &libc::ifreq) -> String {
    let bytes: Vec<u8> = request.ifr_name.iter().map(|&byte| byte as u8).take_while(|&byte| byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

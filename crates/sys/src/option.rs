//! `setsockopt(2)` and `getsockopt(2)`.

use std::{
    ffi::c_int,
    io,
    os::fd::{AsFd, AsRawFd},
};

/// Sets an option that is an int.
pub(crate) fn set_int(socket: impl AsFd, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    // SAFETY: an int holds no pointers.
    unsafe { set(socket, level, name, &value) }
}

/// Sets an option.
///
/// # Safety
/// Pointers in `value` must be valid for what the kernel does with them under this option.
pub(crate) unsafe fn set<T>(socket: impl AsFd, level: c_int, name: c_int, value: &T) -> io::Result<()> {
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open while it is borrowed; the kernel reads the bytes of `value`, which is borrowed
    // too.
    let result = unsafe {
        libc::setsockopt(fd, level, name, std::ptr::from_ref(value).cast(), size_of::<T>() as libc::socklen_t)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// An option that is an int.
pub(crate) fn get_int(socket: impl AsFd, level: c_int, name: c_int) -> io::Result<c_int> {
    let mut value = 0;
    // SAFETY: any bits are a valid int.
    unsafe { get(socket, level, name, &mut value) }?;
    Ok(value)
}

/// Reads an option into `value`; what is longer is cut off, what is shorter leaves the rest as it was.
///
/// # Safety
/// Any bits must be a valid `T`.
pub(crate) unsafe fn get<T>(socket: impl AsFd, level: c_int, name: c_int, value: &mut T) -> io::Result<()> {
    let mut len = size_of::<T>() as libc::socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open while it is borrowed; the kernel writes at most `len` bytes, all within `value`.
    let result = unsafe { libc::getsockopt(fd, level, name, std::ptr::from_mut(value).cast(), &raw mut len) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

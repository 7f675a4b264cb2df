//! What must not be asked of the kernel.

use std::io;

use meshtun_sys::{
    device,
    udp::{Udp, UdpOptions},
};

use crate::support::{fresh, netns_tests};

/// From here on the kernel refuses this thread `SIOCGIFINDEX`, which runs modprobe for a name that is missing.
fn forbid_index_by_name() {
    let stop = |code, k| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let unless = |k, jf| libc::sock_filter { code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16, jt: 0, jf, k };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let refuse = libc::SECCOMP_RET_ERRNO | libc::EACCES as u32;
    // struct seccomp_data: the call's number, and its second argument's lower half.
    let (number, request) = (0, if cfg!(target_endian = "little") { 24 } else { 28 });
    let mut filter = [
        stop(load, number),
        unless(libc::SYS_ioctl as u32, 3),
        stop(load, request),
        unless(libc::SIOCGIFINDEX as u32, 1),
        stop(libc::BPF_RET | libc::BPF_K, refuse),
        stop(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: plain numbers.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    // SAFETY: the program and its instructions live until the kernel has copied them; it concerns this thread alone.
    let set = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    assert_eq!(set, 0, "{}", io::Error::last_os_error());
}

netns_tests! {
    fn to_look_for_a_device_that_is_missing_runs_no_modprobe() {
        let options = UdpOptions { device: Some("missing".into()), free: true, ..UdpOptions::new("127.0.0.1:0".parse().unwrap()) };
        let look = move || {
            forbid_index_by_name();
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
            let usual = rustix::net::netdevice::name_to_index(&socket, "missing");
            assert_eq!(usual, Err(rustix::io::Errno::ACCESS), "the trap works");
            assert_eq!(device::index_of("missing").unwrap(), None);
            assert!(device::index_of("lo").unwrap().is_some());
            let waiting = Udp::bind(&options).unwrap();
            for _ in 0..3 {
                assert_eq!(waiting.bind_device(Some("missing")).unwrap(), None);
            }
        };
        fresh().run_in(look).unwrap();
    }
}

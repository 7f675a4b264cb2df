//! What an unprivileged thread is told.

use std::{io, thread};

use meshtun_sys::{
    capability::{self, Capability},
    capture::{Layer, PacketSocket},
    device,
    netns::Namespace,
    tun::{self, AttachError, Tun},
    udp::{BindError, Udp, UdpOptions},
};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_thread_res_uid};

use crate::support::{fresh, netns_tests, say};

/// Runs `work` on a thread in a fresh namespace that gave up every capability.
fn without_rights<T: Send>(prepare: impl FnOnce() + Send, work: impl FnOnce() -> T + Send) -> T {
    let inside = || {
        prepare();
        let none = CapabilitySet::empty();
        set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none }).unwrap();
        work()
    };
    fresh().run_in(inside).unwrap()
}

netns_tests! {
    fn capabilities_are_told_as_they_are() {
        assert!(capability::has_net_admin() && capability::has(Capability::SysAdmin).unwrap());
        without_rights(|| (), || {
            assert!(!capability::has_net_admin());
            for capability in [Capability::NetAdmin, Capability::NetRaw, Capability::SysAdmin] {
                assert!(!capability::has(capability).unwrap());
            }
        });
        assert!(capability::has_net_admin(), "another thread's loss is not ours");
    }

    fn an_unprivileged_thread_makes_no_namespace_and_no_device() {
        without_rights(|| (), || {
            assert_eq!(Namespace::new().unwrap_err().kind(), io::ErrorKind::PermissionDenied);
            assert_eq!(device::set_up("lo", false).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
            // No access to /dev/net/tun, or access and no right.
            assert!(matches!(tun::create("mt0"), Err(AttachError::Permission { .. } | AttachError::NoDevNetTun)));
        });
    }

    fn an_unprivileged_thread_enters_no_foreign_namespace() {
        let foreign = fresh();
        let refused = without_rights(|| (), || foreign.run_in(|| ()).unwrap_err());
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
    }

    fn an_unprivileged_socket_is_refused_its_port_or_mark_by_name() {
        without_rights(|| (), || {
            let local = "127.0.0.1:0".parse().unwrap();
            let refused = Udp::bind(&UdpOptions { mark: Some(1), ..UdpOptions::new(local) }).unwrap_err();
            assert!(matches!(refused, BindError::Permission { what: "mark", .. }), "{refused}");
            let refused = Udp::bind(&UdpOptions::new("127.0.0.1:53".parse().unwrap())).unwrap_err();
            assert!(matches!(refused, BindError::Permission { what: "port", .. }), "{refused}");
            assert_eq!(io::Error::from(refused).kind(), io::ErrorKind::PermissionDenied);
            // An ordinary one is bound, with the buffers that the machine allows everyone.
            Udp::bind(&UdpOptions::new(local)).unwrap();
        });
    }

    fn an_unprivileged_socket_is_bound_to_a_device_once_and_not_anew() {
        without_rights(|| (), || {
            let local = "127.0.0.1:0".parse().unwrap();
            let options = UdpOptions { device: Some("lo".into()), free: true, ..UdpOptions::new(local) };
            // Linux 5.7.
            let bound = Udp::bind(&options).unwrap();
            for other in [Some("gone"), None] {
                let refused = bound.bind_device(other).unwrap_err();
                assert!(matches!(refused, BindError::Permission { what: "device", .. }), "{refused}");
            }
            assert!(bound.bind_device(Some("lo")).unwrap().is_some(), "it is bound there already");
        });
    }

    fn an_unprivileged_thread_opens_no_packet_socket() {
        let refused = without_rights(|| (), || PacketSocket::open("lo", Layer::Link, &[]).unwrap_err());
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
    }
}

mod tun_owner {
    use super::*;

    netns_tests! {
        fn a_device_is_attached_by_its_owner_without_any_capability() {
            let make = || tun::create("mt0").unwrap();
            without_rights(make, || Tun::attach("mt0").unwrap().carrier().unwrap().set(true).unwrap());
        }

        fn a_device_is_attached_by_no_other_user() {
            fresh().run_in(|| {
                tun::create("mt0").unwrap();
                thread::scope(|scope| {
                    scope.spawn(|| match become_stranger() {
                        Ok(()) => assert!(matches!(Tun::attach("mt0"), Err(AttachError::Permission { .. }))),
                        // Nothing that could be required: there is no other user here.
                        Err(_) => say("NOT TESTED: attaching as another user: a user namespace knows one user only"),
                    });
                });
            }).unwrap();
        }
    }

    fn become_stranger() -> io::Result<()> {
        let nobody = rustix::process::Uid::from_raw(65_534);
        Ok(set_thread_res_uid(nobody, nobody, nobody)?)
    }
}

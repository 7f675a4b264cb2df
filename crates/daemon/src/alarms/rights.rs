//! Rights that paths bound to network devices need, and this process lacks.

use std::collections::BTreeSet;

use meshtun_config::View;
use meshtun_sys::capability::{self, Capability};

use crate::view;

/// The paths of this gateway that name a network device, if this thread may not bind a socket anew; in words.
///
/// Since Linux 5.7 whoever is not bound to a device may be so without a right; to be bound elsewhere takes `CAP_NET_RAW`
/// all the same (net/core/sock.c, `sock_bindtoindex_locked`), and a device that is made anew is another.
pub fn problems(view: &View) -> Vec<String> {
    // Where the kernel does not tell, it tells when a socket is bound.
    lacking(view, capability::has(Capability::NetRaw).unwrap_or(true))
}

fn lacking(view: &View, may_bind_anew: bool) -> Vec<String> {
    if may_bind_anew {
        return Vec::new();
    }
    let bound = view::channels(view)
        .filter_map(|(link, channel)| Some((&link.name, channel.path?, channel.underlay_device.as_ref()?)));
    let tell = |(link, path, device): (&String, u16, &String)| {
        format!(
            "path {path} of link {link} is bound to the network device {device}, and CAP_NET_RAW is missing: a device that \
             is made anew stays unused (before Linux 5.7 every one); give it to the service (in a systemd unit \
             `AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW`, and the same in `CapabilityBoundingSet=`), or leave `device` \
             out of the path"
        )
    };
    bound.collect::<BTreeSet<_>>().into_iter().map(tell).collect()
}

#[cfg(test)]
mod tests {
    use meshtun_config::Mesh;

    use super::*;
    use crate::fixtures;

    fn lacks(paths: &str, may: bool) -> Vec<String> {
        let mesh = Mesh::parse("mesh.toml", &fixtures::mesh(paths)).unwrap_or_else(|errors| panic!("{errors}"));
        lacking(&fixtures::view(&mesh), may)
    }

    #[test]
    fn each_path_with_a_device_is_told_once_and_none_without() {
        let paths = r#"channels = 4
            paths = [
                { qvpn1 = { underlay = "198.51.100.7", device = "eth0" }, nvpn1 = { underlay = "203.0.113.2" } },
                { qvpn1 = { underlay = "198.51.100.8" }, nvpn1 = { underlay = "203.0.113.3", device = "theirs" } },
            ]"#;
        assert_eq!(lacks(paths, true), [""; 0]);
        assert_eq!(lacks("", false), [""; 0]);
        let told = lacks(paths, false);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("path 0 of link nq is bound to the network device eth0"), "{told:?}");
    }
}

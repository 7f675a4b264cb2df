//! A small mesh for tests.

use meshtun_config::{Mesh, PublicKey, View};

/// The key of the gateway whose view [`view`] is.
const OWN_KEY: [u8; 32] = [1; 32];

/// The text of a mesh of three gateways, two of which share a site; `link` goes into the first link.
pub(crate) fn mesh(link: &str) -> String {
    let key = |byte| PublicKey([byte; 32]);
    format!(
        r#"
        [defaults]
        channels = 2

        [gateways.qvpn1]
        number = 1
        public_key = "{}"
        underlay = "198.51.100.7"
        address = "10.207.0.1"
        address6 = "fd00:207::1"
        networks = ["10.207.0.0/16", "fd00:207::/48"]

        [gateways.nvpn1]
        number = 2
        public_key = "{}"
        underlay = "203.0.113.2"
        address = "10.202.0.1"
        networks = ["10.202.0.0/16", "fd00:202::/48"]
        site = "n"
        priority = 1

        [gateways.nvpn2]
        number = 3
        public_key = "{}"
        underlay = "203.0.113.3"
        address = "10.202.0.2"
        networks = ["10.202.0.0/16", "fd00:202::/48"]
        site = "n"
        priority = 2

        [[links]]
        between = ["qvpn1", "nvpn1"]
        name = "nq"
        {link}

        [[links]]
        between = ["qvpn1", "nvpn2"]
        name = "mq"
        "#,
        key(1),
        key(2),
        key(3)
    )
}

/// The mesh as qvpn1 sees it.
pub(crate) fn view(mesh: &Mesh) -> View {
    mesh.view(&PublicKey(OWN_KEY)).expect("qvpn1 is in the mesh")
}

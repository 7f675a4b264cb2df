//! What a gateway is started with: the mesh file seen from its own key, and its keys.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use meshtun_config::{Checked, Diagnostics, Environment, Mesh, PresharedKey, PublicKey, SecretKey, View};
use meshtun_proto::LocalIdentity;

use crate::Error;

/// A gateway's own part of the mesh, with the secrets that go with it.
#[derive(Debug)]
pub struct Gateway {
    /// The mesh from its end.
    pub view: View,
    /// Its key pair.
    pub(crate) identity: Arc<LocalIdentity>,
    /// The public keys of all gateways of the mesh.
    pub(crate) public_keys: Vec<PublicKey>,
    /// The pre-shared keys, by link name.
    pub(crate) preshared_keys: BTreeMap<String, PresharedKey>,
}

/// Reads and checks a mesh file against this machine; warnings come with it.
///
/// # Errors
/// [`Error::Unreadable`] or [`Error::Mesh`] with all errors of the file.
pub fn read_mesh(file: &Path) -> Result<(Mesh, Diagnostics), Error> {
    let text = std::fs::read_to_string(file).map_err(|error| Error::Unreadable { path: file.to_owned(), error })?;
    let Checked { mesh, errors, warnings } = Mesh::check(&file.to_string_lossy(), &text, &environment());
    mesh.map(|mesh| (mesh, warnings)).ok_or(Error::Mesh(errors))
}

impl Gateway {
    /// The gateway that this private key belongs to, with all keys that it needs.
    ///
    /// # Errors
    /// A key file that cannot be used, or a key that is of no gateway of the mesh.
    pub fn load(mesh: &Mesh, key_file: &Path) -> Result<Gateway, Error> {
        let identity = LocalIdentity::new(*SecretKey::load(key_file)?.as_bytes());
        let public_key = PublicKey(identity.public_key());
        let not_ours = |error| Error::NotOurs { key_file: key_file.to_owned(), error };
        let view = mesh.view(&public_key).map_err(not_ours)?;
        let preshared_keys = load_preshared_keys(&view)?;
        let public_keys = mesh.gateways.iter().map(|gateway| gateway.public_key).collect();
        Ok(Gateway { view, identity: Arc::new(identity), public_keys, preshared_keys })
    }
}

fn load_preshared_keys(view: &View) -> Result<BTreeMap<String, PresharedKey>, Error> {
    let with_file = |link: &meshtun_config::LinkView| Some((link.name.clone(), link.preshared_key_file.clone()?));
    let files = view.links.iter().filter_map(with_file);
    files.map(|(link, file)| Ok((link, PresharedKey::load(&file)?))).collect()
}

/// The default, with this machine's ephemeral ports.
fn environment() -> Environment {
    let mut environment = Environment::default();
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ports = range.split_whitespace().map_while(|port| port.parse().ok());
    if let (Some(first), Some(last)) = (ports.next(), ports.next()) {
        environment.ephemeral_ports = first..=last;
    }
    environment
}

//! A lab: namespaces and the cables between them.

use std::{path::Path, sync::Arc};

use meshtun_sys::netns::Namespace;

use crate::{LabError, Node, child::Keeper, footprint::Footprint, netlink};

/// Namespaces and veth pairs, with a folder for files.
///
/// Dropping it ends whatever runs in its nodes and takes away its names and its folder. The namespaces go, with all that
/// is in them, when the last [`Node`] is dropped too.
#[derive(Debug)]
pub struct Lab {
    nodes: Vec<Node>,
    keeper: Keeper,
    footprint: Arc<Footprint>,
}

/// One end of a cable: a node, and the device's name there.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// The node.
    pub node: &'a Node,
    /// The device's name, at most 15 bytes.
    pub device: &'a str,
}

impl Lab {
    /// A lab without names: nobody outside this process finds its namespaces.
    ///
    /// # Errors
    /// If its folder cannot be made.
    pub fn new() -> Result<Lab, LabError> {
        Lab::open(None)
    }

    /// A lab whose nodes are found by `ip netns` as `NAME-NODE`.
    ///
    /// What a killed lab of the same name left is taken away first.
    ///
    /// # Errors
    /// [`LabError::NameInUse`] if such a lab runs; [`LabError::BadName`]; if its folder cannot be made.
    pub fn named(name: &str) -> Result<Lab, LabError> {
        Lab::open(Some(name))
    }

    /// Adds a namespace with its loopback device up and nothing else.
    ///
    /// IPv6 addresses are usable at once there (no duplicate address detection), and no router is listened to.
    ///
    /// # Errors
    /// [`LabError::Namespace`] without the right to make one, [`LabError::NotOurs`] if the name is taken.
    pub fn add_node(&mut self, name: &str) -> Result<Node, LabError> {
        let failed = |source| LabError::Namespace { node: name.to_owned(), source };
        let namespace = Namespace::new().map_err(failed)?;
        let pinned = self.footprint.add(name, &namespace)?;
        let node = Node::new(name, namespace, pinned, self.keeper.orders());
        node.prepare()?;
        self.nodes.push(node.clone());
        Ok(node)
    }

    /// Lays a veth cable between two nodes and sets both ends up; it carries when this returns.
    ///
    /// # Errors
    /// [`LabError::Netlink`], if a device of that name exists or the kernel has no veth.
    pub fn connect(&self, one: End<'_>, other: End<'_>, mtu: u32) -> Result<(), LabError> {
        netlink::add_veth(one, other, mtu)
    }

    /// Its nodes, in the order in which they were added.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// A folder that goes with the lab, readable by this user only.
    pub fn folder(&self) -> &Path {
        self.footprint.folder()
    }

    fn open(name: Option<&str>) -> Result<Lab, LabError> {
        let failed = |source| LabError::Start { node: "lab".into(), program: "its keeper thread".into(), source };
        let keeper = Keeper::new().map_err(failed)?;
        Ok(Lab { nodes: Vec::new(), keeper, footprint: Footprint::new(name)? })
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.footprint.clear();
    }
}

//! A node of a lab: one network namespace, and what can be done in it.

use std::{
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
    thread::JoinHandle,
};

use ipnet::IpNet;
use meshtun_sys::{device, netns::Namespace, process::die_with_parent};

use crate::{
    LabError,
    child::{Child, Orders},
    netlink,
};

pub use crate::netlink::Link;

/// A network namespace of a lab. Clones are the same node.
#[derive(Clone, Debug)]
pub struct Node(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    namespace: Namespace,
    pinned: Option<PathBuf>,
    orders: Orders,
}

impl Node {
    /// Its name within the lab.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.0.namespace
    }

    /// Its name in the file system, in a named lab: `/run/netns/LAB-NODE`.
    pub fn pinned(&self) -> Option<&Path> {
        self.0.pinned.as_deref()
    }

    /// Runs `work` on a thread in the node, waits for it and gives what it returned. Sockets that it opens stay in the
    /// node and may be used by any thread.
    ///
    /// # Errors
    /// [`LabError::Enter`]; then `work` has not run.
    ///
    /// # Panics
    /// When `work` does.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, LabError> {
        self.0.namespace.run_in(work).map_err(|source| self.not_entered(source))
    }

    /// Starts a thread in the node.
    ///
    /// # Errors
    /// [`LabError::Enter`].
    pub fn spawn<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<T>, LabError> {
        self.0.namespace.spawn_in(name, work).map_err(|source| self.not_entered(source))
    }

    /// Starts a program in the node. It ends when the [`Child`] is dropped, with the lab, or with this process.
    ///
    /// # Errors
    /// [`LabError::Start`]; [`LabError::Closed`] if the lab was dropped.
    pub fn start(&self, mut command: Command) -> Result<Child, LabError> {
        let program = command.get_program().to_string_lossy().into_owned();
        let failed = |source| LabError::Start { node: self.name().to_owned(), program, source };
        if let Err(source) = self.0.namespace.command_in(&mut command) {
            return Err(failed(source));
        }
        let started = self.0.orders.start(command);
        started.ok_or_else(|| LabError::Closed { node: self.name().to_owned() })?.map_err(failed)
    }

    /// Runs a program in the node to its end and gives what it wrote.
    ///
    /// # Errors
    /// [`LabError::Start`]. That it ended badly is no error here.
    pub fn output(&self, mut command: Command) -> Result<Output, LabError> {
        let entered = self.0.namespace.command_in(&mut command);
        die_with_parent(&mut command);
        let program = command.get_program().to_string_lossy().into_owned();
        let failed = |source| LabError::Start { node: self.name().to_owned(), program, source };
        entered.and_then(|()| command.output()).map_err(failed)
    }

    /// Adds an address to a device; its prefix becomes reachable there.
    ///
    /// # Errors
    /// [`LabError::Netlink`].
    pub fn add_address(&self, device: &str, address: IpNet) -> Result<(), LabError> {
        netlink::add_address(self, device, address)
    }

    /// Adds a route by way of a neighbour.
    ///
    /// # Errors
    /// [`LabError::Netlink`].
    pub fn add_route(&self, prefix: IpNet, via: IpAddr) -> Result<(), LabError> {
        netlink::add_route(self, prefix, via)
    }

    /// Its devices, ascending by index.
    ///
    /// # Errors
    /// [`LabError::Netlink`].
    pub fn links(&self) -> Result<Vec<Link>, LabError> {
        netlink::links(self)
    }

    /// Sets a device up or down.
    ///
    /// # Errors
    /// [`LabError::Netlink`], if there is no such device.
    pub fn set_up(&self, device: &str, up: bool) -> Result<(), LabError> {
        let set = self.run(|| device::set_up(device, up))?;
        set.map_err(|source| self.kernel_says(format!("set {device} {}", if up { "up" } else { "down" }), source))
    }

    /// Whether a device is up and has carrier; `false` if there is no such device. Asking does not make the kernel act on
    /// a change that it has not handled yet.
    ///
    /// # Errors
    /// [`LabError::Enter`].
    pub fn is_running(&self, device: &str) -> Result<bool, LabError> {
        Ok(self.run(|| device::is_running(device))?.unwrap_or(false))
    }

    /// Writes a kernel setting of the node, such as `net.ipv4.fib_multipath_hash_policy`. A slash in it stands for a dot
    /// in a device's name.
    ///
    /// # Errors
    /// [`LabError::Sysctl`].
    pub fn set_sysctl(&self, key: &str, value: &str) -> Result<(), LabError> {
        let written = self.run(|| fs::write(sysctl_path(key), value))?;
        written.map_err(|source| self.sysctl_failed(key, source))
    }

    /// Reads a kernel setting of the node.
    ///
    /// # Errors
    /// [`LabError::Sysctl`].
    pub fn sysctl(&self, key: &str) -> Result<String, LabError> {
        let read = self.run(|| fs::read_to_string(sysctl_path(key)))?;
        read.map(|text| text.trim().to_owned()).map_err(|source| self.sysctl_failed(key, source))
    }

    /// Makes the node forward between its devices, IPv4 and IPv6.
    ///
    /// # Errors
    /// [`LabError::Sysctl`].
    pub fn forward(&self) -> Result<(), LabError> {
        self.set_sysctl("net.ipv4.ip_forward", "1")?;
        self.set_sysctl("net.ipv6.conf.all.forwarding", "1")
    }

    pub(crate) fn new(name: &str, namespace: Namespace, pinned: Option<PathBuf>, orders: Orders) -> Node {
        Node(Arc::new(Inner { name: name.to_owned(), namespace, pinned, orders }))
    }

    /// What [`crate::Lab::add_node`] promises of a fresh node.
    pub(crate) fn prepare(&self) -> Result<(), LabError> {
        // `default` is what devices are born with, `all` counts besides (net/ipv6/addrconf.c: addrconf_dad_begin).
        for key in ["conf.all.accept_dad", "conf.default.accept_dad", "conf.default.accept_ra"] {
            self.set_sysctl(&format!("net.ipv6.{key}"), "0")?;
        }
        self.set_up("lo", true)
    }

    pub(crate) fn kernel_says(&self, what: String, source: io::Error) -> LabError {
        LabError::Netlink { node: self.name().to_owned(), what, source }
    }

    fn not_entered(&self, source: io::Error) -> LabError {
        LabError::Enter { node: self.name().to_owned(), source }
    }

    fn sysctl_failed(&self, key: &str, source: io::Error) -> LabError {
        LabError::Sysctl { node: self.name().to_owned(), key: key.to_owned(), source }
    }
}

/// `/proc/sys/net` shows the namespace of the thread that opens a file in it.
fn sysctl_path(key: &str) -> PathBuf {
    let path: String = key
        .chars()
        .map(|c| {
            if c == '.' {
                '/'
            } else if c == '/' {
                '.'
            } else {
                c
            }
        })
        .collect();
    Path::new("/proc/sys").join(path)
}

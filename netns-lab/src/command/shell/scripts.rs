//! A script for each node, by which a program is run there: `g1 tcpdump -ni cable0`.

use std::{
    env,
    ffi::OsString,
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink},
    path::{Path, PathBuf},
};

use netns_lab::{Node, gateway::Gateway, topology::Topology};

/// Where the scripts are.
pub(crate) struct Scripts {
    /// Their folder.
    pub(crate) folder: PathBuf,
    /// A search path that begins with it.
    pub(crate) path: OsString,
    /// What an interactive bash reads first.
    pub(crate) bash_start: PathBuf,
}

pub(crate) fn write(topology: &Topology, gateways: &[Gateway]) -> io::Result<Scripts> {
    let folder = topology.lab.folder().join("bin");
    fs::DirBuilder::new().mode(0o700).create(&folder)?;
    for node in topology.lab.nodes() {
        let gateway = gateways.iter().find(|gateway| gateway.node().name() == node.name());
        write_file(&folder.join(node.name()), 0o700, &script(node, gateway))?;
    }
    if let Some(gateway) = gateways.first() {
        symlink(gateway.program().path(), folder.join("meshtun"))?;
    }
    let bash_start = folder.join(".bashrc");
    write_file(&bash_start, 0o600, &bash_start_text(topology, &folder))?;
    let mut path = folder.clone().into_os_string();
    if let Some(rest) = env::var_os("PATH") {
        path.push(":");
        path.push(rest);
    }
    Ok(Scripts { folder, path, bash_start })
}

fn script(node: &Node, gateway: Option<&Gateway>) -> String {
    let mut text = format!("#!/bin/sh\n# Runs a program in {}, or a shell.\n", node.name());
    for (name, value) in gateway.map(Gateway::environment).unwrap_or_default() {
        let _ = writeln!(text, "export {name}={}", quoted(&value));
    }
    let name = quoted(node.pinned().unwrap_or(Path::new("")));
    let _ = writeln!(text, "[ $# -gt 0 ] || set -- \"${{SHELL:-/bin/sh}}\"\nexec nsenter --net={name} -- \"$@\"");
    text
}

fn bash_start_text(topology: &Topology, folder: &Path) -> String {
    let host = topology.sites[0].host.name();
    format!("[ -f ~/.bashrc ] && . ~/.bashrc\nPATH={}:$PATH\nPS1='[{host}] \\w \\$ '\n", quoted(folder))
}

/// A path as a word for the shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

fn write_file(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?.write_all(text.as_bytes())
}

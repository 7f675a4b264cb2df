//! One configuration as a channel.

use std::io;

use super::{Side, Source, names, script::ScriptFacts};
use crate::{
    directive::{self, Place, Reading},
    options::{Ifconfig, Options, Parsed, Remote, Script},
};

/// What one file says.
pub(super) struct Channel {
    pub(super) file: String,
    pub(super) side: Side,
    /// The content, for comparing.
    text: zeroize::Zeroizing<Vec<u8>>,
    pub(super) reading: Reading,
    pub(super) parsed: Parsed,
    /// What stands in its scripts.
    pub(super) scripts: Vec<ScriptRead>,
}

/// A script, and what could be read in it.
pub(super) struct ScriptRead {
    /// `up`, `down` …
    pub(super) directive: &'static str,
    pub(super) script: Script,
    /// The file that was read, or why none was.
    pub(super) facts: Result<(String, ScriptFacts), String>,
}

/// Reads all files of one end.
pub(super) fn read_all(
    sources: &[Source],
    side: Side,
    open: &mut dyn FnMut(Side, &str) -> io::Result<Vec<u8>>,
) -> Vec<Channel> {
    sources.iter().map(|source| read(source, side, open)).collect()
}

fn read(source: &Source, side: Side, open: &mut dyn FnMut(Side, &str) -> io::Result<Vec<u8>>) -> Channel {
    let mut open_beside = |name: &str| first(&paths(&source.name, None, name, side), &mut |path| open(side, path)).1;
    let reading = directive::read_file(&source.name, &source.text, &mut open_beside);
    let parsed = Options::read(&reading);
    let options = &parsed.options;
    let scripts = [("up", &options.up), ("route-up", &options.route_up), ("down", &options.down)];
    let scripts = scripts
        .into_iter()
        .filter_map(|(directive, script)| Some((directive, script.clone()?)))
        .map(|(directive, script)| {
            let candidates = paths(&source.name, options.cd.as_deref(), &script.argv[0], side);
            let (path, content) = first(&candidates, &mut |path| open(side, path));
            let facts = match content {
                Ok(text) => Ok((path, ScriptFacts::read(&text, &script.argv[1..], &link_names(&source.name, options)))),
                Err(error) => Err(format!("`{path}` cannot be read: {error}")),
            };
            ScriptRead { directive, script, facts }
        })
        .collect();
    Channel { file: source.name.clone(), side, text: source.text.clone(), reading, parsed, scripts }
}

/// What a script may know its link by: names of the file and of the device.
fn link_names(file: &str, options: &Options) -> Vec<String> {
    let device = &options.device.name;
    let names = [names::stem(file), names::stem(device), device.clone()];
    names.into_iter().filter(|name| !name.is_empty() && name != "tun").collect()
}

/// Where a file may lie that a configuration names. For another machine that is beside the configuration alone.
fn paths(file: &str, cd: Option<&str>, name: &str, side: Side) -> Vec<String> {
    let folder = names::folder(file);
    let name = name.trim_start_matches("./");
    let beside = format!("{folder}{}", names::base(name));
    let named = match cd {
        _ if name.starts_with('/') => name.to_owned(),
        Some(cd) if cd.starts_with('/') => format!("{}/{name}", cd.trim_end_matches('/')),
        Some(cd) => format!("{folder}{}/{name}", cd.trim_end_matches('/')),
        None => format!("{folder}{name}"),
    };
    match side {
        Side::Here => vec![named, beside],
        Side::There => vec![beside],
    }
}

/// The first path that can be read, with its content; else the first one, with its error.
fn first(paths: &[String], open: &mut dyn FnMut(&str) -> io::Result<Vec<u8>>) -> (String, io::Result<Vec<u8>>) {
    let mut failure = None;
    for path in paths {
        match open(path) {
            Ok(content) => return (path.clone(), Ok(content)),
            Err(error) => failure = failure.or(Some((path.clone(), Err(error)))),
        }
    }
    failure.unwrap_or_else(|| (String::new(), Err(io::ErrorKind::NotFound.into())))
}

impl Channel {
    pub(super) fn options(&self) -> &Options {
        &self.parsed.options
    }

    /// The place of a directive, else the file's first line.
    pub(super) fn place(&self, name: &str) -> Place {
        let start = || Place { file: Some(self.file.as_str().into()), line: 1 };
        self.options().places.get(name).cloned().unwrap_or_else(start)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.reading.directives.iter().any(|directive| directive.name == name)
    }

    pub(super) fn remote(&self) -> Option<&Remote> {
        self.options().remotes.first()
    }

    /// The address or name that it binds to.
    pub(super) fn local_host(&self) -> Option<&str> {
        self.options().local.as_ref()?.host.as_deref()
    }

    /// The device's name where the file gives one.
    pub(super) fn device(&self) -> Option<&str> {
        let device = &self.options().device;
        (self.has("dev") && !device.is_dynamic()).then_some(device.name.as_str())
    }

    /// The other end's address inside the tunnel.
    pub(super) fn inner_remote(&self) -> Option<std::net::Ipv4Addr> {
        match self.options().ifconfig? {
            Ifconfig::PointToPoint { remote, .. } => Some(remote),
            Ifconfig::Subnet { .. } => None,
        }
    }

    pub(super) fn is_copy_of(&self, other: &Self) -> bool {
        self.text == other.text
    }

    /// Whether both could not run at once, and over what.
    pub(super) fn clash(&self, other: &Self) -> Option<String> {
        let (a, b) = (self.options(), other.options());
        let same_host =
            self.local_host().is_none() || other.local_host().is_none() || self.local_host() == other.local_host();
        if a.local_port.is_some() && a.local_port == b.local_port && same_host && a.protocol == b.protocol {
            return Some(format!("port {}", a.local_port.unwrap_or_default()));
        }
        let device = self.device().filter(|_| self.device() == other.device())?;
        Some(format!("the device {device}"))
    }

    /// Whether `other`, of the other end, is this channel's counterpart.
    pub(super) fn pairs_with(&self, other: &Self) -> bool {
        let reaches = |a: &Self, b: &Self| {
            let port = a.remote().map(|remote| remote.port);
            let host = match (a.remote().map(|remote| remote.host.as_str()), b.local_host()) {
                (Some(remote), Some(local)) => remote == local,
                _ => true,
            };
            host && (port.is_none() || b.options().local_port.is_none() || port == b.options().local_port)
        };
        let known = self.remote().is_some() || other.remote().is_some();
        known && reaches(self, other) && reaches(other, self)
    }
}

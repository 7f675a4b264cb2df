//! OpenVPN configurations into `mesh.toml`: N of them between the same two machines are one link of N channels.
//!
//! Nothing is run and nothing is guessed in silence: what the files do not say stands in the result as a comment that
//! begins with `DECIDE`, and in [`Imported::decisions`].

mod channel;
mod explain;
mod fates;
mod group;
mod left_out;
mod names;
mod script;
mod write;

use std::{fmt, io};

use crate::directive::{Place, scrub};

pub use explain::Explained;

/// A configuration file.
#[derive(Clone)]
pub struct Source {
    /// Its name, as messages have it; its directory is where relative names in it begin.
    pub name: String,
    /// Its content.
    pub text: zeroize::Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What is to be imported, and how.
#[derive(Debug, Default)]
pub struct Wishes {
    /// This end's files.
    pub here: Vec<Source>,
    /// The other ends' files, of all of them.
    pub there: Vec<Source>,
    /// This gateway's name in the mesh.
    pub name: Option<String>,
    /// Keep OpenVPN's ports, so that firewalls need no change. Then both cannot run side by side.
    pub keep_ports: bool,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The text of `mesh.toml`; `None` when no file describes a channel.
    pub mesh: Option<String>,
    /// What a person must decide, in the order of the text.
    pub decisions: Vec<Decision>,
    /// What became of each line of each file.
    pub explained: Vec<Explained>,
    /// How many channels there are.
    pub channels: usize,
}

/// Something that the files do not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The lines that it is about.
    pub places: Vec<Place>,
    /// What is to be decided, and how.
    pub text: String,
}

impl Decision {
    fn new(places: impl IntoIterator<Item = Place>, text: impl Into<String>) -> Self {
        let mut distinct: Vec<Place> = Vec::new();
        for place in places {
            if !distinct.contains(&place) {
                distinct.push(place);
            }
        }
        Self { places: distinct, text: scrub(&text.into()).into_owned() }
    }
}

impl fmt::Display for Decision {
    /// `nq1.conf:3, nq2.conf:3: what is to be decided`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, place) in self.places.iter().take(4).enumerate() {
            write!(f, "{}{place}", if number > 0 { ", " } else { "" })?;
        }
        match self.places.len() {
            0 => {}
            1..=4 => f.write_str(": ")?,
            _ => f.write_str(" …: ")?,
        }
        f.write_str(&self.text)
    }
}

/// Which end a file belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// This machine.
    Here,
    /// Another one: its files lie here as copies.
    There,
}

/// Imports configurations.
///
/// `open` reads a file that a configuration names: a script, or another configuration. For [`Side::There`] names lead
/// only to copies beside the configuration, never to a file of this machine with the same name.
pub fn import(wishes: &Wishes, open: &mut dyn FnMut(Side, &str) -> io::Result<Vec<u8>>) -> Imported {
    let mut decisions = Vec::new();
    let here = channel::read_all(&wishes.here, Side::Here, open);
    let there = channel::read_all(&wishes.there, Side::There, open);
    let (here, out_here) = left_out::sort(here, &mut decisions);
    let (there, out_there) = left_out::sort(there, &mut decisions);
    let about_files = decisions.len();
    let mesh = group::group(here, there, wishes, &mut decisions);
    let channels = mesh.links.iter().map(|link| link.channels.len()).sum();
    let explained = explain::explain(&mesh, &out_here, &out_there);
    let text = write::write(&mesh, &out_here, &out_there, &mut decisions);
    if channels == 0 {
        // Nobody has to decide about a mesh that there is not.
        decisions.truncate(about_files);
    }
    Imported { mesh: (channels > 0).then_some(text), decisions, explained, channels }
}

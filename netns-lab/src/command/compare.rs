//! `netns-lab compare`: meshtun beside the tools that it replaces, measured in one run.

mod bed;
mod install;
mod measure;
mod pinning;
mod statistics;
mod tool;
mod tools;

use std::path::PathBuf;

use anyhow::ensure;
use clap::Args;
use netns_lab::{privilege, program::Program, signals};

use self::{
    bed::{Bed, Protocol},
    install::Programs,
    tool::{Cipher, Path, Subject, Tool, Underlay},
};
use super::{complain, say};

#[derive(Args)]
pub(crate) struct Arguments {
    /// The meshtun program, instead of the one beside this program
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let meshtun = Program::find_or_build(arguments.program.as_deref())?;
    privilege::acquire()?;
    privilege::tun_device()?;
    signals::exit_cleanly()?;
    let programs = Programs::find(meshtun, &Tool::ALL, install::Effort::Look)?;
    let subjects = [
        Subject { tool: Tool::Bare, channels: 1, cipher: Cipher::None },
        Subject { tool: Tool::OpenVpn, channels: 1, cipher: Cipher::StaticAes256Cbc },
        Subject { tool: Tool::OpenVpn, channels: 4, cipher: Cipher::StaticAes256Cbc },
        Subject { tool: Tool::OpenVpn, channels: 4, cipher: Cipher::TlsAes256Gcm },
        Subject { tool: Tool::WireguardGo, channels: 1, cipher: Cipher::ChaCha20Poly1305 },
        Subject { tool: Tool::BoringTun, channels: 1, cipher: Cipher::ChaCha20Poly1305 },
        Subject { tool: Tool::GotaTun, channels: 1, cipher: Cipher::ChaCha20Poly1305 },
        Subject { tool: Tool::Meshtun, channels: 4, cipher: Cipher::ChaCha20Poly1305 },
        Subject { tool: Tool::Meshtun, channels: 4, cipher: Cipher::Aes256Gcm },
    ];
    let mut wrong = Vec::new();
    for (subject, underlay) in
        subjects.into_iter().flat_map(|one| [(one, Underlay::Trains), (one, Underlay::Datagrams)])
    {
        let bed = Bed::start(subject, underlay, &programs)?;
        for path in [Path::Routed, Path::Gateway] {
            let device = bed.device_of(path, Protocol::Udp, 40_000, 5201)?;
            say(&format!("{subject}, {}, {}: by {device:?}", path.name(), underlay.name()));
        }
        wrong.extend(bed.finish()?);
    }
    wrong.iter().for_each(|line| complain(line));
    ensure!(wrong.is_empty(), "errors were logged, see above");
    Ok(())
}

//! `netns-lab shell`: a lab in which a person types.

mod advice;
mod scripts;

use std::{
    path::PathBuf,
    process::Command,
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use netns_lab::{
    gateway::{self, Gateway},
    privilege::{self, Privilege},
    program::Program,
    signals::{self, Ending},
    topology::{Family, Options, Shape, Topology},
};

use super::say;

#[derive(Args)]
pub(crate) struct Arguments {
    /// What stands where
    #[arg(long, value_enum, default_value_t = Layout::TwoGateways)]
    topology: Layout,
    /// Channels of each link
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=16))]
    channels: u16,
    /// The underlay's address family
    #[arg(long, value_enum, default_value_t = Underlay::V4)]
    underlay: Underlay,
    /// Cipher suite of the links
    #[arg(long, value_name = "NAME")]
    cipher: Option<String>,
    /// Add a node behind default routes of the gateways
    #[arg(long)]
    internet: bool,
    /// Prefix of the namespaces' names
    #[arg(long, value_name = "NAME", default_value = "lab")]
    name: String,
    /// The meshtun program, instead of the one beside this program
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
    /// Start no gateways, and route between the sites in clear
    #[arg(long)]
    bare: bool,
    /// Wait for Ctrl-C instead of opening a shell
    #[arg(long)]
    no_shell: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Layout {
    /// host1 - g1 - g2 - host2
    TwoGateways,
    /// Three gateways around a router, a host behind each
    ThreeSites,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Underlay {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

/// How long the gateways may take to bring every channel up.
const PATIENCE: Duration = Duration::from_secs(15);

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    // Built as the user who types, before a user namespace is entered.
    let program = if arguments.bare { None } else { Some(Program::find_or_build(arguments.program.as_deref())?) };
    let privilege = privilege::acquire()?;
    let endings = catch_endings(arguments.no_shell)?;
    let topology = Topology::build(arguments.topology.into(), &arguments.options())?;
    let gateways = match program {
        Some(program) => start(&topology, &program, arguments)?,
        None => topology.route_in_clear().map(|()| Vec::new())?,
    };
    let scripts = scripts::write(&topology, &gateways).context("cannot write the lab's scripts")?;
    say(&topology.drawing());
    say(&advice::text(&topology, &gateways, privilege, &scripts, arguments.no_shell));
    match endings {
        // Only a signal ends it, and the sender lives as long as the thread that hears signals.
        Some(endings) => drop(endings.recv()),
        None => open_shell(&topology, &scripts)?,
    }
    close(gateways);
    Ok(())
}

/// With a shell Ctrl-C is the shell's affair, and only the end of the terminal or SIGTERM ends the lab.
fn catch_endings(no_shell: bool) -> anyhow::Result<Option<mpsc::Receiver<Ending>>> {
    if no_shell {
        let (sender, endings) = mpsc::channel();
        // A second signal, while the lab is being closed, does not wait for that.
        let mut calm = Some(sender);
        signals::on_ending(move |ending| match calm.take() {
            Some(sender) => drop(sender.send(ending)),
            None => signals::clean_exit(ending.exit_code()),
        })?;
        return Ok(Some(endings));
    }
    signals::on_ending(|ending| {
        if ending != Ending::Interrupt {
            signals::clean_exit(ending.exit_code());
        }
    })?;
    Ok(None)
}

fn start(topology: &Topology, program: &Program, arguments: &Arguments) -> anyhow::Result<Vec<Gateway>> {
    privilege::tun_device()?;
    let keys = program.keys(topology.sites.len())?;
    let mut mesh = topology.mesh(&keys, arguments.channels);
    mesh.defaults.extend(arguments.cipher.as_ref().map(|cipher| ("cipher".to_owned(), format!("{cipher:?}"))));
    let mut gateways = gateway::start_all(topology, program, &mesh, &keys)?;
    let begun = Instant::now();
    for gateway in &mut gateways {
        gateway.wait_until_up(PATIENCE.saturating_sub(begun.elapsed()))?;
    }
    say(&format!("Every channel is up after {} ms.\n", begun.elapsed().as_millis()));
    Ok(gateways)
}

fn open_shell(topology: &Topology, scripts: &scripts::Scripts) -> anyhow::Result<()> {
    let shell = std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".into());
    let mut command = Command::new(&shell);
    if shell.ends_with("/bash") {
        command.arg("--rcfile").arg(&scripts.bash_start);
    }
    command.arg("-i").env("PATH", &scripts.path).env("NETNS_LAB", topology.lab.folder());
    // How the shell ended is what the last typed command did.
    let _status = topology.sites[0].host.start(command)?.wait()?;
    Ok(())
}

/// Lets each gateway end in its own way; one that does not is ended with the lab.
fn close(mut gateways: Vec<Gateway>) {
    for gateway in &mut gateways {
        if let Err(error) = gateway.stop(Duration::from_secs(3)) {
            super::complain(&format!("netns-lab: {error}"));
        }
    }
}

impl Arguments {
    fn options(&self) -> Options {
        let underlay = match self.underlay {
            Underlay::V4 => Family::V4,
            Underlay::V6 => Family::V6,
        };
        Options { underlay, internet: self.internet, name: Some(self.name.clone()), ..Options::default() }
    }
}

impl From<Layout> for Shape {
    fn from(layout: Layout) -> Shape {
        match layout {
            Layout::TwoGateways => Shape::TwoGateways,
            Layout::ThreeSites => Shape::ThreeSites,
        }
    }
}

/// Whether names are seen by everyone or in this process's mount namespace only.
fn is_public(privilege: Privilege) -> bool {
    privilege == Privilege::Root
}

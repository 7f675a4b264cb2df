//! `netns-lab soak`: real rekeys against plain WireGuard, two minutes and more.
//!
//! Only the end that initiated a session renews it at 120 s. So there are two soaks at once, each in a lab of its own: in
//! one meshtun initiates, in the other Debian's wireguard-go does. Meanwhile datagrams are counted one by one and TCP
//! flows talk, slowly, both ways, over both channels: a change of sessions must cost none of them.

mod conversation;
mod figures;
mod lab;

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::ensure;
use clap::Args;
use netns_lab::{privilege, program::Program, signals, wireguard};

use self::figures::Report;
use super::{complain, say};

#[derive(Args)]
pub(crate) struct Arguments {
    /// How long to send after the link is up; sessions are renewed after 120
    #[arg(long, value_name = "N", default_value_t = 130, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// The meshtun program, instead of the one beside this program
    #[arg(long, value_name = "PATH")]
    program: Option<std::path::PathBuf>,
    /// End with one line of JSON on standard output; everything else goes to standard error
    #[arg(long)]
    json: bool,
}

/// Which end sends the first message, and so renews the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Initiator {
    /// The gateway; the peer learns from its packets where it is.
    Meshtun,
    /// The peer; the gateway learns from its packets where it is.
    Peer,
}

impl Initiator {
    fn name(self) -> &'static str {
        match self {
            Initiator::Meshtun => "meshtun",
            Initiator::Peer => "wireguard-go",
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let program = Program::find_or_build(arguments.program.as_deref())?;
    privilege::acquire()?;
    privilege::tun_device()?;
    signals::on_ending(|ending| {
        wireguard::clean_up();
        signals::clean_exit(ending.exit_code());
    })?;
    complain(&format!("Two soaks of {} s at once: meshtun initiates, wireguard-go initiates.", arguments.seconds));
    let report = soak(&program, Duration::from_secs(arguments.seconds));
    if arguments.json {
        complain(&report.text());
        say(&serde_json::to_string(&report)?);
    } else {
        say(&report.text());
    }
    ensure!(report.pass, "the soak has failed");
    Ok(())
}

fn soak(program: &Program, duration: Duration) -> Report {
    let begun = Instant::now();
    let both = thread::scope(|scope| {
        let start = |initiator| (initiator, scope.spawn(move || lab::run(initiator, program, duration)));
        let [one, other] = [Initiator::Meshtun, Initiator::Peer].map(start);
        [one, other].map(|(initiator, thread)| (initiator, thread.join()))
    });
    let mut report = Report::new(begun.elapsed());
    for (initiator, ended) in both {
        match ended {
            Ok(Ok(figures)) => report.add(figures),
            Ok(Err(error)) => report.fail(format!("{} initiates: {error:#}", initiator.name())),
            Err(_) => report.fail(format!("{} initiates: a thread panicked, see above", initiator.name())),
        }
    }
    report
}

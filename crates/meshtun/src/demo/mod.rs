//! `meshtun demo`: a link at work, on one machine, with nothing but this program.

mod report;
mod stage;

use std::{io::Write, time::Duration};

use netns_lab::load::Progress;

use self::{
    report::{Report, Share},
    stage::{Stage, Tally},
};
use crate::{
    exit::{Failure, Outcome},
    output,
};

/// Show a link at work between two gateways in network namespaces of its own
///
/// Makes two gateways with a host behind each, joins them by a link, sends TCP through it, and tells how fast that was,
/// what each channel carried, what it cost, and whether anything passed the underlay in clear. Root, or an ordinary
/// user where user namespaces are allowed and /dev/net/tun may be opened; all of it is gone afterwards.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// How long to send
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Channels of the link
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=16))]
    channels: u16,
    /// TCP flows to send
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    flows: u16,
    /// The link's cipher
    #[arg(long, default_value = "chacha20-poly1305", value_parser = ["chacha20-poly1305", "aes-256-gcm"])]
    cipher: String,
    /// End with one line of JSON on standard output; everything else goes to standard error
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> Outcome {
    // Before any thread is there: a user namespace is entered by a process that has only one.
    netns_lab::privilege::acquire().map_err(Failure::new)?;
    netns_lab::privilege::tun_device().map_err(Failure::new)?;
    netns_lab::signals::exit_cleanly()?;

    let talk = Talk { json: args.json };
    let stage = Stage::set(&args)?;
    talk.say(&introduction(&args, &stage))?;
    let report = perform(&args, &stage, &talk)?;
    stage.strike()?;
    talk.say(&report.text())?;
    if args.json {
        output::print(&report.json()?)?;
    }
    report.verdict().map_err(Failure::new)
}

/// Sends the load, showing what each channel carries.
fn perform(args: &Args, stage: &Stage, talk: &Talk) -> Result<Report, Failure> {
    let before = stage.tally()?;
    let mut last = (Duration::ZERO, before.clone());
    let load = stage.load(usize::from(args.flows), Duration::from_secs(args.seconds));
    let load = load.run(|progress: &Progress| {
        // What cannot be shown is no reason to stop the load; the report tells.
        if let Ok(now) = stage.tally() {
            let _unseen = talk.say(&progress_line(progress.elapsed, &last, &now));
            last = (progress.elapsed, now);
        }
    });
    let load = load.map_err(Failure::new)?;
    let after = stage.tally()?;
    let shares = Share::all(&before, &after);
    Report::new(args, &load, shares, stage.seen(), &after)
}

fn introduction(args: &Args, stage: &Stage) -> String {
    let link = match args.channels {
        1 => "cable0".to_owned(),
        channels => format!("cable0 … cable{}", channels - 1),
    };
    format!(
        "host1 ── g1 ══ {link} ══ g2 ── host2   ({}, up {:.0} ms after the start)\n\
         {} TCP flows from host1 to host2 for {} s; Gb/s:\n",
        args.cipher,
        stage.up_after.as_secs_f64() * 1e3,
        args.flows,
        args.seconds
    )
}

/// A line for the time since the last one: all channels together, then each.
fn progress_line(elapsed: Duration, last: &(Duration, Tally), now: &Tally) -> String {
    let seconds = elapsed.saturating_sub(last.0).as_secs_f64().max(0.001);
    let shares = Share::all(&last.1, now);
    let speed = |bytes: u64| bytes as f64 * 8.0 / 1e9 / seconds;
    let total: u64 = shares.iter().map(|share| share.tx_bytes + share.rx_bytes).sum();
    let mut line = format!("{:6.1} s {:7.2}  ", elapsed.as_secs_f64(), speed(total));
    for share in &shares {
        line += &format!(" {} {:.2}", share.device, speed(share.tx_bytes + share.rx_bytes));
    }
    line + "\n"
}

/// Where words for people go: standard output, unless that is kept for JSON.
struct Talk {
    json: bool,
}

impl Talk {
    fn say(&self, text: &str) -> std::io::Result<()> {
        if self.json { anstream::stderr().lock().write_all(text.as_bytes()) } else { output::print(text) }
    }
}

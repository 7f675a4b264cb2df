//! `meshtun check`

use std::{
    fmt::Write,
    io::IsTerminal,
    path::{Path, PathBuf},
};

use meshtun_config::{LinkView, Mesh, View};
use meshtun_daemon::{Gateway, hook_problems, read_mesh, right_problems};

use crate::{
    exit::{Failure, Outcome},
    output, paths,
};

/// Check a mesh file, and with a key what it means for this gateway
///
/// Touches nothing. All errors are shown at once, each with its place and a hint. With --key the key files and the
/// programs of hooks are checked too, the links of this gateway are listed, and rights are told that paths need and whoever
/// runs this lacks.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The mesh file
    file: PathBuf,
    /// File of this gateway's private key
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

pub(crate) fn run(args: Args) -> Outcome {
    let (mesh, warnings) = read_mesh(&args.file)?;
    if !warnings.is_empty() {
        output::complain(warnings.render(std::io::stderr().is_terminal()).trim_end());
    }
    let gateway = args.key.map(|key| Gateway::load(&mesh, &key)).transpose()?;
    let mut text = summary(&args.file, &mesh);
    let mut problems = Vec::new();
    if let Some(gateway) = gateway {
        text.push_str(&describe(&gateway.view));
        problems = hook_problems(&gateway.view);
        // No mistake of the file: whoever checks it may have other rights than the service.
        right_problems(&gateway.view).iter().for_each(|lack| output::complain(&format!("meshtun: warning: {lack}")));
    }
    output::print(&text)?;
    if problems.is_empty() { Ok(()) } else { Err(Failure::configuration(problems.join("\nmeshtun: "))) }
}

fn summary(file: &Path, mesh: &Mesh) -> String {
    let channels: usize = mesh.links.iter().map(|link| usize::from(link.channels)).sum();
    format!(
        "{}: no errors; {}, {}, {}\n",
        file.display(),
        count(mesh.gateways.len(), "gateway"),
        count(mesh.links.len(), "link"),
        count(channels, "channel")
    )
}

fn describe(view: &View) -> String {
    let mut text = format!("this is gateway {} (number {})\n", view.gateway, view.number);
    for link in &view.links {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", describe_link(link));
        for path in paths::lines(link) {
            let _ = writeln!(text, "  {path}");
        }
    }
    text
}

fn describe_link(link: &LinkView) -> String {
    let peer = &link.peer.name;
    let (Some(first), Some(last)) = (link.channels.first(), link.channels.last()) else {
        return format!("link {} to {peer}: no channels", link.name);
    };
    let devices = range(&first.device, &last.device);
    if first.path.is_some() {
        let ports = range(&first.local.port().to_string(), &last.local.port().to_string());
        return format!("link {} to {peer}: devices {devices}, UDP ports {ports}, by these paths:", link.name);
    }
    let local = range(&first.local.to_string(), &last.local.port().to_string());
    let remote = match (&first.remote, &last.remote) {
        (Some(first), Some(last)) => range(&first.to_string(), &last.port.to_string()),
        _ => "wherever it speaks from".into(),
    };
    format!("link {} to {peer}: devices {devices}, UDP {local} to {remote}", link.name)
}

fn range(first: &str, last: &str) -> String {
    if first.ends_with(last) { first.into() } else { format!("{first} … {last}") }
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

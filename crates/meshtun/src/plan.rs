//! `meshtun plan`

use std::{io::IsTerminal, path::PathBuf};

use meshtun_config::LinkView;
use meshtun_daemon::{Gateway, read_mesh};

use crate::{
    exit::Outcome,
    output, paths,
    places::{RuntimeDirectory, async_runtime},
};

/// Print what `up` or, on a running gateway, `reload` would do, as commands that a person would type, and do nothing
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The mesh file
    file: PathBuf,
    /// File of this gateway's private key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    runtime: RuntimeDirectory,
}

pub(crate) fn run(args: Args) -> Outcome {
    let (mesh, warnings) = read_mesh(&args.file)?;
    if !warnings.is_empty() {
        output::complain(warnings.render(std::io::stderr().is_terminal()).trim_end());
    }
    let gateway = Gateway::load(&mesh, &args.key)?;
    let directories = args.runtime.choose()?;
    let plan = async_runtime()?.block_on(meshtun_daemon::plan(&gateway, &directories))?;
    for warning in &plan.warnings {
        output::complain(&format!("meshtun: warning: {warning}"));
    }
    let ways: String = gateway.view.links.iter().flat_map(comments).collect();
    let text = match plan.steps.as_slice() {
        [] => "# nothing to do: devices, routes and settings are as they shall be\n".into(),
        steps => steps.join("\n") + "\n",
    };
    Ok(output::print(&(ways + &text))?)
}

/// Which way the channels of a link with several paths go.
fn comments(link: &LinkView) -> impl Iterator<Item = String> {
    paths::lines(link).into_iter().map(|path| format!("# link {}: {path}\n", link.name))
}

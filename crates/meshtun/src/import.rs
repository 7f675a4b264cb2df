//! `meshtun import`

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use meshtun_openvpn::import::{Imported, Source, Wishes, import};
use zeroize::Zeroizing;

use crate::{
    exit::{Failure, Outcome},
    output,
};

/// More than any configuration or script has, in bytes.
const MOST: u64 = 1 << 20;

/// Make a mesh file of OpenVPN's configurations
///
/// N configurations between the same two machines become one link of N channels. Networks come from `route` lines and from
/// the routes in up scripts, which are read and never run. What the files do not say stands in the mesh file in
/// lines with DECIDE, and on standard error. Nothing is changed but the file that --output names.
/// docs/migrating-from-openvpn.md walks through the whole way.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// This gateway's configurations, as /etc/openvpn/nq*.conf
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Copies of the other ends' configurations, with their scripts beside them
    #[arg(long, value_name = "FILE", num_args = 1..)]
    other_end: Vec<PathBuf>,
    /// This gateway's name in the mesh [default: the host's]
    #[arg(long)]
    name: Option<String>,
    /// Keep OpenVPN's ports; then OpenVPN must be stopped before meshtun can begin
    #[arg(long)]
    keep_ports: bool,
    /// Show line by line what becomes of each directive
    #[arg(long)]
    explain: bool,
    /// Write the mesh file here, which must not exist yet
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn run(args: Args) -> Outcome {
    let wishes = Wishes {
        here: read_all(&args.files)?,
        there: read_all(&args.other_end)?,
        name: args.name.or_else(host_name),
        keep_ports: args.keep_ports,
    };
    let imported = import(&wishes, &mut |_, path| read(Path::new(path)));
    if args.explain {
        let lines: String = imported.explained.iter().map(|line| format!("{line}\n")).collect();
        output::print(&lines)?;
    }
    tell(&imported);
    let Some(mesh) = &imported.mesh else {
        return Err(Failure::configuration("no file describes a channel between two gateways: nothing was written"));
    };
    match &args.output {
        Some(path) => write(path, mesh),
        None if args.explain => Ok(()),
        None => Ok(output::print(mesh)?),
    }
}

fn read_all(paths: &[PathBuf]) -> Result<Vec<Source>, Failure> {
    let read = |path: &PathBuf| match read(path) {
        Ok(text) => Ok(Source { name: path.display().to_string(), text: Zeroizing::new(text) }),
        Err(error) => Err(Failure::configuration(format_args!("{}: {error}", path.display()))),
    };
    paths.iter().map(read).collect()
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut text = Vec::new();
    file.take(MOST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MOST {
        return Err(io::Error::other("it is longer than 1 MiB"));
    }
    Ok(text)
}

/// The host's name up to its first dot, where that can be a gateway's.
fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let label = name.trim().split('.').next()?.to_owned();
    let fits = label.starts_with(|c: char| c.is_ascii_alphanumeric())
        && label.len() <= 63
        && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    (fits && label != "localhost").then_some(label)
}

fn tell(imported: &Imported) {
    if imported.decisions.is_empty() {
        return;
    }
    output::complain(&format!("meshtun: {} to decide:", things(imported.decisions.len())));
    for decision in &imported.decisions {
        output::complain(&format!("- {decision}"));
    }
}

fn things(count: usize) -> String {
    if count == 1 { "one thing".to_owned() } else { format!("{count} things") }
}

fn write(path: &Path, mesh: &str) -> Outcome {
    let failed = |error: io::Error| {
        let what = match error.kind() {
            io::ErrorKind::AlreadyExists => "it is there already: remove it, or write elsewhere".to_owned(),
            _ => error.to_string(),
        };
        Failure::new(format_args!("{}: {what}", path.display()))
    };
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
    file.write_all(mesh.as_bytes()).map_err(failed)?;
    output::complain(&format!("meshtun: {} is written: edit it, then `meshtun check` it", path.display()));
    Ok(())
}

//! Which program an end runs.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    str::FromStr,
};

use crate::program::Program;

/// The name that an end's program goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Debian's OpenVPN.
    OpenVpn,
    /// `meshtun openvpn`.
    Meshtun,
}

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Programs {
    openvpn: PathBuf,
    meshtun: PathBuf,
}

/// The program at either end, the first and the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair(pub [Kind; 2]);

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::OpenVpn => "openvpn",
            Kind::Meshtun => "meshtun",
        })
    }
}

impl FromStr for Kind {
    type Err = ();

    fn from_str(name: &str) -> Result<Kind, ()> {
        [Kind::OpenVpn, Kind::Meshtun].into_iter().find(|kind| kind.to_string() == name).ok_or(())
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0[0], self.0[1])
    }
}

impl Pair {
    /// OpenVPN at both ends: what shows that a case is right.
    pub const REFERENCE: Pair = Pair([Kind::OpenVpn; 2]);

    /// After the reference OpenVPN at one end and meshtun at the other, both ways round, and meshtun at both.
    pub const ALL: [Pair; 4] = [
        Pair::REFERENCE,
        Pair([Kind::OpenVpn, Kind::Meshtun]),
        Pair([Kind::Meshtun, Kind::OpenVpn]),
        Pair([Kind::Meshtun; 2]),
    ];

    /// Whether either end runs it.
    pub fn has(self, kind: Kind) -> bool {
        self.0.contains(&kind)
    }
}

impl Programs {
    /// `openvpn` as the path has it, and this meshtun.
    pub fn new(meshtun: &Program) -> Programs {
        Programs { openvpn: "openvpn".into(), meshtun: meshtun.path().to_owned() }
    }

    /// Whether a process whose program lies at this path runs it.
    pub fn is(&self, kind: Kind, path: &Path) -> bool {
        match kind {
            // Wherever on the path it was found.
            Kind::OpenVpn => path.file_name() == self.openvpn.file_name(),
            Kind::Meshtun => fs::canonicalize(&self.meshtun).is_ok_and(|meshtun| meshtun == path),
        }
    }

    /// A command that begins an end's process.
    pub fn command(&self, kind: Kind) -> Command {
        match kind {
            Kind::OpenVpn => Command::new(&self.openvpn),
            Kind::Meshtun => {
                let mut command = Command::new(&self.meshtun);
                command.arg("openvpn");
                command
            }
        }
    }

    /// What is missing, in words, if a program cannot be used.
    pub fn missing(&self, kind: Kind) -> Option<String> {
        let (argument, program): (_, &Path) = match kind {
            Kind::OpenVpn => ("--version", &self.openvpn),
            Kind::Meshtun => ("--help", &self.meshtun),
        };
        let mut command = self.command(kind);
        command.arg(argument).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        match command.status() {
            // OpenVPN's exit code of --version is 1 before 2.7 (options.c, usage_version).
            Ok(status) if status.success() || (kind == Kind::OpenVpn && status.code() == Some(1)) => None,
            Ok(status) => Some(format!("`{} {argument}` ended with {status}", words(&command))),
            Err(error) => Some(format!("{}: {error}; tests/prepare tells what to install", program.display())),
        }
    }

    /// Whether OpenVPN's library knows a cipher, the legacy ones among them.
    pub fn knows_cipher(&self, cipher: &str) -> bool {
        let mut command = Command::new(&self.openvpn);
        command.args(["--providers", "legacy", "default", "--show-ciphers"]);
        let output = command.stdin(Stdio::null()).output();
        output.is_ok_and(|output| {
            String::from_utf8_lossy(&output.stdout).lines().any(|line| line.split(' ').next() == Some(cipher))
        })
    }
}

fn words(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args().take(1));
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

//! `meshtun man`

use clap::{Command, CommandFactory, builder::Resettable};
use clap_mangen::Man;

use crate::{
    Cli,
    exit::{Failure, Outcome},
    output,
};

/// Print the manual page of meshtun, or of one command, as roff
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The command
    command: Option<String>,
}

pub(crate) fn run(args: Args) -> Outcome {
    Ok(output::print(&page(args.command.as_deref())?)?)
}

fn page(name: Option<&str>) -> Result<String, Failure> {
    // The exit codes have a section of their own.
    let mut meshtun = Cli::command().after_help(Resettable::Reset);
    meshtun.build();
    let command = match name {
        None => meshtun,
        Some(name) => subcommand(&meshtun, name)?,
    };
    let mut page = Vec::new();
    Man::new(command).source(concat!("meshtun ", env!("CARGO_PKG_VERSION"))).manual("meshtun").render(&mut page)?;
    page.extend_from_slice(EXIT_STATUS.as_bytes());
    if name.is_none() {
        page.extend_from_slice(FILES.as_bytes());
    }
    Ok(String::from_utf8_lossy(&page).into_owned())
}

fn subcommand(meshtun: &Command, name: &str) -> Result<Command, Failure> {
    let found =
        meshtun.find_subcommand(name).ok_or_else(|| Failure::new(format_args!("there is no command {name}")))?;
    Ok(found.clone().display_name(format!("meshtun-{name}")).bin_name(format!("meshtun {name}")))
}

const EXIT_STATUS: &str = r#".SH "EXIT STATUS"
.TP
0
Done.
.TP
1
Failed; one line on standard error says why.
.TP
2
Wrong usage of the command line.
.TP
69
No daemon runs in this network namespace.
.TP
78
The mesh file or a key file is wrong.
"#;

const FILES: &str = r#".SH FILES
.TP
.I /run/meshtun/net-INODE
Control socket, lock, and record of changed settings of the daemon in the network namespace with this inode.
.TP
.I /var/lib/meshtun
The last handshake stamp of each key. Must survive a reboot: peers refuse stamps that go back.
.SH ENVIRONMENT
.TP
.BR MESHTUN_RUNTIME_DIR ", " MESHTUN_STATE_DIR
Other directories in place of these.
.TP
.B MESHTUN_LOG
What
.B meshtun up
logs, in place of
.BR \-\-verbose :
.BR error ", " warn ", " info " or " debug .
.TP
.B NOTIFY_SOCKET
Where
.B meshtun up
tells that it is ready; see
.BR sd_notify (3).
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_the_exit_codes() {
        let cli = Cli::command();
        let names = cli.get_subcommands().map(|command| Some(command.get_name().to_owned()));
        for name in names.chain([None]) {
            let page = page(name.as_deref()).unwrap();
            assert!(page.contains(".TH ") && page.contains("EXIT STATUS") && page.contains("\n78\n"), "{name:?}");
            assert!(!page.contains("EXTRA"), "{name:?}");
        }
    }
}

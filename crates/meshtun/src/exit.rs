//! How the program ends: one line to standard error, and an exit code.

use std::{fmt, io::IsTerminal, process::ExitCode};

use clap::{CommandFactory, error::ErrorKind};
use meshtun_daemon::{Error, Fault};

use crate::{Cli, output};

/// The exit codes, as `--help` and the man page tell them.
pub(crate) const HELP: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong usage, 69 no daemon runs here, 78 the configuration or a key file is wrong.";

/// The exit codes of sysexits.h that programs may rely on.
const NO_DAEMON: u8 = 69;
const BAD_CONFIGURATION: u8 = 78;

/// Why a command did not succeed.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

/// What every command ends with.
pub(crate) type Outcome = Result<(), Failure>;

impl Failure {
    /// Something that did not work out: exit code 1.
    pub(crate) fn new(message: impl fmt::Display) -> Failure {
        Failure { code: 1, message: format!("meshtun: {message}") }
    }

    /// Something wrong with a file that the user wrote: exit code 78.
    pub(crate) fn configuration(message: impl fmt::Display) -> Failure {
        Failure { code: BAD_CONFIGURATION, ..Failure::new(message) }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let code = match error.fault() {
            Fault::Configuration => BAD_CONFIGURATION,
            Fault::NoDaemon => NO_DAEMON,
            Fault::System => 1,
        };
        match error {
            // Several lines with places and markers of their own.
            Error::Mesh(diagnostics) => {
                Failure { code, message: diagnostics.render(std::io::stderr().is_terminal()).trim_end().to_owned() }
            }
            error => Failure { code, ..Failure::new(error) },
        }
    }
}

/// Standard output could not be written.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure::new(format_args!("cannot write the output: {error}"))
    }
}

/// Ends the program as clap does when the command line is wrong.
pub(crate) fn wrong_usage(command: &str, message: &str) -> ! {
    let mut meshtun = Cli::command();
    meshtun.build();
    let error = match meshtun.find_subcommand_mut(command) {
        Some(command) => command.error(ErrorKind::MissingRequiredArgument, message),
        None => meshtun.error(ErrorKind::MissingRequiredArgument, message),
    };
    error.exit()
}

/// Says what went wrong, if anything did.
pub(crate) fn report(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, message }) => {
            output::complain(&message);
            ExitCode::from(code)
        }
    }
}

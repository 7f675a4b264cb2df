//! `meshtun openvpn`, and this program under the name `openvpn`

use std::{ffi::OsString, path::Path, process::ExitCode};

use crate::output;

/// Run in OpenVPN's place: one point-to-point process with a static key
///
/// Takes the options and configuration files of OpenVPN 2.x (`--config nq1.conf`, or just `nq1.conf`), speaks its wire
/// format, runs the same scripts with the same arguments and environment, obeys the same signals. Not for new set-ups:
/// a static key is never renewed. `meshtun import` leads out of it.
///
/// Called under the name `openvpn` (a symbolic link will do) the program does the same with all its arguments.
#[derive(clap::Args, Debug)]
#[command(disable_help_flag = false)]
pub(crate) struct Args {
    /// OpenVPN's options, as its manual page has them
    #[arg(value_name = "OPTION", trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    options: Vec<OsString>,
}

pub(crate) fn run(args: Args) -> ExitCode {
    start(args.options)
}

/// The arguments of a call under OpenVPN's name; none if it is another.
pub(crate) fn called_so() -> Option<Vec<OsString>> {
    let mut arguments = std::env::args_os();
    let name = arguments.next()?;
    (Path::new(&name).file_name()? == "openvpn").then(|| arguments.collect())
}

/// Runs with these options, which must be text.
pub(crate) fn start(options: Vec<OsString>) -> ExitCode {
    let text: Result<Vec<String>, OsString> = options.into_iter().map(OsString::into_string).collect();
    match text {
        Ok(text) => ExitCode::from(meshtun_stand_in::run(&text)),
        Err(word) => {
            output::complain(&format!("Options error: {} is not UTF-8 text", word.display()));
            ExitCode::FAILURE
        }
    }
}

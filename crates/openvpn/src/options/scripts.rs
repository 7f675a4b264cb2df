//! `up`, `down` and the others, and `script-security`.

use crate::directive::Place;

/// A program that a directive names, with arguments of its own before those that are added for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Program and arguments, split as OpenVPN splits a command (argv.c, `argv_parse_cmd`); never empty. No shell.
    pub argv: Vec<String>,
    /// As it was written, for log lines.
    pub text: String,
    /// The directive's place.
    pub place: Place,
}

/// `script-security` (run_command.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ScriptSecurity {
    /// 0: nothing is run.
    None,
    /// 1, the default: only `ip`, `ifconfig` and the like.
    BuiltIn,
    /// 2: scripts, too.
    Scripts,
    /// 3: and they may get passwords in their environment.
    Passwords,
}

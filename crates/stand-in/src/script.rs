//! Programs that the configuration names: run without a shell, waited for (run_command.c).

use std::{
    io,
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    time::{Duration, Instant},
};

use meshtun_openvpn::options::{Script, ScriptSecurity};
use meshtun_sys::process;
use tokio::time::sleep;

use crate::{
    environment::Environment,
    fatal::Fatal,
    log::{Log, told},
};

/// Runs scripts, if it may.
#[derive(Debug)]
pub(crate) struct Scripts {
    security: ScriptSecurity,
    log: Log,
    warned: bool,
}

/// What a failing script means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnFailure {
    /// The process ends.
    End,
    /// It is logged.
    GoOn,
}

impl Scripts {
    pub(crate) fn new(security: ScriptSecurity, log: Log) -> Scripts {
        Scripts { security, log, warned: false }
    }

    /// What is said at the start of each session (init.c, `do_option_warnings`).
    pub(crate) fn note_security(&self, any: bool) {
        if self.security >= ScriptSecurity::Scripts {
            self.log.warning(
                "NOTE: the current --script-security setting may allow this configuration to call user-defined scripts",
            );
        } else if any {
            self.log.warning(
                "NOTE: starting with OpenVPN 2.1, '--script-security 2' or higher is required to call user-defined \
                 scripts or executables",
            );
        }
    }

    /// Runs `script` with these arguments behind its own and waits for it. `title` is the option's name, as it is logged.
    pub(crate) async fn run(
        &mut self,
        script: &Script,
        arguments: &[String],
        environment: &Environment,
        title: &str,
        on_failure: OnFailure,
    ) -> Result<(), Fatal> {
        let Some(failure) = self.failure(script, arguments, environment).await else { return Ok(()) };
        let told = format!("WARNING: Failed running command ({title}): {failure}");
        match on_failure {
            OnFailure::End => Err(Fatal::new(told)),
            OnFailure::GoOn => {
                self.log.warning(told);
                Ok(())
            }
        }
    }

    async fn failure(&mut self, script: &Script, arguments: &[String], environment: &Environment) -> Option<String> {
        if self.security < ScriptSecurity::Scripts {
            if !std::mem::replace(&mut self.warned, true) {
                self.log.warning(
                    "WARNING: External program may not be called unless '--script-security 2' or higher is enabled. See \
                     --help text or man page for detailed info.",
                );
            }
            return Some("disallowed by script-security setting".to_owned());
        }
        let argv: Vec<String> = script.argv.iter().chain(arguments).cloned().collect();
        match execute(&argv, environment).await {
            Ok(status) => judged(status),
            Err(error) => {
                self.log.warning(why_not(&script.argv[0], &error));
                Some("could not execute external program".to_owned())
            }
        }
    }
}

async fn execute(argv: &[String], environment: &Environment) -> io::Result<ExitStatus> {
    patiently(async || tokio::process::Command::from(process::exactly(argv, environment.iter())?).status().await).await
}

/// Tries again for a while where there are too many processes (`EAGAIN`): channels that lose their peer run their scripts at
/// once, and these end soon.
async fn patiently<T>(mut attempt: impl AsyncFnMut() -> io::Result<T>) -> io::Result<T> {
    const AT_MOST: Duration = Duration::from_secs(5);
    const BETWEEN: Duration = Duration::from_millis(50);
    let until = Instant::now() + AT_MOST;
    loop {
        match attempt().await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < until => sleep(BETWEEN).await,
            result => return result,
        }
    }
}

/// Why a program could not be started, and what to do.
fn why_not(program: &str, error: &io::Error) -> String {
    let way_on = match error.kind() {
        io::ErrorKind::NotFound => ": is it there, and the program that its first line names?",
        io::ErrorKind::PermissionDenied => ": may it be run by this user?",
        // fork(2) and execve(2), EAGAIN: RLIMIT_NPROC, or as many tasks as the control group may have.
        io::ErrorKind::WouldBlock => ": this user has too many processes: raise LimitNPROC= and TasksMax= in the unit",
        _ => "",
    };
    format!("WARNING: '{program}' cannot be run: {}{way_on}", told(error))
}

/// What is wrong with how a program ended; nothing if it ended well (run_command.c, `system_error_message`).
fn judged(status: ExitStatus) -> Option<String> {
    /// What OpenVPN's child ends with where there is nothing to run.
    const NOT_EXECUTED: i32 = 127;
    match (status.code(), status.signal()) {
        (Some(0), _) => None,
        (Some(NOT_EXECUTED), _) => Some("could not execute external program".to_owned()),
        (Some(code), _) => Some(format!("external program exited with error status: {code}")),
        (None, _) => Some("external program did not exit normally".to_owned()),
    }
}

/// The line that is logged before `up`, `down` and their like run (argv.c, `argv_msg`).
pub(crate) fn command_line(script: &Script, arguments: &[String]) -> String {
    let words: Vec<&str> = script.argv.iter().chain(arguments).map(String::as_str).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_cannot_be_started_is_told_with_the_reason() {
        let too_many = why_not("/etc/openvpn/up.pl", &io::Error::from_raw_os_error(11));
        assert!(too_many.starts_with("WARNING: '/etc/openvpn/up.pl' cannot be run: Resource temporarily unavailable"));
        assert!(too_many.contains("(errno=11)") && too_many.contains("LimitNPROC="), "{too_many}");
        assert!(why_not("up", &io::Error::from_raw_os_error(2)).contains("is it there"));
    }

    #[tokio::test]
    async fn a_script_waits_for_room_among_the_users_processes_and_for_nothing_else() {
        let mut left = 3;
        let started = patiently(async || {
            left -= 1;
            if left > 0 { Err(io::Error::from_raw_os_error(11)) } else { Ok(left) }
        });
        assert_eq!(started.await.unwrap(), 0);
        let mut tried = 0;
        let missing: io::Result<()> = patiently(async || {
            tried += 1;
            Err(io::Error::from_raw_os_error(2))
        })
        .await;
        assert!(missing.is_err() && tried == 1);
    }

    #[test]
    fn endings_are_told_as_openvpn_tells_them() {
        assert_eq!(judged(ExitStatus::from_raw(0)), None);
        assert_eq!(judged(ExitStatus::from_raw(3 << 8)).unwrap(), "external program exited with error status: 3");
        assert_eq!(judged(ExitStatus::from_raw(127 << 8)).unwrap(), "could not execute external program");
        assert_eq!(judged(ExitStatus::from_raw(9)).unwrap(), "external program did not exit normally");
    }
}

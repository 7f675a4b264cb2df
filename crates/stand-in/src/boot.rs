//! From the command line to a running process: everything that must come before there are threads.

use std::{path::PathBuf, process::exit};

use meshtun_openvpn::{
    finding::{Finding, Severity},
    options::{KeyDirection, Options},
    text::Level,
};
use meshtun_sys::background::{self, Forked};

use crate::{
    TITLE,
    configuration::{Configuration, Refused, Source},
    fatal::Fatal,
    log::{Log, told},
    notify::Notifier,
    privileges,
    process::Process,
    question,
};

/// Exit codes (error.h).
pub(crate) const GOOD: u8 = 0;
pub(crate) const ERROR: u8 = 1;

/// Runs a process with these arguments, the program's name not among them, until it ends; the exit code.
///
/// To be called while there is one thread: with `daemon` the process forks.
pub fn run(arguments: &[String]) -> u8 {
    let log = Log::new();
    if let Some(code) = question::answer(arguments, &log) {
        return code;
    }
    let source = Source::new(arguments);
    let configuration = match source.read() {
        Ok(configuration) => configuration,
        Err(refused) => return refuse(&refused, &log),
    };
    match start(configuration, source, &log) {
        Ok(()) => GOOD,
        Err(fatal) => {
            if !fatal.is_told() {
                end(&fatal, &log);
            }
            ERROR
        }
    }
}

/// Tells a fatal error.
pub(crate) fn end(fatal: &Fatal, log: &Log) {
    log.say(Level::FATAL, fatal);
    log.info("Exiting due to fatal error");
}

/// Tells what is wrong to whoever started us, and to the log file if there is one.
fn refuse(refused: &Refused, log: &Log) -> u8 {
    let Refused { options, findings } = refused;
    let mut errors: Vec<String> = told_errors(findings);
    errors.push("Use --help for more information.".to_owned());
    errors.iter().for_each(|line| log.say(Level::ERROR, line));
    if let Some(file) = options.log.as_ref().filter(|_| enter(options).is_ok()) {
        log.redirect(file);
        errors.iter().for_each(|line| log.say(Level::ERROR, line));
    }
    ERROR
}

/// The lines for what is wrong with a configuration, of which there are a few.
pub(crate) fn told_errors(findings: &[Finding]) -> Vec<String> {
    /// A file that is none has an error on each line.
    const MOST: usize = 10;
    let errors: Vec<&Finding> = findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
    let mut lines: Vec<String> = errors.iter().take(MOST).map(|finding| format!("Options error: {finding}")).collect();
    if errors.len() > MOST {
        lines.push(format!("Options error: and {} more", errors.len() - MOST));
    }
    lines
}

/// `cd`. Names would lead elsewhere without it.
fn enter(options: &Options) -> Result<(), Fatal> {
    let Some(directory) = &options.cd else { return Ok(()) };
    let failed = |error| Fatal::new(format_args!("cd to '{directory}' failed: {}", told(&error)));
    std::env::set_current_dir(directory).map_err(failed)
}

fn start(configuration: Configuration, source: Source, log: &Log) -> Result<(), Fatal> {
    let options = &configuration.options;
    log.configure(options);
    enter(options)?;
    if let Some(file) = &options.log {
        log.redirect(file);
    }
    let notifier = Notifier::new();
    tell_findings(&configuration.findings, log);
    log.info(TITLE);
    warn_of_static_keys(options, log);
    if let Some(ident) = &options.syslog {
        log.to_syslog(ident);
    }
    privileges::settle(options, log);
    let is_daemon = become_daemon(options, &notifier, log)?;
    let pid_file = options.writepid.as_deref().map(|path| PidFile::write(path, options.chroot.is_some()));
    let _removed_at_the_end = pid_file.transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Fatal::new(format_args!("cannot start: {error}")))?;
    let result = runtime.block_on(async { Process::new(configuration, source, log, notifier, is_daemon)?.run().await });
    // A name that is still being resolved must not hold the process.
    runtime.shutdown_background();
    result
}

/// What was found in the files; errors end the process before.
pub(crate) fn tell_findings(findings: &[Finding], log: &Log) {
    for finding in findings {
        match finding.severity {
            Severity::Note => log.info(format_args!("Note: {finding}")),
            Severity::Warning | Severity::Error => log.warning(format_args!("WARNING: {finding}")),
        }
    }
}

/// What this mode lacks, and how to leave it.
pub(crate) fn warn_of_static_keys(options: &Options, log: &Log) {
    log.warning(
        "WARNING: this is OpenVPN's static-key mode. Its key is never renewed and there is no forward secrecy: whoever gets the \
         key file, at any time, reads all that was ever recorded, and OpenVPN itself drops this mode.",
    );
    let file = options.config.as_deref().unwrap_or("FILE.conf …");
    log.warning(format_args!(
        "WARNING: the way out, channel by channel and without an outage: `meshtun import {file}` writes a mesh.toml for links \
         with keys that are renewed every two minutes (docs/migrating-from-openvpn.md)."
    ));
    if options.key_direction == KeyDirection::Both {
        log.warning(
            "WARNING: without a key direction both ends use the same keys, and what one sends can be played back to it: write \
             `secret FILE 0` at one end and `secret FILE 1` at the other.",
        );
    }
}

/// `daemon`: not where a service runner watches this process (init.c, `possibly_become_daemon`). Whether it went into the
/// background.
fn become_daemon(options: &Options, notifier: &Notifier, log: &Log) -> Result<bool, Fatal> {
    let watched = notifier.tell("READY=0");
    let Some(daemon) = &options.daemon else { return Ok(false) };
    let failed = |error: std::io::Error| Fatal::new(format_args!("daemon() failed or unsupported: {}", told(&error)));
    if options.log.is_none() {
        log.to_syslog(daemon.name.as_deref().unwrap_or("openvpn"));
    }
    if watched {
        return Ok(false);
    }
    if background::fork().map_err(failed)? == Forked::Parent {
        exit(GOOD.into());
    }
    background::silence(options.log.is_none()).map_err(failed)?;
    Ok(true)
}

/// `writepid`: a file with our number, for as long as we live.
#[derive(Debug)]
struct PidFile {
    path: PathBuf,
    /// It is out of reach at the end.
    stays: bool,
}

impl PidFile {
    fn write(path: &str, stays: bool) -> Result<PidFile, Fatal> {
        std::fs::write(path, format!("{}\n", std::process::id()))
            .map_err(|error| Fatal::new(format_args!("Open error on pid file {path}: {}", told(&error))))?;
        Ok(PidFile { path: std::path::absolute(path).unwrap_or_else(|_| path.into()), stays })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if !self.stays {
            // Without the rights it had, the process may be unable to.
            let _left_behind = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_errors_the_first_are_told() {
        let error = Finding { severity: Severity::Error, place: None, text: "wrong".to_owned() };
        let warning = Finding { severity: Severity::Warning, ..error.clone() };
        let told = |count| told_errors(&[vec![warning.clone(); 3], vec![error.clone(); count]].concat());
        assert_eq!(told(2), ["Options error: wrong", "Options error: wrong"]);
        assert_eq!(told(10).len(), 10);
        assert_eq!(told(500).len(), 11);
        assert_eq!(told(500)[10], "Options error: and 490 more");
    }
}

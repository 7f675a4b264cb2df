//! Reading what the process is told: the command line, the files that it names, the key.

mod files;
#[cfg(test)]
mod known;
mod services;
mod unserved;

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use meshtun_openvpn::{
    directive::read_arguments,
    finding::{Finding, Severity},
    key::StaticKey,
    options::{Options, SecretSource},
};
use zeroize::Zeroizing;

use crate::log::told;

/// A configuration that can be run.
#[derive(Debug)]
pub(crate) struct Configuration {
    pub(crate) options: Options,
    pub(crate) key: StaticKey,
    /// Notes and warnings.
    pub(crate) findings: Vec<Finding>,
}

/// A configuration that cannot.
#[derive(Debug)]
pub(crate) struct Refused {
    /// Where errors should be told, too, as far as it could be made out.
    pub(crate) options: Options,
    pub(crate) findings: Vec<Finding>,
}

/// The command line, and the directory from which the process was started: names of configuration files count from there
/// whenever they are read.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    arguments: Vec<String>,
    start: PathBuf,
}

impl Source {
    pub(crate) fn new(arguments: &[String]) -> Source {
        Source { arguments: arguments.to_vec(), start: std::env::current_dir().unwrap_or_default() }
    }

    /// What is wrong with the directory of `cd`, if anything is.
    fn cannot_enter(&self, options: &Options) -> Option<Finding> {
        let directory = options.cd.as_deref()?;
        // The dot asks for the right to enter.
        let error = std::fs::metadata(self.start.join(directory).join(".")).err()?;
        let text = format!("`cd`: cd to '{directory}' failed: {}", told(&error));
        Some(Finding { severity: Severity::Error, place: options.places.get("cd").cloned(), text })
    }

    /// Reads everything.
    pub(crate) fn read(&self) -> Result<Configuration, Box<Refused>> {
        let reading = read_arguments(&self.arguments, &mut |name| open(&self.start.join(name), name));
        let parsed = Options::read_with(&reading, services::port);
        let refused = parsed.is_refused();
        let (options, mut findings) = (parsed.options, parsed.findings);
        if let Some(finding) = self.cannot_enter(&options) {
            // What lies there cannot be found either.
            return Err(Box::new(Refused { options, findings: vec![finding] }));
        }
        if refused {
            return Err(Box::new(Refused { options, findings }));
        }
        let directory = self.start.join(options.cd.as_deref().unwrap_or_default());
        findings.extend(unserved::check(&options));
        findings.extend(files::check(&options, &directory));
        match key(&options, &directory) {
            Ok(key) if findings.iter().all(|finding| finding.severity != Severity::Error) => {
                Ok(Configuration { options, key, findings })
            }
            Ok(_) => Err(Box::new(Refused { options, findings })),
            Err(finding) => {
                findings.push(finding);
                Err(Box::new(Refused { options, findings }))
            }
        }
    }
}

fn open(path: &Path, name: &str) -> io::Result<Vec<u8>> {
    if name != "stdin" {
        return std::fs::read(path);
    }
    let mut text = Vec::new();
    io::stdin().read_to_end(&mut text)?;
    Ok(text)
}

fn key(options: &Options, directory: &Path) -> Result<StaticKey, Finding> {
    let place = &options.secret.place;
    let (text, name, first_line) = match &options.secret.source {
        SecretSource::File(name) => {
            let text = std::fs::read(directory.join(name)).map(Zeroizing::new);
            let failed = |error| Finding::error(place, format!("the key file '{name}' cannot be read: {error}"));
            (text.map_err(failed)?, format!("the key file '{name}'"), 0)
        }
        SecretSource::Inline(text) => (Zeroizing::new(text.as_bytes().to_vec()), "the key".to_owned(), place.line),
    };
    let parsed = StaticKey::parse(&text).and_then(|key| {
        key.pair(options.key_direction, options.cipher, options.digest)?;
        Ok(key)
    });
    parsed.map_err(|error| match (&options.secret.source, error.line()) {
        (SecretSource::Inline(_), Some(_)) => {
            Finding::error(place, format!("{name} that begins behind line {first_line}: {error}"))
        }
        _ => Finding::error(place, format!("{name}: {error}")),
    })
}

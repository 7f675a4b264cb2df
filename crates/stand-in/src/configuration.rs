//! Reading what the process is told: the command line, the files that it names, the key.

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
        let parsed = Options::read(&reading);
        let refused = parsed.is_refused();
        let (options, mut findings) = (parsed.options, parsed.findings);
        if let Some(finding) = self.cannot_enter(&options) {
            // What lies there cannot be found either.
            return Err(Box::new(Refused { options, findings: vec![finding] }));
        }
        if refused {
            return Err(Box::new(Refused { options, findings }));
        }
        findings.extend(unserved(&options));
        let directory = self.start.join(options.cd.as_deref().unwrap_or_default());
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

/// What the options can say and this process does not do. Better not to start than to leave it out unsaid.
fn unserved(options: &Options) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut refuse = |is_there: bool, directive: &str, text: &str| {
        if !is_there {
            return;
        }
        let text = format!("`{directive}`: {text}");
        findings.push(match options.places.get(directive) {
            Some(place) => Finding::error(place, text),
            None => Finding { severity: Severity::Error, place: None, text },
        });
    };
    let redirect =
        if options.places.contains_key("redirect-private") { "redirect-private" } else { "redirect-gateway" };
    refuse(
        options.redirect_gateway.is_some(),
        redirect,
        "default routes are not changed: write `route` lines, or an up script",
    );
    refuse(options.multihome, "multihome", "give the address with `local`");
    refuse(options.passtos, "passtos", "the type of service is not copied");
    refuse(
        options.shaper.is_some(),
        "shaper",
        "use a queueing discipline on the device: `tc qdisc replace dev DEVICE root tbf …`",
    );
    refuse(options.bind_ipv6_only, "bind", "`ipv6only` is not served: give an IPv6 address with `local`");
    let management = options.management.as_ref();
    refuse(
        management.is_some_and(|m| m.client),
        "management-client",
        "the interface listens: leave it out, and connect to it",
    );
    refuse(management.is_some_and(|m| m.up_down), "management-up-down", "use `up` and `down` scripts");
    refuse(
        management.is_some_and(|m| m.password_file.as_deref() == Some("stdin")),
        "management",
        "write the password to a file that only root can read, and name that",
    );
    findings
}

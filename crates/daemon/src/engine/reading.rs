//! The files of a reload, read beside the engine: they may lie where nobody answers.

use std::{path::PathBuf, time::Duration};

use tokio::{sync::mpsc, time::timeout};

use crate::{Error, Gateway, beside, control::Refusal, gateway::read_mesh, hooks};

/// Where the gateway reads what it is.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    /// The mesh file.
    pub(crate) mesh: PathBuf,
    /// The file of the private key.
    pub(crate) key: PathBuf,
}

/// What was in the files.
#[derive(Debug)]
pub(crate) struct Read {
    pub(super) gateway: Gateway,
    /// What is likely not meant.
    pub(super) warnings: Vec<String>,
}

/// What was read, or why it cannot be used.
pub(crate) type ReadOrNot = Result<Box<Read>, Refusal>;

/// Reads the files when told to.
#[derive(Debug)]
pub(crate) struct Reader {
    files: Files,
    results: mpsc::UnboundedSender<ReadOrNot>,
}

impl Reader {
    /// A reader, and where its results come out.
    pub(crate) fn new(files: Files) -> (Reader, mpsc::UnboundedReceiver<ReadOrNot>) {
        let (results, read) = mpsc::unbounded_channel();
        (Reader { files, results }, read)
    }

    /// Begins to read. A result comes in any case.
    pub(super) fn read(&self) {
        let (files, results) = (self.files.clone(), self.results.clone());
        let reading = beside::call("reader", move || read(&files));
        let mesh = self.files.mesh.clone();
        tokio::spawn(async move {
            let result = match timeout(PATIENCE, reading).await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(Refusal::Failed("no thread could be had to read the file".into())),
                Err(_) => {
                    let (mesh, seconds) = (mesh.display(), PATIENCE.as_secs());
                    let hint = "is the file system that it lies on there?";
                    Err(Refusal::Failed(format!(
                        "{mesh}, or a file that it names, took over {seconds} s to read; {hint}"
                    )))
                }
            };
            // The engine has ended.
            let _nobody_listens = results.send(result);
        });
    }
}

fn read(files: &Files) -> ReadOrNot {
    let loaded = || -> Result<Read, Error> {
        let (mesh, warnings) = read_mesh(&files.mesh)?;
        let mut warnings = if warnings.is_empty() { Vec::new() } else { vec![warnings.to_string()] };
        let gateway = Gateway::load(&mesh, &files.key)?;
        warnings.extend(hooks::problems(&gateway.view));
        Ok(Read { gateway, warnings })
    };
    Ok(Box::new(loaded().map_err(Refusal::from)?))
}

/// A person who waits for `reload` gets an answer after this.
const PATIENCE: Duration = Duration::from_secs(20);

//! Running gateways: `meshtun up` in a node, with folders and a log of its own.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use meshtun_sys::process::Signal;
use serde_json::Value;
use thiserror::Error;

use crate::{
    Lab, LabError, Node,
    child::{Child, last_lines},
    mesh::MeshFile,
    program::{Keys, Program},
    topology::Topology,
};

/// The variable that says where a gateway keeps its control socket and its lock.
pub const RUNTIME_DIR: &str = "MESHTUN_RUNTIME_DIR";

/// The variable that says where a gateway keeps what outlives a restart.
pub const STATE_DIR: &str = "MESHTUN_STATE_DIR";

/// How many of a log's last lines an error carries.
const LOG_LINES: usize = 20;

/// What a gateway is started with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The program.
    pub program: Program,
    /// The text of its `mesh.toml`.
    pub mesh: String,
    /// Its keys.
    pub keys: Keys,
    /// The tun devices that it shall bring up.
    pub devices: Vec<String>,
    /// Further arguments of `meshtun up`.
    pub arguments: Vec<String>,
    /// Further environment variables.
    pub environment: Vec<(String, String)>,
}

/// A gateway. Dropping it ends the program by SIGKILL.
#[derive(Debug)]
pub struct Gateway {
    node: Node,
    setup: Setup,
    folder: PathBuf,
    child: Child,
}

/// Why a gateway does not do what it should.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GatewayError {
    /// Something in the lab.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// A file of the gateway.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It could not be signalled or waited for.
    #[error("{gateway}: {source}")]
    Wait {
        /// Its name.
        gateway: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// It ended by itself.
    #[error("{gateway} ended with {status}; the end of its log:\n{log}")]
    Ended {
        /// Its name.
        gateway: String,
        /// How it ended.
        status: ExitStatus,
        /// The last lines of its log.
        log: String,
    },
    /// Not all devices have carrier.
    #[error("{gateway}: after {waited:.1?} without carrier: {}; the end of its log:\n{log}", missing.join(", "))]
    NotUp {
        /// Its name.
        gateway: String,
        /// How long it was waited for.
        waited: Duration,
        /// The devices that have none.
        missing: Vec<String>,
        /// The last lines of its log.
        log: String,
    },
    /// It runs on after it was asked to end.
    #[error("{gateway} runs on {waited:.1?} after SIGTERM; the end of its log:\n{log}")]
    RunsOn {
        /// Its name.
        gateway: String,
        /// How long it was waited for.
        waited: Duration,
        /// The last lines of its log.
        log: String,
    },
    /// A subcommand failed or wrote what cannot be understood.
    #[error("{gateway}: `meshtun {command}`: {said}")]
    Command {
        /// Its name.
        gateway: String,
        /// The subcommand.
        command: String,
        /// What it wrote, or what is wrong with that.
        said: String,
    },
}

/// Starts a gateway at each site of a topology.
///
/// # Errors
/// [`GatewayError`]; those that were started end again.
///
/// # Panics
/// If there are fewer keys than sites.
pub fn start_all(
    topology: &Topology,
    program: &Program,
    mesh: &MeshFile,
    keys: &[Keys],
) -> Result<Vec<Gateway>, GatewayError> {
    let start = |site: &crate::topology::Site| {
        let setup = Setup::new(program, mesh, site.name(), &keys[usize::from(site.number) - 1]);
        Gateway::start(&topology.lab, &site.gateway, setup)
    };
    topology.sites.iter().map(start).collect()
}

impl Setup {
    /// What the gateway of that name in the file is started with.
    pub fn new(program: &Program, mesh: &MeshFile, gateway: &str, keys: &Keys) -> Setup {
        Setup {
            program: program.clone(),
            mesh: mesh.to_string(),
            keys: keys.clone(),
            devices: mesh.devices(gateway),
            arguments: Vec::new(),
            environment: Vec::new(),
        }
    }
}

impl Gateway {
    /// Writes its files into the lab's folder and starts `meshtun up` in the node.
    ///
    /// # Errors
    /// [`GatewayError::File`], [`LabError::Start`]. What the program thinks of its files shows in
    /// [`Self::wait_until_up`].
    pub fn start(lab: &Lab, node: &Node, setup: Setup) -> Result<Gateway, GatewayError> {
        let folder = lab.folder().join(node.name());
        write_files(&folder, &setup)?;
        let child = launch(node, &setup, &folder)?;
        Ok(Gateway { node: node.clone(), setup, folder, child })
    }

    /// Waits until each of its devices has carrier: then every channel may carry traffic. Gives how long that took.
    ///
    /// # Errors
    /// [`GatewayError::Ended`], [`GatewayError::NotUp`], each with the end of the log.
    pub fn wait_until_up(&mut self, limit: Duration) -> Result<Duration, GatewayError> {
        let start = Instant::now();
        loop {
            let missing = self.devices_without_carrier()?;
            if missing.is_empty() {
                return Ok(start.elapsed());
            }
            self.must_run()?;
            if start.elapsed() >= limit {
                let (gateway, waited, log) = (self.name(), start.elapsed(), self.end_of_log());
                return Err(GatewayError::NotUp { gateway, waited, missing, log });
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Its devices that have no carrier, or are not there.
    ///
    /// # Errors
    /// [`LabError::Enter`].
    pub fn devices_without_carrier(&self) -> Result<Vec<String>, LabError> {
        let devices = &self.setup.devices;
        let running = self.node.run(|| -> Vec<bool> {
            devices.iter().map(|device| meshtun_sys::device::is_running(device).unwrap_or(false)).collect()
        })?;
        let down = devices.iter().zip(running).filter(|(_, running)| !running);
        Ok(down.map(|(device, _)| device.clone()).collect())
    }

    /// What `meshtun status --json` prints.
    ///
    /// # Errors
    /// [`GatewayError::Command`].
    pub fn status(&self) -> Result<Value, GatewayError> {
        let text = self.ask(&["status", "--json"])?;
        let not_json = |error: serde_json::Error| self.command_failed("status --json", format!("{error}: {text}"));
        serde_json::from_str(&text).map_err(not_json)
    }

    /// Runs another `meshtun` command beside the running gateway, with its environment, and gives its standard output.
    ///
    /// # Errors
    /// [`GatewayError::Command`] with its standard error if it fails.
    pub fn ask(&self, arguments: &[&str]) -> Result<String, GatewayError> {
        let output = self.node.output(self.command(arguments))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            return Ok(text(&output.stdout));
        }
        let said = format!("{}: {}", output.status, text(&output.stderr).trim());
        Err(self.command_failed(&arguments.join(" "), said))
    }

    /// A `meshtun` command with this gateway's environment, to be run in its node.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bare(&self.setup, &self.folder);
        command.args(arguments);
        command
    }

    /// Asks it to end (SIGTERM) and waits.
    ///
    /// # Errors
    /// [`GatewayError::RunsOn`] with the end of the log.
    pub fn stop(&mut self, limit: Duration) -> Result<ExitStatus, GatewayError> {
        self.signal(Signal::Terminate)?;
        let ended = self.child.wait_for(limit).map_err(|source| self.wait_failed(source))?;
        let runs_on = || GatewayError::RunsOn { gateway: self.name(), waited: limit, log: self.end_of_log() };
        ended.ok_or_else(runs_on)
    }

    /// Ends it by SIGKILL, as a crash does.
    ///
    /// # Errors
    /// [`GatewayError::Wait`].
    pub fn kill(&mut self) -> Result<ExitStatus, GatewayError> {
        self.child.kill().map_err(|source| self.wait_failed(source))
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// [`GatewayError::Wait`].
    pub fn signal(&mut self, which: Signal) -> Result<(), GatewayError> {
        self.child.signal(which).map_err(|source| self.wait_failed(source))
    }

    /// Starts it again with the same files, ending it first if it runs. The log goes on.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn restart(&mut self) -> Result<(), GatewayError> {
        self.kill()?;
        self.child = launch(&self.node, &self.setup, &self.folder)?;
        Ok(())
    }

    /// Replaces its `mesh.toml`, for the next start or a reload.
    ///
    /// # Errors
    /// [`GatewayError::File`].
    pub fn rewrite(&mut self, mesh: &MeshFile) -> Result<(), GatewayError> {
        self.setup.mesh = mesh.to_string();
        self.setup.devices = mesh.devices(self.node.name());
        write_files(&self.folder, &self.setup)
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// [`GatewayError::Wait`].
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, GatewayError> {
        self.child.ended().map_err(|source| self.wait_failed(source))
    }

    /// The node in which it runs.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Its process number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The program that it runs.
    pub fn program(&self) -> &Program {
        &self.setup.program
    }

    /// Its tun devices.
    pub fn devices(&self) -> &[String] {
        &self.setup.devices
    }

    /// Its folder: `mesh.toml`, `private.key`, `log`, `run` and `state`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The environment variables by which `meshtun` commands find it.
    pub fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        directories(&self.folder).into()
    }

    /// All that it wrote to its standard output and error since the first start; empty if that cannot be read.
    pub fn log(&self) -> String {
        fs::read(self.folder.join("log")).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    fn must_run(&mut self) -> Result<(), GatewayError> {
        match self.ended()? {
            Some(status) => Err(GatewayError::Ended { gateway: self.name(), status, log: self.end_of_log() }),
            None => Ok(()),
        }
    }

    fn end_of_log(&self) -> String {
        last_lines(&self.log(), LOG_LINES)
    }

    fn name(&self) -> String {
        self.node.name().to_owned()
    }

    fn wait_failed(&self, source: io::Error) -> GatewayError {
        GatewayError::Wait { gateway: self.name(), source }
    }

    fn command_failed(&self, command: &str, said: String) -> GatewayError {
        GatewayError::Command { gateway: self.name(), command: command.to_owned(), said }
    }
}

fn write_files(folder: &Path, setup: &Setup) -> Result<(), GatewayError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| GatewayError::File { path, source }
    };
    for path in [folder.to_owned(), folder.join("run"), folder.join("state")] {
        DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(failed(&path))?;
    }
    for (name, content) in [("mesh.toml", setup.mesh.as_str()), ("private.key", setup.keys.private())] {
        let path = folder.join(name);
        write_private(&path, content).map_err(failed(&path))?;
    }
    Ok(())
}

fn write_private(path: &Path, content: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    writeln!(file, "{}", content.trim_end())
}

fn launch(node: &Node, setup: &Setup, folder: &Path) -> Result<Child, GatewayError> {
    let path = folder.join("log");
    let log = |source| GatewayError::File { path: path.clone(), source };
    let out = File::options().create(true).append(true).open(&path).map_err(log)?;
    let err = out.try_clone().map_err(log)?;
    let mut command = bare(setup, folder);
    command.arg("up").arg(folder.join("mesh.toml")).arg("--key").arg(folder.join("private.key"));
    command.args(&setup.arguments).stdin(Stdio::null()).stdout(out).stderr(err);
    Ok(node.start(command)?)
}

fn bare(setup: &Setup, folder: &Path) -> Command {
    let mut command = Command::new(setup.program.path());
    command.envs(directories(folder)).envs(setup.environment.iter().map(|(name, value)| (name, value)));
    command
}

fn directories(folder: &Path) -> [(&'static str, PathBuf); 2] {
    [(RUNTIME_DIR, folder.join("run")), (STATE_DIR, folder.join("state"))]
}

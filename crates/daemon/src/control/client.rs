//! The asking side of the control socket, for the command line. It blocks.

use std::{
    io::{self, BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    protocol::{Refusal, Request, decode_answer},
    target::Target,
};
use crate::status::Status;

/// A connection to a running daemon.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    stream: BufReader<UnixStream>,
}

/// What a reload did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// What differed, a line each.
    pub changes: Vec<String>,
    /// What was changed in the kernel, as the commands that a person would type.
    pub steps: Vec<String>,
    /// What is likely not meant.
    pub warnings: Vec<String>,
}

/// Why a running daemon could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing listens on the socket.
    #[error("no meshtun daemon runs in this network namespace (nothing answers at {})", .0.display())]
    NoDaemon(PathBuf),
    /// The socket cannot be used.
    #[error("cannot talk to the daemon at {}: {error}", path.display())]
    Broken {
        /// The socket.
        path: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
    /// The daemon's answer is not understood: it is of another version, or no daemon of ours.
    #[error("the daemon at {} gave an answer that this version does not understand: {reason}", path.display())]
    NotUnderstood {
        /// The socket.
        path: PathBuf,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The daemon refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl Client {
    /// Connects to the daemon at this socket.
    ///
    /// # Errors
    /// [`ClientError::NoDaemon`] if nothing listens there; [`ClientError::Broken`] if it cannot be reached.
    pub fn connect(socket: &Path) -> Result<Client, ClientError> {
        let path = socket.to_owned();
        match UnixStream::connect(socket) {
            Ok(stream) => Ok(Client { path, stream: BufReader::new(stream) }),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                Err(ClientError::NoDaemon(path))
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(Refusal::PermissionDenied.into()),
            Err(error) => Err(ClientError::Broken { path, error }),
        }
    }

    /// The daemon's status.
    ///
    /// # Errors
    /// See [`ClientError`]. An answer is waited for at most 10 s.
    pub fn status(&mut self) -> Result<Status, ClientError> {
        let parameters = self.call(&Request::Status, Duration::from_secs(10))?;
        serde_json::from_value(parameters).map_err(|error| self.not_understood(error.to_string()))
    }

    /// Has the daemon remove its devices and routes and stop; returns what it could not do, when it has ended.
    ///
    /// # Errors
    /// See [`ClientError`]. An answer is waited for at most 60 s.
    pub fn down(&mut self, unprotect: bool) -> Result<Vec<String>, ClientError> {
        let parameters = self.call(&Request::Down { unprotect }, Duration::from_secs(60))?;
        self.wait_for_the_end();
        serde_json::from_value(parameters["warnings"].clone()).map_err(|error| self.not_understood(error.to_string()))
    }

    /// Has the daemon take its mesh file and key files as they are now.
    ///
    /// # Errors
    /// See [`ClientError`]. An answer is waited for at most 60 s.
    pub fn reload(&mut self) -> Result<Reloaded, ClientError> {
        let parameters = self.call(&Request::Reload, Duration::from_secs(60))?;
        serde_json::from_value(parameters).map_err(|error| self.not_understood(error.to_string()))
    }

    /// Has the daemon take a link or a channel out; returns when it is out.
    ///
    /// # Errors
    /// See [`ClientError`]. An answer is waited for at most 60 s.
    pub fn take_down(&mut self, target: Target) -> Result<(), ClientError> {
        self.call(&Request::TakeDown(target), Duration::from_secs(60)).map(drop)
    }

    /// Has the daemon bring back what was taken down.
    ///
    /// # Errors
    /// See [`ClientError`]. An answer is waited for at most 60 s.
    pub fn bring_up(&mut self, target: Target) -> Result<(), ClientError> {
        self.call(&Request::BringUp(target), Duration::from_secs(60)).map(drop)
    }

    /// One call and the parameters of its answer.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn call(&mut self, request: &Request, patience: Duration) -> Result<Value, ClientError> {
        let message = self.exchange(request, patience).map_err(|error| self.broken(error))?;
        let answer = decode_answer(&message).map_err(|error| self.not_understood(error.to_string()))?;
        Ok(answer?)
    }

    fn exchange(&mut self, request: &Request, patience: Duration) -> io::Result<Vec<u8>> {
        let mut call = request.encode();
        call.push(0);
        self.stream.get_ref().set_read_timeout(Some(patience))?;
        self.stream.get_mut().write_all(&call)?;
        let mut message = Vec::new();
        self.stream.read_until(0, &mut message)?;
        match message.pop() {
            Some(0) => Ok(message),
            _ => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection without an answer")),
        }
    }

    /// The daemon holds the connection until it ends; then another one can start.
    fn wait_for_the_end(&mut self) {
        let _patience_is_at_an_end = self.stream.get_ref().set_read_timeout(Some(Duration::from_secs(5)));
        let _end = self.stream.read_until(0, &mut Vec::new());
    }

    fn broken(&self, error: io::Error) -> ClientError {
        let error = match error.kind() {
            io::ErrorKind::WouldBlock => io::Error::new(
                io::ErrorKind::TimedOut,
                "no answer in time (`meshtun status` tells which change goes on)",
            ),
            _ => error,
        };
        ClientError::Broken { path: self.path.clone(), error }
    }

    fn not_understood(&self, reason: String) -> ClientError {
        ClientError::NotUnderstood { path: self.path.clone(), reason }
    }
}

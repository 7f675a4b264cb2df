//! The answering side of the control socket.
//!
//! Each connection is a task of its own that reads a call, hands it to the engine, and writes the answer. What a
//! caller does wrong ends at most its own connection.

use std::{
    fs::Permissions,
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Semaphore, mpsc, oneshot},
    time::{sleep, timeout},
};

use super::protocol::{Answer, Refusal, Request, encode_answer};

/// A call on its way to the engine, with the way back.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) request: Request,
    pub(crate) caller: Caller,
}

/// Who waits for an answer.
#[derive(Debug)]
pub(crate) struct Caller {
    answer: oneshot::Sender<Answer>,
    /// Ends when the answer has been written, or the caller is gone.
    written: oneshot::Receiver<()>,
}

impl Caller {
    /// One, and what it is answered.
    #[cfg(test)]
    pub(crate) fn pair() -> (Caller, oneshot::Receiver<Answer>) {
        let (answer, answered) = oneshot::channel();
        (Caller { answer, written: oneshot::channel().1 }, answered)
    }

    /// Whether nobody waits for the answer any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.answer.is_closed()
    }

    /// Answers, and goes on at once.
    pub(crate) fn answer(self, answer: Answer) {
        let _caller_gone = self.answer.send(answer);
    }

    /// Answers, and waits until the answer is out: for the last words of a daemon.
    pub(crate) async fn answer_and_wait(self, answer: Answer) {
        let _caller_gone = self.answer.send(answer);
        let _patience_is_at_an_end = timeout(Duration::from_secs(2), self.written).await;
    }
}

/// The listening socket. Its file is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    listener: UnixListener,
    path: PathBuf,
}

impl Server {
    /// Binds the socket, mode 0600. Whoever calls this holds the lock, so that a file in the way is stale.
    pub(crate) fn bind(path: &Path) -> io::Result<Server> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
        Ok(Server { listener, path: path.to_owned() })
    }

    /// Accepts callers for ever.
    pub(crate) async fn serve(self, engine: mpsc::Sender<Asked>) {
        let seats = Arc::new(Semaphore::new(CALLERS));
        loop {
            let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let engine = engine.clone();
                    tokio::spawn(async move {
                        // A caller that hangs up is no event.
                        let _gone = attend(stream, &engine).await;
                        drop(seat);
                    });
                }
                Err(error) => {
                    tracing::warn!("control socket: cannot accept a caller: {error}");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _already_gone = std::fs::remove_file(&self.path);
    }
}

async fn attend(stream: UnixStream, engine: &mpsc::Sender<Asked>) -> io::Result<()> {
    let allowed = may_ask(stream.peer_cred()?.uid())?;
    let (mut reader, mut writer) = stream.into_split();
    let mut pending = BytesMut::new();
    while let Some(message) = read_message(&mut reader, &mut pending).await? {
        let (_tells_when_dropped, written) = oneshot::channel();
        let (answer, go_on) = match message {
            Message::Call(_) if !allowed => (Err(Refusal::PermissionDenied), false),
            Message::Call(call) => tokio::select! {
                answer = serve_call(&call, engine, written) => (answer, true),
                () = hang_up(&writer) => break,
            },
            Message::TooLong => (Err(Refusal::Malformed(format!("a call has at most {LONGEST_CALL} bytes"))), false),
        };
        write_message(&mut writer, &encode_answer(&answer)).await?;
        if !go_on {
            break;
        }
    }
    Ok(())
}

/// Root and the daemon's own user may ask.
fn may_ask(caller: u32) -> io::Result<bool> {
    Ok(caller == 0 || caller == std::fs::metadata("/proc/self")?.uid())
}

async fn serve_call(call: &[u8], engine: &mpsc::Sender<Asked>, written: oneshot::Receiver<()>) -> Answer {
    let request = Request::decode(call)?;
    let (answer, answered) = oneshot::channel();
    let stopping = || Refusal::Failed("the daemon is stopping".into());
    engine.send(Asked { request, caller: Caller { answer, written } }).await.map_err(|_| stopping())?;
    answered.await.unwrap_or_else(|_| Err(stopping()))
}

/// Ends when the caller is gone altogether. One that has only said that it will not ask more waits for its answer.
async fn hang_up(writer: &OwnedWriteHalf) {
    // The kernel tells of it by EPOLLHUP (net/unix/af_unix.c, `unix_poll`), which no interest waits for alone.
    while writer.ready(Interest::WRITABLE).await.is_ok_and(|ready| !ready.is_write_closed()) {
        sleep(GRAIN).await;
    }
}

enum Message {
    Call(Bytes),
    TooLong,
}

/// The next NUL-terminated message; none at the end of the stream. What is left without a NUL is no message. `pending` is
/// what has come and was not asked for yet.
async fn read_message(reader: &mut OwnedReadHalf, pending: &mut BytesMut) -> io::Result<Option<Message>> {
    loop {
        if let Some(end) = pending.iter().position(|byte| *byte == 0) {
            let message = pending.split_to(end + 1).freeze();
            return Ok(Some(if end > LONGEST_CALL { Message::TooLong } else { Message::Call(message.slice(..end)) }));
        }
        if pending.len() > LONGEST_CALL {
            return Ok(Some(Message::TooLong));
        }
        if timeout(PATIENCE, reader.read_buf(pending)).await?? == 0 {
            return Ok(None);
        }
    }
}

async fn write_message(writer: &mut OwnedWriteHalf, message: &[u8]) -> io::Result<()> {
    timeout(PATIENCE, async {
        writer.write_all(message).await?;
        writer.write_all(&[0]).await
    })
    .await?
}

/// A call is a name and a few words.
const LONGEST_CALL: usize = 64 * 1024;

/// How long a caller may keep silent or not read before its place goes to another.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked whether one who waits for an answer has hung up.
const GRAIN: Duration = Duration::from_millis(100);

/// Callers served at a time; more wait in the socket's backlog.
pub(crate) const CALLERS: usize = 16;

#[cfg(test)]
mod tests;

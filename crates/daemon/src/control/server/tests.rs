use std::os::unix::net::UnixStream as Blocking;
use std::{
    io::{Read, Write},
    sync::atomic::{AtomicUsize, Ordering},
};

use serde_json::json;

use super::*;
use crate::control::{Client, ClientError};

/// A server whose engine answers `Status` with how often it was asked, never answers `Reload`, and refuses `Down`.
struct Running {
    directory: tempfile::TempDir,
    asked: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
}

impl Running {
    fn start() -> Running {
        let directory = tempfile::tempdir().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let (stop, stopped) = oneshot::channel();
        let (bound, is_bound) = std::sync::mpsc::channel();
        let (socket, counter) = (directory.path().join("control.sock"), Arc::clone(&asked));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (to_engine, engine) = mpsc::channel(1);
                tokio::spawn(answer_calls(engine, counter));
                tokio::spawn(Server::bind(&socket).unwrap().serve(to_engine));
                bound.send(()).unwrap();
                let _test_is_over = stopped.await;
            });
        });
        is_bound.recv().unwrap();
        Running { directory, asked, stop: Some(stop) }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("control.sock")
    }

    /// Sends raw bytes, then end of file, and returns all that comes back.
    fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = Blocking::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        // The server may have hung up before all of a call that is too long was sent.
        let _hung_up = stream.write_all(bytes);
        let _hung_up = stream.shutdown(std::net::Shutdown::Write);
        let mut answers = Vec::new();
        let _reset = stream.read_to_end(&mut answers);
        String::from_utf8(answers).unwrap()
    }

    fn is_alive(&self) -> bool {
        let before = self.asked.load(Ordering::SeqCst);
        let mut client = Client::connect(&self.socket()).unwrap();
        client.call(&Request::Status, Duration::from_secs(10)).unwrap();
        self.asked.load(Ordering::SeqCst) == before + 1
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
    }
}

async fn answer_calls(mut engine: mpsc::Receiver<Asked>, asked: Arc<AtomicUsize>) {
    let mut stuck = Vec::new();
    while let Some(Asked { request, caller }) = engine.recv().await {
        match request {
            Request::Status => caller.answer(Ok(json!({ "asked": asked.fetch_add(1, Ordering::SeqCst) }))),
            // Stuck for ever.
            Request::Reload => stuck.push(caller),
            Request::TakeDown(_) | Request::BringUp(_) => caller.answer(Ok(json!({}))),
            Request::Down { .. } => {
                caller.answer_and_wait(Err(Refusal::Failed("device nq0 is not ours".into()))).await;
            }
        }
    }
}

#[test]
fn calls_on_one_connection_are_answered_in_order() {
    let running = Running::start();
    let call = b"{\"method\":\"meshtun.control.Status\"}\0";
    let answers = running.raw(&call.repeat(3));
    let expected = "{\"parameters\":{\"asked\":0}}\0{\"parameters\":{\"asked\":1}}\0{\"parameters\":{\"asked\":2}}\0";
    assert_eq!(answers, expected);
}

#[test]
fn a_malformed_call_gets_an_error_and_the_next_one_its_answer() {
    let running = Running::start();
    for garbage in [&b"\0"[..], b"{\0", b"[1,2]\0", b"\xff\xff\0", b"{\"method\":\"meshtun.control.Explode\"}\0"] {
        let answers = running.raw(&[garbage, b"{\"method\":\"meshtun.control.Status\"}\0"].concat());
        let (error, answer) = answers.trim_end_matches('\0').split_once('\0').unwrap();
        assert!(error.starts_with("{\"error\":\""), "{error}");
        assert!(answer.starts_with("{\"parameters\":"), "{answer}");
    }
}

#[test]
fn an_endless_call_is_cut_off_and_the_server_lives() {
    let running = Running::start();
    let answers = running.raw(&vec![b'['; 20 * LONGEST_CALL]);
    assert!(answers.is_empty() || answers.contains("65536"), "{answers}");
    assert!(running.is_alive());
}

#[test]
fn deep_nesting_is_an_error_and_no_end() {
    let running = Running::start();
    let answers = running.raw(&[&vec![b'['; LONGEST_CALL - 2][..], b"\0"].concat());
    assert!(answers.contains("meshtun.control.Malformed"), "{answers}");
    assert!(running.is_alive());
}

#[test]
fn a_caller_that_hangs_up_in_the_middle_ends_nothing() {
    let running = Running::start();
    for _ in 0..2 * CALLERS {
        assert_eq!(running.raw(b"{\"method\":"), "");
    }
    assert!(running.is_alive());
}

#[test]
fn callers_that_say_nothing_keep_no_more_than_their_places() {
    let running = Running::start();
    let mut silent: Vec<_> = (0..CALLERS).map(|_| Blocking::connect(running.socket()).unwrap()).collect();
    silent.pop();
    assert!(running.is_alive());
}

#[test]
fn callers_that_hang_up_while_their_change_is_stuck_free_their_places() {
    let running = Running::start();
    let mut call = Request::Reload.encode();
    call.push(0);
    for _ in 0..2 {
        let mut callers: Vec<_> = (0..CALLERS).map(|_| Blocking::connect(running.socket()).unwrap()).collect();
        callers.iter_mut().for_each(|caller| caller.write_all(&call).unwrap());
        drop(callers);
        assert!(running.is_alive());
    }
}

#[test]
fn a_caller_that_only_says_that_it_will_not_ask_more_gets_its_answer() {
    let running = Running::start();
    let mut caller = Blocking::connect(running.socket()).unwrap();
    let mut call = Request::Reload.encode();
    call.push(0);
    caller.write_all(&call).unwrap();
    caller.shutdown(std::net::Shutdown::Write).unwrap();
    caller.set_read_timeout(Some(5 * GRAIN)).unwrap();
    let nothing_yet = caller.read(&mut [0]).expect_err("it was neither answered nor hung up on");
    assert_eq!(nothing_yet.kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn a_refusal_reaches_the_caller_in_words() {
    let running = Running::start();
    let refused = Client::connect(&running.socket()).unwrap().down(false).unwrap_err();
    assert_eq!(refused.to_string(), "device nq0 is not ours");
}

#[tokio::test]
async fn the_socket_is_for_its_owner_alone_replaces_a_stale_one_and_goes_with_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("control.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let server = Server::bind(&socket).unwrap();
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    drop(server);
    assert!(!socket.exists());
}

#[test]
fn without_a_daemon_the_client_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let missing = Client::connect(&directory.path().join("control.sock")).unwrap_err();
    assert!(matches!(missing, ClientError::NoDaemon(_)), "{missing}");
    let stale = directory.path().join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    assert!(matches!(Client::connect(&stale).unwrap_err(), ClientError::NoDaemon(_)));
}

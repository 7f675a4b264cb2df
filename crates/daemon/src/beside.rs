//! Threads beside the engine's, each with a runtime of its own: what waits for the kernel there holds up no channel here.

use std::{io, sync::mpsc, thread};

use tokio::{runtime, sync::oneshot};

use crate::Error;

/// A thread that runs until it is stopped, in the network namespace of the thread that started it. It is told to stop when
/// this is dropped, too.
#[derive(Debug)]
pub(crate) struct Beside {
    stop: Option<oneshot::Sender<()>>,
    /// None once it has been waited for.
    ended: Option<oneshot::Receiver<()>>,
}

/// Comes when the thread shall stop.
pub(crate) type Stop = oneshot::Receiver<()>;

impl Beside {
    /// Starts a thread and waits until `begin`, which it runs first, has given it what it runs then. Both are within its
    /// runtime.
    ///
    /// # Errors
    /// That of `begin`, or that there is no thread to be had.
    pub(crate) fn start<R, E>(
        name: &str,
        begin: impl FnOnce(Stop) -> Result<R, E> + Send + 'static,
    ) -> Result<Beside, Error>
    where
        R: Future<Output = ()>,
        E: Into<Error>,
    {
        let (stop, stopped) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let (begun, whether) = mpsc::channel();
        let body = move || {
            match runtime::Builder::new_current_thread().enable_all().build() {
                Err(error) => _ = begun.send(Err(not_started(error))),
                Ok(runtime) => runtime.block_on(async {
                    match begin(stopped).map_err(Into::into) {
                        Err(error) => _ = begun.send(Err(error)),
                        Ok(run) => {
                            let _waited_for = begun.send(Ok(()));
                            run.await;
                        }
                    }
                }),
            }
            // Its sockets are closed by now.
            let _nobody_waits = end.send(());
        };
        thread::Builder::new().name(format!("meshtun-{name}")).spawn(body).map_err(not_started)?;
        whether.recv().unwrap_or_else(|_| Err(not_started(io::ErrorKind::BrokenPipe.into())))?;
        Ok(Beside { stop: Some(stop), ended: Some(ended) })
    }

    /// Tells it to stop, and does not wait for it.
    pub(crate) fn dismiss(&mut self) {
        // It hears of the sender that is gone.
        self.stop = None;
    }

    /// Waits until it has stopped. Cancel safe.
    pub(crate) async fn stop(&mut self) {
        self.dismiss();
        if let Some(ended) = &mut self.ended {
            let _ended = ended.await;
            self.ended = None;
        }
    }
}

/// Calls a function on a thread of its own. Where no thread is to be had the answer is an error.
pub(crate) fn call<T: Send + 'static>(
    name: &str,
    function: impl FnOnce() -> T + Send + 'static,
) -> oneshot::Receiver<T> {
    let (answer, answered) = oneshot::channel();
    let body = move || _ = answer.send(function());
    // The receiver hears of it: the sender is gone.
    let _no_thread = thread::Builder::new().name(format!("meshtun-{name}")).spawn(body);
    answered
}

fn not_started(error: io::Error) -> Error {
    Error::system("start a thread")(error)
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering::SeqCst},
        },
        time::Duration,
    };

    use super::*;

    fn runtime() -> runtime::Runtime {
        runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn it_runs_while_its_starter_waits_and_has_ended_when_it_was_stopped() {
        let (ticked, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (ticks, ends) = (Arc::clone(&ticked), Arc::clone(&ended));
        let mut beside = Beside::start("test", move |stop| {
            Ok::<_, Error>(async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                ticks.store(true, SeqCst);
                let _dropped = stop.await;
                ends.store(true, SeqCst);
            })
        })
        .unwrap();
        // No runtime of the starter's is needed.
        while !ticked.load(SeqCst) {
            thread::yield_now();
        }
        assert!(!ended.load(SeqCst));
        runtime().block_on(beside.stop());
        assert!(ended.load(SeqCst));
    }

    #[test]
    fn what_cannot_begin_is_told_to_who_starts_it() {
        let begin = |_| Err::<std::future::Ready<()>, _>(Error::NoNetAdmin);
        assert!(matches!(Beside::start("test", begin), Err(Error::NoNetAdmin)));
    }
}

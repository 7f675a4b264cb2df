//! Ctrl-C and its kin, so that a lab is cleaned up however its program is ended.

use std::{io, thread};

use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
};

/// A signal that asks the program to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGHUP: the terminal is gone.
    Hangup,
}

impl Ending {
    /// What a shell reports for a program that the signal ended: 128 and its number.
    pub fn exit_code(self) -> i32 {
        128 + match self {
            Ending::Interrupt => 2,
            Ending::Terminate => 15,
            Ending::Hangup => 1,
        }
    }
}

/// Cleans up after every lab of this process and exits, when one of the signals comes.
///
/// # Errors
/// If the signals cannot be caught.
pub fn exit_cleanly() -> io::Result<()> {
    on_ending(|ending| clean_exit(ending.exit_code()))
}

/// Cleans up and exits.
pub fn clean_exit(code: i32) -> ! {
    crate::clean_up();
    std::process::exit(code)
}

/// Calls `heard` on a thread of its own for each of the signals, which end nothing by themselves from here on.
///
/// The thread lasts as long as the process. Children do not inherit it: a program that is started gets the default
/// actions.
///
/// # Errors
/// If the signals cannot be caught.
pub fn on_ending(mut heard: impl FnMut(Ending) + Send + 'static) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
    // Registered before this returns, so that no signal is missed.
    let mut signals = runtime.block_on(async { Signals::register() })?;
    let listen = move || {
        runtime.block_on(async {
            loop {
                heard(signals.next().await);
            }
        })
    };
    thread::Builder::new().name("signals".into()).spawn(listen)?;
    Ok(())
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn register() -> io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Ending {
        tokio::select! {
            _ = self.interrupt.recv() => Ending::Interrupt,
            _ = self.terminate.recv() => Ending::Terminate,
            _ = self.hangup.recv() => Ending::Hangup,
        }
    }
}

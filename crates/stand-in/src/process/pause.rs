//! Waiting: between sessions, and for the management interface (init.c, `do_startup_pause`, `socket_restart_pause`).

use std::{future::Future, pin::pin, time::Duration};

use meshtun_openvpn::{
    options::Protocol,
    text::{Ending, Level, Signal, Statistics, Thrown, statistics},
};
use meshtun_sys::clock::LocalTime;
use tokio::time::sleep;

use super::Process;
use crate::management::{Asked, Management};

/// What a signal or a client of the management interface wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    End(Ending),
    Statistics,
    Status,
    Load,
    Release,
}

impl Process {
    /// The pause before a session, but the first; what ends the process or begins it anew meanwhile.
    pub(super) async fn startup_pause(&mut self) -> Option<Ending> {
        let pause = if self.first { Duration::ZERO } else { self.restart_pause() };
        if self.management.as_ref().is_some_and(|management| management.would_hold()) {
            return self.hold(pause).await;
        }
        if pause.is_zero() {
            return None;
        }
        self.log.say(Level::RESTART, format_args!("Restart pause, {} second(s)", pause.as_secs()));
        self.unless_interrupted(sleep(pause)).await.err()
    }

    /// `connect-retry`; longer and longer for TCP that does not connect.
    fn restart_pause(&self) -> Duration {
        /// Attempts for each remote before the pause grows.
        const PATIENCE: u32 = 4;
        let once = self.options.connect_retry;
        let protocol = self.remote().map_or(self.options.protocol, |remote| remote.protocol);
        if protocol == Protocol::Udp {
            return once;
        }
        let rounds = self.failures / u32::try_from(self.options.remotes.len().max(1)).unwrap_or(1);
        let doublings = rounds.saturating_sub(PATIENCE).min(15);
        (once * 2_u32.pow(doublings)).min(self.options.connect_retry_max)
    }

    /// Nothing happens until a client says `hold release`.
    async fn hold(&mut self, pause: Duration) -> Option<Ending> {
        if !self.management.as_ref().is_some_and(Management::has_client) {
            self.log.say(Level::MANAGEMENT, "Need hold release from management interface, waiting...");
        }
        if let Some(management) = &mut self.management {
            management.begin_hold(pause.as_secs());
        }
        let ending = loop {
            if self.management.as_ref().is_none_or(|management| management.is_released()) {
                break None;
            }
            if let Wish::End(ending) = self.wish().await {
                break Some(ending);
            }
        };
        if let Some(management) = &mut self.management {
            management.end_hold();
        }
        ending
    }

    /// Does `work`, unless a signal ends the session before it is done.
    pub(super) async fn unless_interrupted<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Ending> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                wish = self.wish() => if let Wish::End(ending) = wish {
                    return Err(Ending { text: ending.text.or(Some("init_instance")), ..ending });
                },
            }
        }
    }

    /// The next wish; what can be answered without a session is.
    pub(super) async fn wish(&mut self) -> Wish {
        let wish = self.next_wish().await;
        match wish {
            Wish::Statistics | Wish::Status | Wish::Load => self.answer(wish, &Statistics::default()),
            Wish::End(_) | Wish::Release => {}
        }
        wish
    }

    /// The next wish. May be dropped at any time.
    pub(super) async fn next_wish(&mut self) -> Wish {
        loop {
            let wish = self.any_wish().await;
            let begins_anew = matches!(wish, Wish::End(Ending { signal: Signal::Hup, .. }));
            if !begins_anew || self.read_anew() {
                return wish;
            }
        }
    }

    async fn any_wish(&mut self) -> Wish {
        let asked = async {
            match &mut self.management {
                Some(management) => management.asked().await,
                None => std::future::pending().await,
            }
        };
        let asked = tokio::select! {
            biased;
            thrown = self.signals.next() => Asked::Signal(thrown),
            asked = asked => asked,
        };
        match asked {
            Asked::Signal(Thrown::Ending(signal)) => Wish::End(self.hard(signal)),
            Asked::Signal(Thrown::Usr2) => Wish::Statistics,
            Asked::Gone => {
                self.log.info("MANAGEMENT: Triggering management signal");
                Wish::End(self.soft(Signal::Usr1, "management-disconnect"))
            }
            Asked::Status => Wish::Status,
            Asked::Load => Wish::Load,
            Asked::Release => Wish::Release,
        }
    }

    /// Tells what was counted, to whoever asked.
    pub(super) fn answer(&mut self, wish: Wish, counted: &Statistics) {
        let lines = self.statistics(counted);
        match (wish, &mut self.management) {
            (Wish::Statistics, _) => lines.iter().for_each(|line| self.log.info(line)),
            (Wish::Status, Some(management)) => management.reply_status(&lines),
            (Wish::Load, Some(management)) => management.reply_load(counted),
            _ => {}
        }
    }

    /// The lines of the status file.
    pub(super) fn statistics(&self, counted: &Statistics) -> Vec<String> {
        let now = LocalTime::at(std::time::SystemTime::now()).to_string();
        statistics(counted, &now, self.options.compression != meshtun_openvpn::options::Compression::None)
    }
}

//! The process: sessions one after the other, until a signal ends it (openvpn.c, `openvpn_main`).

mod finding;
mod pause;
mod remotes;
mod scripts;
mod session;
mod tunnel;
mod warnings;

use std::{
    net::SocketAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use meshtun_netlink::Network;
use meshtun_openvpn::{
    key::StaticKey,
    options::{Options, Remote},
    text::{Ending, Level, Origin, Signal},
};

use self::{remotes::Remotes, tunnel::Tunnel};
use crate::{
    boot,
    configuration::{Configuration, Source},
    environment::{self, Environment},
    fatal::Fatal,
    log::Log,
    management::{Ends, Management, State},
    notify::Notifier,
    privileges::Privileges,
    script::Scripts,
    signals::{Signals, remapped},
    status::StatusFile,
    wire::memory::Memory,
};

/// The process with all that outlives a session.
#[derive(Debug)]
pub(crate) struct Process {
    options: Options,
    key: StaticKey,
    source: Source,
    log: Log,
    notifier: Notifier,
    network: Network,
    signals: Signals,
    management: Option<Management>,
    privileges: Privileges,
    scripts: Scripts,
    /// What every session's scripts are told.
    environment: Environment,
    /// The device and its routes, while there is one.
    tunnel: Option<Tunnel>,
    /// Nothing has been tried yet.
    first: bool,
    /// Which of the remotes is tried.
    remotes: Remotes,
    /// It went into the background.
    is_daemon: bool,
    /// The status file, once it is open: rights may be dropped after that.
    status: Option<StatusFile>,
    /// The key of the session before is used again.
    keeps_key: bool,
    /// What SIGHUP read, until the session has ended.
    next: Option<Configuration>,
    /// Sessions that ended before they were established, since one that was.
    failures: u32,
    /// Where the peer was heard.
    heard_at: Option<SocketAddr>,
    memory: Memory,
}

impl Process {
    /// Makes a process ready.
    ///
    /// # Errors
    /// If something that it needs cannot be had.
    pub(crate) fn new(
        configuration: Configuration,
        source: Source,
        log: &Log,
        notifier: Notifier,
        is_daemon: bool,
    ) -> Result<Process, Fatal> {
        let Configuration { options, key, .. } = configuration;
        let signals = Signals::new().map_err(|error| Fatal::new(format_args!("cannot catch signals: {error}")))?;
        let management = options.management.as_ref().map(|settings| Management::open(settings, log)).transpose()?;
        let network = Network::new().map_err(Fatal::new)?;
        Ok(Process {
            privileges: Privileges::new(&options)?,
            scripts: Scripts::new(options.script_security, log.clone()),
            environment: environment_of(&options),
            remotes: Remotes::new(&options),
            is_daemon,
            status: None,
            keeps_key: false,
            next: None,
            memory: Memory::load(options.replay_persist.as_deref())?,
            options,
            key,
            source,
            log: log.clone(),
            notifier,
            network,
            signals,
            management,
            tunnel: None,
            first: true,
            failures: 0,
            heard_at: None,
        })
    }

    /// Runs sessions until one ends by a signal that means exit.
    ///
    /// # Errors
    /// Why the process has to end; all is closed by then.
    pub(crate) async fn run(mut self) -> Result<(), Fatal> {
        self.tell_state(State::Connecting, "", &Ends::default());
        let pid = std::process::id();
        self.notifier.tell(&format!("READY=1\nSTATUS=Pre-connection initialization successful\nMAINPID={pid}"));
        loop {
            let mut environment = self.environment.inherited();
            let ending = match self.session(&mut environment).await {
                Ok(ending) => ending,
                Err(fatal) => return Err(self.die(fatal, &mut environment).await),
            };
            self.first = false;
            self.log.info(ending);
            let state = if ending.signal.is_exit() { State::Exiting } else { State::Reconnecting };
            let why = ending.text.unwrap_or(ending.signal.name());
            self.tell_state(state, why, &Ends::default());
            match ending.signal {
                Signal::Term | Signal::Int => break,
                Signal::Hup => self.begin_anew().await?,
                Signal::Usr1 => self.keeps_key = true,
            }
        }
        if let Some(management) = &mut self.management {
            management.close().await;
        }
        Ok(())
    }

    /// Closes what is open; the device and its scripts as for a signal of which nothing is known.
    async fn die(&mut self, fatal: Fatal, environment: &mut Environment) -> Fatal {
        boot::end(&fatal, &self.log);
        if let Some(management) = &mut self.management {
            management.fatal(&fatal.to_string()).await;
        }
        if self.tunnel.is_some()
            && let Err(second) = self.close_tunnel("UNKNOWN", true, None, environment).await
        {
            boot::end(&second, &self.log);
        }
        fatal.told()
    }

    /// Reads the configuration for SIGHUP. One that cannot be run changes nothing, and the session goes on.
    fn read_anew(&mut self) -> bool {
        match self.source.read() {
            Ok(configuration) => self.next = Some(configuration),
            Err(refused) => {
                for line in boot::told_errors(&refused.findings) {
                    self.log.say(Level::ERROR, line);
                }
                self.log.warning("WARNING: SIGHUP: the configuration cannot be used: going on as before");
            }
        }
        self.next.is_some()
    }

    /// SIGHUP: everything is closed and begins with what was read.
    async fn begin_anew(&mut self) -> Result<(), Fatal> {
        if self.next.is_none() {
            // By `remap-usr1`, from within: nobody has read it.
            self.read_anew();
        }
        let Some(configuration) = self.next.take() else {
            self.environment = environment_of(&self.options);
            return Ok(());
        };
        let Configuration { options, key, findings } = configuration;
        self.log.configure(&options);
        boot::tell_findings(&findings, &self.log);
        self.log.info(crate::TITLE);
        boot::warn_of_static_keys(&options, &self.log);
        if options.management != self.options.management {
            if let Some(management) = &mut self.management {
                management.close().await;
            }
            // The address must be free before it is asked for again.
            self.management = None;
            let settings = options.management.as_ref();
            self.management = settings.map(|settings| Management::open(settings, &self.log)).transpose()?;
        }
        self.scripts = Scripts::new(options.script_security, self.log.clone());
        self.environment = environment_of(&options);
        self.remotes = Remotes::new(&options);
        if options.status != self.options.status {
            // Another file; the one that is open may be out of reach by now.
            self.status = None;
        }
        self.heard_at = None;
        self.key = key;
        self.options = options;
        Ok(())
    }

    /// Whichever remote is tried in this session.
    fn remote(&self) -> Option<&Remote> {
        self.remotes.current(&self.options)
    }

    fn tell_state(&mut self, state: State, description: &str, ends: &Ends) {
        if let Some(management) = &mut self.management {
            management.state(state, description, ends);
        }
    }

    /// A signal from outside as the end of a session.
    fn hard(&self, signal: Signal) -> Ending {
        remapped(Ending::hard(signal), &self.options)
    }

    /// The end of a session from within.
    fn soft(&self, signal: Signal, text: &'static str) -> Ending {
        let origin = if text == "connection-failed" { Origin::ConnectionFailed } else { Origin::Soft };
        remapped(Ending { signal, origin, text: Some(text) }, &self.options)
    }
}

fn environment_of(options: &Options) -> Environment {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    environment::of_process(options, now, std::process::id())
}

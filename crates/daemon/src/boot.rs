//! The order in which a gateway comes up, and goes.
//!
//! Everything that can be wrong with the file, the keys and the permissions is found before anything of the machine is
//! changed. Then the `unreachable` routes come, before sockets, devices and all else that may fail: from there on no packet
//! for a peer's network leaves in clear, whether the gateway comes up or not.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use meshtun_config::View;
use meshtun_dataplane::{DataPlane, Events, PlaneConfig};
use meshtun_netlink::{Network, Protection};
use meshtun_proto::control::Reason;
use meshtun_sys::{capability, lock::Lock, process, thread::available_cpus, tun};
use serde_json::json;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    task::JoinHandle,
};

use crate::{
    Directories, Error, Gateway,
    carrier::Carriers,
    channels,
    control::{Refusal, Server},
    desired::desired,
    down,
    engine::{Ending, Engine, EngineParts, Files, Inputs, Reader},
    gateway::read_mesh,
    hooks,
    keeper::Keeper,
    lock,
    notify::Notifier,
    open_files::may_open,
    resolve::Resolver,
    stamps::StampStore,
    surroundings::{self, Surroundings},
    underlay, view,
};

/// How a gateway is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// The mesh file.
    pub mesh: PathBuf,
    /// The file of the gateway's private key.
    pub key: PathBuf,
    /// How many data-plane threads; none: one a processor.
    pub workers: Option<usize>,
    /// The processors that data-plane threads are pinned to, one each, in this order; none: see `workers`.
    pub cpus: Option<Vec<usize>>,
    /// Where the daemon keeps its things.
    pub directories: Directories,
}

/// Runs a gateway until SIGTERM, SIGINT or `down`. Needs a current-thread tokio runtime with all drivers, in the
/// gateway's network namespace.
///
/// # Errors
/// Why it did not come up, or ended.
pub async fn run(options: Options) -> Result<(), Error> {
    // Hooks are given none of ours, nor of whoever started us.
    process::keep_descriptors();
    let gateway = load(&options)?;
    may_run_on(options.cpus.as_deref().unwrap_or_default(), &available_cpus())?;
    may_change_network()?;
    let directories = &options.directories;
    let network = Network::new()?.with_record(directories.sysctl_record());
    let lock = claim(directories);
    // Before all that may fail: packets for the peers' networks must not take the default route while somebody finds out.
    if !matches!(lock, Err(Error::AlreadyRuns { .. })) {
        network.protect(&desired(&gateway.view, &Surroundings::default())).await?;
    }
    let _lock = lock?;
    tun::access()?;
    may_open(view::channels(&gateway.view).count())?;
    let stamps = open_stamps(directories, &gateway)?;
    let notifier = Notifier::from_environment();
    let running = come_up(&options, gateway, stamps, network.clone(), &notifier).await?;

    let Running { mut engine, events, mut inputs, server } = running;
    let summary = engine.summary();
    tracing::info!("{summary}");
    notifier.ready(&summary);
    let ending = engine.run(&events, &mut inputs).await;
    notifier.stopping();
    tokio::spawn(exit_at_once_on_another_signal());
    end(engine, ending, &network).await;
    server.abort();
    notifier.finish(LAST_WORDS);
    Ok(())
}

/// The directories, and the lock that makes this the one daemon here.
fn claim(directories: &Directories) -> Result<Lock, Error> {
    directories.create().map_err(|(path, error)| Error::Directory { path, error })?;
    lock::take(directories)
}

/// A gateway that is all made, and has not said anything to its peers yet.
struct Running {
    engine: Engine,
    events: Events,
    inputs: Inputs,
    server: JoinHandle<()>,
}

async fn come_up(
    options: &Options,
    gateway: Gateway,
    stamps: StampStore,
    network: Network,
    notifier: &Notifier,
) -> Result<Running, Error> {
    let (surroundings, warnings) = surroundings::look(&network, &gateway.view).await?;
    warnings.iter().chain(&hooks::problems(&gateway.view)).for_each(|warning| tracing::warn!("{warning}"));
    let sockets = channels::bind(&gateway.view, notifier)?;
    make_network(&network, &gateway.view, &surroundings).await?;
    let (keeper, words) = Keeper::start(network.clone(), gateway.view.clone(), surroundings.clone())?;

    let workers = choose_workers(options.workers, options.cpus.as_deref(), sockets.len());
    let (mut plane, events) = DataPlane::start(&workers)?;
    let channels = channels::make(&gateway, &surroundings, sockets, &mut plane)?;
    let (resolver, resolved) = Resolver::new();
    let (to_engine, asked) = mpsc::channel(CALLS_WAITING);
    let files = Files { mesh: options.mesh.clone(), key: options.key.clone() };
    let (reader, read) = Reader::new(files.clone());
    let inputs = Inputs::new(&events, asked, resolved, words, read, underlay::Watch::start()?)
        .map_err(Error::system("listen for signals"))?;
    let server = open_control_socket(&options.directories)?;
    let server = tokio::spawn(server.serve(to_engine));

    let workers = workers.cpus.len();
    let notifier = notifier.clone();
    let parts = EngineParts {
        gateway,
        surroundings,
        channels,
        plane,
        stamps,
        resolver,
        keeper,
        carriers: Carriers::start()?,
        reader,
        files,
        notifier,
        workers,
    };
    Ok(Running { engine: Engine::new(parts, Instant::now()), events, inputs, server })
}

fn load(options: &Options) -> Result<Gateway, Error> {
    let (mesh, warnings) = read_mesh(&options.mesh)?;
    if !warnings.is_empty() {
        tracing::warn!("{warnings}");
    }
    Gateway::load(&mesh, &options.key)
}

fn may_change_network() -> Result<(), Error> {
    if capability::has_net_admin() { Ok(()) } else { Err(Error::NoNetAdmin) }
}

/// Whether every processor that was asked for may be had.
fn may_run_on(asked: &[usize], allowed: &[usize]) -> Result<(), Error> {
    match asked.iter().find(|cpu| !allowed.contains(cpu)) {
        Some(&cpu) => Err(Error::Processor { cpu, allowed: allowed.to_vec() }),
        None => Ok(()),
    }
}

fn open_stamps(directories: &Directories, gateway: &Gateway) -> Result<StampStore, Error> {
    let state = &directories.state;
    let opened = StampStore::open(state, &gateway.identity.public_key());
    opened.map_err(|error| Error::Directory { path: state.clone(), error })
}

fn open_control_socket(directories: &Directories) -> Result<Server, Error> {
    let path = directories.control_socket();
    Server::bind(&path).map_err(|error| Error::Directory { path, error })
}

async fn make_network(network: &Network, view: &View, surroundings: &Surroundings) -> Result<(), Error> {
    let steps = network.converge(&desired(view, surroundings), Protection::Keep).await?;
    tracing::info!("{} changes to devices, routes and settings", steps.len());
    Ok(())
}

/// A worker for each processor that was named, or that this process may use, unless told otherwise; more workers than
/// processors run anywhere.
fn choose_workers(asked: Option<usize>, named: Option<&[usize]>, channels: usize) -> PlaneConfig {
    let cpus = named.filter(|named| !named.is_empty()).map_or_else(available_cpus, <[usize]>::to_vec);
    let workers = asked.unwrap_or(cpus.len()).max(1);
    PlaneConfig {
        pin: workers <= cpus.len(),
        apart: channels < workers,
        cpus: cpus.into_iter().cycle().take(workers).collect(),
    }
}

async fn end(engine: Engine, ending: Ending, network: &Network) {
    match ending {
        Ending::Restart => engine.close(Reason::Restarting, RESTART_HOLD).await,
        Ending::Down { unprotect, caller } => {
            engine.close(Reason::Down, Duration::ZERO).await;
            let removed = down::remove(network, unprotect).await;
            let answer = removed.map(|warnings| json!({ "warnings": warnings }));
            caller.answer_and_wait(answer.map_err(|error| Refusal::Failed(error.to_string()))).await;
        }
    }
}

/// A person who asks twice does not want to wait.
async fn exit_at_once_on_another_signal() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    std::process::exit(1);
}

/// What the peers are asked to bridge while this daemon restarts.
const RESTART_HOLD: Duration = Duration::from_secs(2);

/// How long a service runner may take to hear what is told at the end.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Callers whose questions may wait for the engine.
const CALLS_WAITING: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_worker_for_each_processor_unless_told_otherwise() {
        let all = available_cpus().len();
        assert_eq!(choose_workers(None, None, 64).cpus, available_cpus());
        assert!(choose_workers(None, None, 64).pin);
        let many = choose_workers(Some(all + 1), None, all);
        assert_eq!((many.cpus.len(), many.pin, many.apart), (all + 1, false, true));
    }

    #[test]
    fn workers_are_pinned_to_the_processors_that_were_named_in_their_order() {
        let named = choose_workers(None, Some(&[5, 3, 5]), 2);
        assert_eq!((named.cpus, named.pin, named.apart), (vec![5, 3, 5], true, true));
    }

    #[test]
    fn a_processor_that_may_not_be_used_is_refused_by_name() {
        assert!(may_run_on(&[1, 0], &[0, 1]).is_ok());
        let refused = may_run_on(&[1, 9], &[0, 1]).unwrap_err().to_string();
        assert!(refused.contains("processor 9") && refused.contains("0, 1") && refused.contains("--cpus"), "{refused}");
    }
}

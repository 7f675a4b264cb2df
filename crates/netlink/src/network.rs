//! The connection to the kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use tracing::{info, warn};

use crate::apply::{self, Failure};
use crate::connection::Connection;
use crate::desired::protocol_of;
use crate::difference::protection;
use crate::read::{self, Which};
use crate::sysctl::{self, Record};
use crate::{
    Actual, ActualDevice, ActualRoute, ApplyError, ConvergeError, Desired, GUARD_PROTOCOL, KernelError, NetworkError,
    PROTOCOL, Protection, Step, Sysctl, difference,
};

/// Files under `/proc/sys` that are read in one go; each takes some 5 µs.
const SYSCTLS_AT_ONCE: usize = 100;

/// How often [`Network::converge`] applies what is left to do. Two suffice for all that is known.
const ROUNDS: usize = 3;

/// A netlink connection in the network namespace of the thread that made it.
///
/// Tun devices and `/proc/sys` go by the *calling* thread's namespace: use it from threads of one namespace only
/// (a current-thread runtime, or a process that is in it as a whole). Clones share the connection.
#[derive(Debug, Clone)]
pub struct Network {
    pub(crate) connection: Connection,
    /// Routes are read over one of their own, which filters.
    routes: Connection,
    record: Option<PathBuf>,
    /// Kinds that the kernel was found to lack: asked for once, warned of once.
    lacking_qdiscs: Arc<Mutex<BTreeSet<String>>>,
}

impl Network {
    /// Opens the connection; its task runs on the current tokio runtime until the last clone is dropped.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new() -> Result<Network, NetworkError> {
        Ok(Network {
            connection: connect()?,
            routes: connect_strictly()?,
            record: None,
            lacking_qdiscs: Arc::default(),
        })
    }

    /// Where the previous values of machine-wide sysctls are kept (a file in the runtime directory). Without it such a
    /// sysctl is refused.
    #[must_use]
    pub fn with_record(mut self, path: impl Into<PathBuf>) -> Network {
        self.record = Some(path.into());
        self
    }

    /// The same with a connection of its own, whose task runs on the current tokio runtime.
    ///
    /// # Errors
    /// If there is no socket to be had.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn anew(&self) -> Result<Network, NetworkError> {
        Ok(Network { connection: connect()?, routes: connect_strictly()?, ..self.clone() })
    }

    /// Reads the kernel's state as far as it concerns `desired`.
    ///
    /// # Errors
    /// If the kernel cannot be asked.
    pub async fn actual(&self, desired: &Desired) -> Result<Actual, NetworkError> {
        self.actual_beside(desired, self.others(desired).await?).await
    }

    /// The present values of the settings of `desired`, those that exist; there are some of each device.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub async fn sysctls(&self, desired: &Desired) -> Result<BTreeMap<String, String>, NetworkError> {
        present_sysctls(desired).await
    }

    /// Routes of others to and inside the networks of `desired`: they take reading the whole table.
    ///
    /// # Errors
    /// If the kernel cannot be asked.
    pub async fn others(&self, desired: &Desired) -> Result<Vec<ActualRoute>, NetworkError> {
        let prefixes: BTreeSet<IpNet> = desired.routes.iter().map(|route| route.prefix.trunc()).collect();
        if prefixes.is_empty() {
            return Ok(Vec::new());
        }
        let inside = |route: &ActualRoute| !route.is_ours() && prefixes.iter().any(|net| net.contains(&route.prefix));
        self.dump_routes(&[None], &BTreeMap::new(), inside).await
    }

    /// As [`Network::actual`], but with routes of others as [`Network::others`] told them before: where the table has
    /// hundreds of thousands of those, that is a hundredth of the work.
    ///
    /// # Errors
    /// If the kernel cannot be asked.
    pub async fn actual_beside(&self, desired: &Desired, others: Vec<ActualRoute>) -> Result<Actual, NetworkError> {
        self.actual_with(others, present_sysctls(desired).await?).await
    }

    /// As [`Network::actual_beside`], with settings as [`Network::sysctls`] told them before, too.
    ///
    /// # Errors
    /// If the kernel cannot be asked.
    pub async fn actual_with(
        &self,
        others: Vec<ActualRoute>,
        sysctls: BTreeMap<String, String>,
    ) -> Result<Actual, NetworkError> {
        let mut devices = read::devices(&self.connection).await.map_err(reading("devices"))?;
        let names: BTreeMap<u32, String> = devices.iter().map(|device| (device.index, device.name.clone())).collect();
        let local = self.local_addresses().await?;
        let mut addresses: BTreeMap<u32, Vec<IpNet>> = BTreeMap::new();
        for local in &local {
            addresses.entry(local.index).or_default().push(local.address);
        }
        let own_qdiscs = read::own_qdiscs(&self.connection).await.map_err(reading("queueing disciplines"))?;
        for device in &mut devices {
            device.own_qdisc = own_qdiscs.contains(&device.index);
            device.addresses = addresses.remove(&device.index).unwrap_or_default();
        }
        let mut routes = self.dump_routes(&[Some(PROTOCOL), Some(GUARD_PROTOCOL)], &names, |_| true).await?;
        routes.extend(others);
        Ok(Actual {
            devices: devices.into_iter().map(|device| (device.name.clone(), device)).collect(),
            routes,
            addresses: local.iter().filter(|local| !local.is_tentative).map(|local| local.address.addr()).collect(),
            sysctls,
            ipv6: sysctl::path("net.ipv6.conf.all").exists(),
            lacking_qdiscs: self.lacking_qdiscs().clone(),
        })
    }

    async fn dump_routes(
        &self,
        protocols: &[Option<u8>],
        names: &BTreeMap<u32, String>,
        keep: impl Fn(&ActualRoute) -> bool,
    ) -> Result<Vec<ActualRoute>, NetworkError> {
        let mut routes = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            for protocol in protocols {
                let some = read::routes(&self.routes, family, *protocol, names, &keep).await;
                routes.extend(some.map_err(reading("routes"))?);
            }
        }
        Ok(routes)
    }

    /// The steps of `down`, not yet made: all our routes and devices, then the machine-wide sysctls that still have our
    /// value; the `unreachable` routes only with [`Protection::Lift`].
    pub async fn teardown(&self, protection: Protection) -> Result<Vec<Step>, ConvergeError> {
        let nothing = Desired::default();
        let mut steps = difference(&nothing, &self.actual(&nothing).await?, protection)?;
        steps.extend(self.restoration()?);
        Ok(steps)
    }

    /// The steps that put back the machine-wide sysctls which the record holds and which still have our value.
    pub fn restoration(&self) -> Result<Vec<Step>, NetworkError> {
        self.record.as_deref().map_or(Ok(Vec::new()), |path| Record::load(path)?.restoration())
    }

    /// Reads, compares, applies and logs, until nothing is left to do; the steps that were made. Idempotent: a second
    /// run makes none.
    ///
    /// What the kernel does on its own in answer to a step (an address for a device that gets IPv6 while it has
    /// carrier) takes another round. What it does not keep is logged after the last one.
    pub async fn converge(&self, desired: &Desired, protection: Protection) -> Result<Vec<Step>, ConvergeError> {
        let mut made = Vec::new();
        for _ in 0..ROUNDS {
            let steps = difference(desired, &self.actual(desired).await?, protection)?;
            if steps.is_empty() {
                return Ok(made);
            }
            self.apply_all(&steps).await?;
            made.extend(steps);
        }
        for step in difference(desired, &self.actual(desired).await?, protection)? {
            warn!("the kernel does not keep what `{step}` does");
        }
        Ok(made)
    }

    /// Makes the `unreachable` routes of `desired` and changes nothing else: the first thing of a gateway that comes up,
    /// so that its packets stay off every other route even if nothing after it succeeds.
    pub async fn protect(&self, desired: &Desired) -> Result<(), ConvergeError> {
        let steps = protection(desired, &self.actual(desired).await?);
        Ok(self.apply_all(&steps).await?)
    }

    /// Makes the steps in order, up to the first that fails.
    pub async fn apply_all(&self, steps: &[Step]) -> Result<(), ApplyError> {
        for step in steps {
            self.apply(step).await?;
        }
        Ok(())
    }

    /// Makes one step and logs it. A queueing discipline that the kernel lacks is logged as a warning and is no error.
    pub async fn apply(&self, step: &Step) -> Result<(), ApplyError> {
        info!("{step}");
        let failed = |failure: Failure| failure.of(step);
        self.make(step).await.map_err(failed)
    }

    async fn make(&self, step: &Step) -> Result<(), Failure> {
        let kernel = &self.connection;
        match step {
            Step::CreateDevice { name, alias } => apply::create_device(kernel, name, alias).await,
            Step::DeleteDevice { name } => apply::delete_device(kernel, name).await,
            Step::ConfigureDevice { name, alias, mtu, txqueuelen, up } => {
                apply::configure_device(kernel, name, alias.as_deref(), *mtu, *txqueuelen, *up).await
            }
            Step::AddAddress { device, address } => apply::add_address(kernel, device, *address).await,
            Step::RemoveAddress { device, address, prefix_len } => {
                apply::remove_address(kernel, device, *address, *prefix_len).await
            }
            Step::SetQdisc { device, kind } => self.set_qdisc(device, kind).await,
            Step::RemoveQdisc { device } => apply::remove_qdisc(kernel, device).await,
            Step::AddRoute(route) => apply::add_route(kernel, route).await,
            Step::ReplaceRoute(route) => apply::replace_route(kernel, route).await,
            Step::DeleteRoute { prefix, metric } => {
                apply::delete_route(kernel, *prefix, *metric, protocol_of(*metric)).await
            }
            Step::DeleteUsurper { prefix, metric, protocol } => {
                apply::delete_route(kernel, *prefix, *metric, *protocol).await
            }
            Step::RenameDevice { from, to } => apply::rename_device(kernel, from, to).await,
            Step::SetSysctl(sysctl) => self.set_sysctl(sysctl),
            Step::RestoreSysctl { key, before } => self.restore_sysctl(key, before),
        }
    }

    async fn set_qdisc(&self, device: &str, kind: &str) -> Result<(), Failure> {
        if !apply::set_qdisc(&self.connection, device, kind).await? {
            warn!("this kernel has no queueing discipline {kind}: {device} keeps the default one");
            self.lacking_qdiscs().insert(kind.to_owned());
        }
        Ok(())
    }

    fn lacking_qdiscs(&self) -> MutexGuard<'_, BTreeSet<String>> {
        // A set of names is whole whatever panicked while it was held.
        self.lacking_qdiscs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_sysctl(&self, sysctl: &Sysctl) -> Result<(), Failure> {
        let Sysctl { key, value, .. } = sysctl;
        if let (true, Some(present)) = (sysctl.machine_wide, sysctl::read(key)?) {
            Record::note(self.record()?, key, &present, value)?;
        }
        write_sysctl(key, value)
    }

    fn restore_sysctl(&self, key: &str, before: &str) -> Result<(), Failure> {
        let path = self.record()?;
        if Record::load(path)?.is_in_force(key)? {
            write_sysctl(key, before)?;
        }
        Ok(Record::forget(path, key)?)
    }

    fn record(&self) -> Result<&Path, Failure> {
        self.record.as_deref().ok_or(Failure::NoRecord)
    }

    /// A device as the kernel has it, without its addresses; none if there is no such device. As a side effect the
    /// kernel acts at once on the device's pending change of carrier (net/core/link_watch.c).
    pub async fn device(&self, name: &str) -> Result<Option<ActualDevice>, NetworkError> {
        read::device(&self.connection, Which::Name(name)).await.map_err(reading("a device"))
    }
}

fn connect() -> Result<Connection, NetworkError> {
    Connection::open().map_err(NetworkError::Open)
}

fn connect_strictly() -> Result<Connection, NetworkError> {
    Connection::open_strict().map_err(NetworkError::Open)
}

/// Values of the keys that exist. Thousands of them take their time: the runtime's other tasks get theirs.
async fn present_sysctls(desired: &Desired) -> Result<BTreeMap<String, String>, NetworkError> {
    let mut present = BTreeMap::new();
    for (number, sysctl) in desired.sysctls.iter().enumerate() {
        if number % SYSCTLS_AT_ONCE == SYSCTLS_AT_ONCE - 1 {
            tokio::task::yield_now().await;
        }
        if let Some(value) = sysctl::read(&sysctl.key)? {
            present.insert(sysctl.key.clone(), value);
        }
    }
    Ok(present)
}

fn write_sysctl(key: &str, value: &str) -> Result<(), Failure> {
    let error = |source| Failure::Write { path: sysctl::path(key).display().to_string(), source };
    sysctl::write(key, value).map_err(error)
}

pub(crate) fn reading(what: &'static str) -> impl Fn(KernelError) -> NetworkError {
    move |source| NetworkError::Read { what, source }
}

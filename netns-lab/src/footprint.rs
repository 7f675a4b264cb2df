//! What must be taken away when a lab ends, whatever happens: names, a folder, programs in the background.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    mem,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use meshtun_sys::{
    lock::{Lock, LockError},
    netns::{Namespace, unpin},
    process::{Signal, signal},
};

use crate::LabError;

/// Where `ip netns` looks for names.
const NAMES: &str = "/run/netns";

/// Where named labs keep their locks and lists.
const RECORDS: &str = "/run/netns-lab";

/// Every lab of this process that lives; none can be added any more once [`clean_up`] was called.
static ALIVE: Mutex<Option<Vec<Weak<Footprint>>>> = Mutex::new(Some(Vec::new()));

/// Ends the programs in every lab of this process and takes away its names and its folder, at once and for good: no lab
/// can be made any more.
///
/// For the last moment before an exit that runs no destructors.
pub fn clean_up() {
    let alive: Vec<_> = held(&ALIVE).take().into_iter().flatten().filter_map(|one| one.upgrade()).collect();
    alive.iter().for_each(|footprint| footprint.clear());
}

/// The names and the folder of one lab.
#[derive(Debug)]
pub(crate) struct Footprint {
    folder: PathBuf,
    name: Option<Name>,
    made: Mutex<Made>,
}

/// A lab's name, held against other labs.
#[derive(Debug)]
struct Name {
    text: String,
    /// The list of what was made under the name, for the next lab of that name if this one is killed.
    list: PathBuf,
    lock: PathBuf,
}

#[derive(Debug, Default)]
struct Made {
    /// The nodes' namespaces: held here, too, because a namespace is known by its inode, which may be another's once it is
    /// gone.
    namespaces: Vec<Namespace>,
    pins: Vec<PathBuf>,
    held: Option<Lock>,
}

impl Footprint {
    /// A folder for a lab and, if it has a name, the sole right to it.
    ///
    /// What a killed lab of the same name left behind is taken away first.
    pub(crate) fn new(name: Option<&str>) -> Result<Arc<Footprint>, LabError> {
        let (name, lock) = name.map(claim).transpose()?.unzip();
        let folder = make_folder()?;
        let footprint = Arc::new(Footprint { folder, name, made: Mutex::new(Made { held: lock, ..Made::default() }) });
        if let Err(error) = footprint.record(&footprint.folder) {
            footprint.clear();
            return Err(error);
        }
        let Some(alive) = &mut *held(&ALIVE) else {
            footprint.clear();
            return Err(LabError::Closed { node: "lab".into() });
        };
        alive.retain(|one| one.strong_count() > 0);
        alive.push(Arc::downgrade(&footprint));
        Ok(footprint)
    }

    /// The lab's own folder, seen by this user only.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Notes a node's namespace and gives it its name, if the lab has one: `/run/netns/LAB-NODE`.
    pub(crate) fn add(&self, node: &str, namespace: &Namespace) -> Result<Option<PathBuf>, LabError> {
        let failed = |source| LabError::Namespace { node: node.to_owned(), source };
        held(&self.made).namespaces.push(namespace.try_clone().map_err(failed)?);
        let Some(name) = &self.name else { return Ok(None) };
        let path = Path::new(NAMES).join(format!("{}-{node}", name.text));
        let pinned = namespace.pin_to(&path).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => LabError::NotOurs { path: path.clone() },
            _ => LabError::File { path: path.clone(), source },
        })?;
        held(&self.made).pins.push(pinned.keep());
        self.record(&path)?;
        Ok(Some(path))
    }

    /// Takes everything away; a second call does nothing.
    pub(crate) fn clear(&self) {
        let mut made = held(&self.made);
        end_programs(&mem::take(&mut made.namespaces));
        for pin in made.pins.drain(..) {
            // Somebody else may have taken it away already.
            let _gone = unpin(&pin);
        }
        let _gone = fs::remove_dir_all(&self.folder);
        if let (Some(name), Some(_lock)) = (&self.name, made.held.take()) {
            let _gone = fs::remove_file(&name.list);
            let _gone = fs::remove_file(&name.lock);
            // Fails while another lab has its files there.
            let _stays = fs::remove_dir(RECORDS);
        }
    }

    fn record(&self, path: &Path) -> Result<(), LabError> {
        let Some(name) = &self.name else { return Ok(()) };
        let file = OpenOptions::new().create(true).append(true).open(&name.list);
        let written = file.and_then(|mut file| writeln!(file, "{}", path.display()));
        written.map_err(|source| LabError::File { path: name.list.clone(), source })
    }
}

fn claim(text: &str) -> Result<(Name, Lock), LabError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) || !text.chars().all(is_plain) {
        return Err(LabError::BadName(text.to_owned()));
    }
    let records = Path::new(RECORDS);
    let failed = |source| LabError::File { path: records.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(records).map_err(failed)?;
    let lock = records.join(format!("{text}.lock"));
    let held = Lock::acquire(&lock).map_err(|error| match error {
        LockError::Held { holder, .. } => LabError::NameInUse { name: text.to_owned(), holder },
        LockError::Io { path, source } => LabError::File { path, source },
        other => failed(io::Error::other(other)),
    })?;
    let name = Name { text: text.to_owned(), list: records.join(format!("{text}.made")), lock };
    sweep(&name);
    Ok((name, held))
}

/// Takes away what a lab of this name made that was killed: its lock is free, but its list is there.
fn sweep(name: &Name) {
    let Ok(list) = fs::read_to_string(&name.list) else { return };
    for path in list.lines().map(Path::new) {
        // Whatever is gone already needs nothing.
        let _gone = if path.starts_with(NAMES) { unpin(path) } else { fs::remove_dir_all(path) };
    }
    let _gone = fs::remove_file(&name.list);
}

/// Ends whatever runs in these namespaces, and waits until it has: a lab's own programs end with it, but not those that
/// went to the background, and all of them may write into its folder to the last.
fn end_programs(namespaces: &[Namespace]) {
    const PATIENCE: Duration = Duration::from_secs(2);
    let inodes: Vec<_> = namespaces.iter().filter_map(|namespace| namespace.inode().ok()).collect();
    let start = Instant::now();
    while !inodes.is_empty() && start.elapsed() < PATIENCE {
        let running = running_in(&inodes);
        if running.is_empty() {
            return;
        }
        for pid in running {
            // It may have ended meanwhile.
            let _gone = signal(pid, Signal::Kill);
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// The other processes in these namespaces. One that has ended is in none, even before its parent asks for it.
fn running_in(inodes: &[u64]) -> Vec<u32> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let numbers = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_there = |pid: &u32| fs::metadata(format!("/proc/{pid}/ns/net")).is_ok_and(|net| inodes.contains(&net.ino()));
    numbers.filter(|pid| *pid != std::process::id()).filter(is_there).collect()
}

fn make_folder() -> Result<PathBuf, LabError> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("netns-lab-{}-{number}", std::process::id()));
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            // Left by a process of the same number.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(LabError::File { path, source }),
        }
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Who the process is once all is set up: `user`, `group`, `chroot`, and `nice`, `mlock` before (init.c,
//! `do_uid_gid_chroot`).

use std::{path::Path, sync::OnceLock};

use meshtun_openvpn::options::Options;
use meshtun_sys::{identity, process::raise_process_limit};

use crate::{
    fatal::Fatal,
    log::{Log, told},
};

/// What is to be dropped, looked up while names can be.
#[derive(Debug)]
pub(crate) struct Privileges {
    user: Option<(String, u32)>,
    group: Option<(String, u32)>,
    chroot: Option<String>,
    dropped: bool,
}

impl Privileges {
    /// Looks the names up.
    ///
    /// # Errors
    /// If there is no such user or group.
    pub(crate) fn new(options: &Options) -> Result<Privileges, Fatal> {
        let look_up = |name: &Option<String>, what: &str, find: fn(&str) -> std::io::Result<u32>| {
            let found = name.as_ref().map(|name| match find(name) {
                Ok(id) => Ok((name.clone(), id)),
                Err(_) => Err(Fatal::new(format_args!("failed to find {what} {name}"))),
            });
            found.transpose()
        };
        Ok(Privileges {
            user: look_up(&options.user, "UID for user", identity::user_id)?,
            group: look_up(&options.group, "GID for group", identity::group_id)?,
            chroot: options.chroot.clone(),
            dropped: false,
        })
    }

    fn are_any(&self) -> bool {
        self.user.is_some() || self.group.is_some()
    }

    /// Says what will be dropped later.
    pub(crate) fn note_delay(&self, log: &Log) {
        const WHY: &str = "will be delayed because of --client, --pull, or --up-delay";
        if self.chroot.is_some() && !self.dropped {
            log.info(format_args!("NOTE: chroot {WHY}"));
        }
        if self.are_any() && !self.dropped {
            log.info(format_args!("NOTE: UID/GID downgrade {WHY}"));
        }
    }

    /// Drops them, once in a process.
    ///
    /// # Errors
    /// If the kernel refuses: the process must end then.
    pub(crate) fn drop_now(&mut self, log: &Log) -> Result<(), Fatal> {
        if std::mem::replace(&mut self.dropped, true) {
            return Ok(());
        }
        if let Some(directory) = &self.chroot {
            let locked = identity::lock_into(Path::new(directory));
            locked.map_err(|error| Fatal::new(format_args!("chroot to '{directory}' failed: {}", told(&error))))?;
            log.info(format_args!("chroot to '{directory}' and cd to '/' succeeded"));
        }
        if !self.are_any() {
            return Ok(());
        }
        let id = |of: &Option<(String, u32)>| of.as_ref().map(|(_, id)| *id);
        let name = |of: &Option<(String, u32)>| of.as_ref().map_or_else(String::new, |(name, _)| name.clone());
        let dropped = identity::become_other(id(&self.user), id(&self.group), true);
        let kept = dropped.map_err(|error| {
            let (user, group) = (name(&self.user), name(&self.group));
            Fatal::new(format_args!("cannot become user '{user}' and group '{group}': {}", told(&error)))
        })?;
        if let Some((user, _)) = &self.user {
            log.info(format_args!("UID set to {user}"));
        }
        if let Some((group, _)) = &self.group {
            log.info(format_args!("GID set to {group}"));
        }
        if kept {
            log.info("Capabilities retained: CAP_NET_ADMIN");
        } else {
            log.warning("Unable to retain capabilities");
        }
        Ok(())
    }
}

/// `nice`, `mlock`, and room for the threads of whom it becomes: at the start.
pub(crate) fn settle(options: &Options, log: &Log) {
    let warning = cramped(options, raise_process_limit());
    // The first time counts: it is asked once, before there are threads.
    let _settled = CRAMPED.set(warning.is_some());
    if let Some(warning) = warning {
        log.warning(warning);
    }
    if let Some(by) = options.nice.filter(|by| *by != 0) {
        match identity::change_priority(by) {
            Ok(_) => log.info(format_args!("nice {by} succeeded")),
            Err(error) => log.warning(format_args!("WARNING: nice {by} failed: {}", told(&error))),
        }
    }
    if options.mlock {
        let lifted = identity::lift_locked_memory();
        if let (Err(error), Some(user)) = (lifted, &options.user) {
            return log.warning(format_args!(
                "WARNING: mlock is left out: the limit on locked memory cannot be lifted ({}), and as user '{user}' the process \
                 would end as soon as it needs more; in a unit write LimitMEMLOCK=infinity",
                told(&error)
            ));
        }
        match identity::lock_memory() {
            Ok(()) => log.info("mlockall call succeeded"),
            Err(error) => log.warning(format_args!("WARNING: mlockall call failed: {}", told(&error))),
        }
    }
}

/// Whether there is little room for threads; of the whole process, as the limit is.
static CRAMPED: OnceLock<bool> = OnceLock::new();

/// How many threads carry packets: one for each way, unless there is little room for them. Where there is one processor, two
/// are no worse than one; several processes share them all.
pub(crate) fn workers() -> usize {
    if CRAMPED.get().copied().unwrap_or_default() { 1 } else { 2 }
}

/// What there is to say of a limit on processes. It counts those of all programs of a user together, threads among them; with
/// the rights to go over it (root's) it does not count.
fn cramped(options: &Options, limit: Option<u64>) -> Option<String> {
    /// Ten links of four channels with two scripts at a time.
    const ENOUGH: u64 = 200;
    let user = options.user.as_deref().filter(|user| *user != "root")?;
    let limit = limit.filter(|limit| *limit < ENOUGH)?;
    Some(format!(
        "WARNING: user '{user}' may have {limit} processes and threads in all (RLIMIT_NPROC), and each process like this one \
         has 2 to 4: beyond that no script can be run. Going on with one thread for both ways; set LimitNPROC=infinity in the \
         unit for full speed"
    ))
}

#[cfg(test)]
mod tests {
    use meshtun_openvpn::directive::read_file;

    use super::*;

    fn options(more: &str) -> Options {
        let text = format!("dev tun\nsecret k\n{more}");
        Options::read(&read_file("a", text.as_bytes(), &mut |_| unreachable!("nothing is named"))).options
    }

    #[test]
    fn a_user_with_little_room_for_threads_is_warned_of() {
        let debians = cramped(&options("user nobody"), Some(10)).unwrap();
        assert!(
            debians.contains("user 'nobody' may have 10 processes") && debians.contains("LimitNPROC="),
            "{debians}"
        );
        assert_eq!(cramped(&options("user nobody"), None), None);
        assert_eq!(cramped(&options("user nobody"), Some(31_000)), None);
        assert_eq!(cramped(&options(""), Some(10)), None, "nothing holds root back");
    }
}

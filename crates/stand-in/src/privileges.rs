//! Who the process is once all is set up: `user`, `group`, `chroot`, and `nice`, `mlock` before (init.c,
//! `do_uid_gid_chroot`).

use std::path::Path;

use meshtun_openvpn::options::Options;
use meshtun_sys::identity;

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

/// `nice`, `mlock`: at the start.
pub(crate) fn settle(options: &Options, log: &Log) {
    if let Some(by) = options.nice.filter(|by| *by != 0) {
        match identity::change_priority(by) {
            Ok(_) => log.info(format_args!("nice {by} succeeded")),
            Err(error) => log.warning(format_args!("WARNING: nice {by} failed: {}", told(&error))),
        }
    }
    if options.mlock {
        match identity::lock_memory() {
            Ok(()) => log.info("mlockall call succeeded"),
            Err(error) => log.warning(format_args!("WARNING: mlockall call failed: {}", told(&error))),
        }
    }
}

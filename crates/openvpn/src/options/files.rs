//! Files that the options name, for whoever opens them to look at before anything begins (options.c,
//! `options_postprocess_filechecks`).

use super::{Options, Script, SecretSource};
use crate::directive::Place;

/// A file or directory that must be fit for its use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeededFile {
    /// The directive.
    pub directive: &'static str,
    /// Where it stands, when it is known.
    pub place: Option<Place>,
    /// As written; relative to [`Options::cd`], with `in_chroot` to [`Options::chroot`].
    pub path: String,
    /// What it is for.
    pub need: Need,
    /// Whether it is used after `chroot`, and looked for there.
    pub in_chroot: bool,
}

/// What a [`NeededFile`] is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It is read, and worth a warning when others than its owner can read it.
    Secret,
    /// It is read.
    Readable,
    /// It is written: it is a writable file, or can be made in its directory.
    Writable,
    /// It is run.
    Executable,
    /// It is a directory that is entered.
    Directory,
}

impl Options {
    /// All files and directories that the options name, the log file aside.
    #[must_use]
    pub fn needed_files(&self) -> Vec<NeededFile> {
        let mut files = Vec::new();
        let mut need = |directive: &'static str, path: Option<&str>, need: Need, in_chroot: bool| {
            let place = self.places.get(directive).cloned();
            files.extend(path.map(|path| NeededFile { directive, place, path: path.to_owned(), need, in_chroot }));
        };
        if let SecretSource::File(path) = &self.secret.source {
            need("secret", Some(path), Need::Secret, false);
        }
        let password = self.management.as_ref().and_then(|management| management.password_file.as_deref());
        need("management", password.filter(|&path| path != "stdin"), Need::Readable, false);
        need("replay-persist", self.replay_persist.as_deref(), Need::Writable, false);
        need("writepid", self.writepid.as_deref(), Need::Writable, false);
        need("status", self.status.as_ref().map(|status| status.path.as_str()), Need::Writable, false);
        need("cd", self.cd.as_deref(), Need::Directory, false);
        need("chroot", self.chroot.as_deref(), Need::Directory, false);
        let program = |script: &'static str, of: &Option<Script>| of.as_ref().map(|s| (script, s.argv[0].clone()));
        // Before `chroot` and after it (options.c, `set_user_script`).
        for (script, in_chroot) in [
            (program("up", &self.up), false),
            (program("route-up", &self.route_up), false),
            (program("down", &self.down), true),
            (program("ipchange", &self.ipchange), true),
            (program("route-pre-down", &self.route_pre_down), true),
        ] {
            if let Some((directive, path)) = script {
                need(directive, Some(&path), Need::Executable, in_chroot && self.chroot.is_some());
            }
        }
        files
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directive;

    #[test]
    fn every_file_is_named_with_its_line_and_its_use() {
        let text = "dev tun\nsecret k\nscript-security 2\nup \"/up a\"\ndown /down\nchroot /jail\nstatus s\nreplay-persist r\n";
        let options =
            Options::read(&directive::read_file("a", text.as_bytes(), &mut |_| unreachable!("nothing is named")))
                .options;
        let short: Vec<_> = options
            .needed_files()
            .into_iter()
            .map(|file| (file.path, file.need, file.in_chroot, file.place.map(|place| place.line)))
            .collect();
        assert_eq!(
            short,
            [
                ("k".to_owned(), Need::Secret, false, Some(2)),
                ("r".to_owned(), Need::Writable, false, Some(8)),
                ("s".to_owned(), Need::Writable, false, Some(7)),
                ("/jail".to_owned(), Need::Directory, false, Some(6)),
                ("/up".to_owned(), Need::Executable, false, Some(4)),
                ("/down".to_owned(), Need::Executable, true, Some(5)),
            ]
        );
    }
}

//! Whether the files that the options name are fit for their use, before anything begins (options.c,
//! `options_postprocess_filechecks`).

use std::{
    fs::{self, File},
    io,
    os::unix::fs::PermissionsExt,
    path::Path,
};

use meshtun_openvpn::{
    finding::{Finding, Severity},
    options::{Need, NeededFile, Options},
};

use crate::log::told;

/// What is wrong with them; relative names count from `directory`. The key is looked at by whoever reads it.
pub(super) fn check(options: &Options, directory: &Path) -> Vec<Finding> {
    let files = options.needed_files();
    files.iter().filter_map(|file| judge(file, options, directory)).collect()
}

fn judge(file: &NeededFile, options: &Options, directory: &Path) -> Option<Finding> {
    let NeededFile { directive, place, path: name, need, in_chroot } = file;
    let path = match options.chroot.as_deref().filter(|_| *in_chroot) {
        Some(jail) => directory.join(jail).join(name.trim_start_matches('/')),
        None => directory.join(name),
    };
    let (severity, wrong) = match need {
        Need::Secret => {
            (Severity::Warning, others_can_read(&path).then(|| "is group or others accessible".to_owned())?)
        }
        Need::Readable => (Severity::Error, cannot("be read", File::open(&path).err()?)),
        Need::Writable => (Severity::Error, cannot("be written", is_writable(&path).err()?)),
        Need::Executable => (Severity::Error, cannot("be run", is_executable(&path).err()?)),
        Need::Directory => (Severity::Error, cannot("be entered", fs::read_dir(&path).err()?)),
    };
    let shown = if *in_chroot { path.display().to_string() } else { name.clone() };
    Some(Finding { severity, place: place.clone(), text: format!("`{directive}`: '{shown}' {wrong}") })
}

fn cannot(what: &str, error: io::Error) -> String {
    format!("cannot {what}: {}", told(&error))
}

fn others_can_read(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

/// It is there and can be written, or could be made.
fn is_writable(path: &Path) -> io::Result<()> {
    match File::options().write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::metadata(path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))
                .map(drop)
        }
        opened => opened.map(drop),
    }
}

fn is_executable(path: &Path) -> io::Result<()> {
    let metadata = fs::metadata(path)?;
    let may = metadata.is_file() && metadata.permissions().mode() & 0o111 != 0;
    if may { Ok(()) } else { Err(io::Error::from(io::ErrorKind::PermissionDenied)) }
}

#[cfg(test)]
mod tests {
    use meshtun_openvpn::directive::read_file;

    use super::*;

    fn said(folder: &Path, lines: &str) -> Vec<String> {
        let text = format!("dev tun\nsecret k\nscript-security 2\n{lines}");
        let options =
            Options::read(&read_file("a", text.as_bytes(), &mut |_| unreachable!("nothing is named"))).options;
        check(&options, folder).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn files_that_are_not_fit_are_named_with_their_lines() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        fs::write(at.join("k"), "").unwrap();
        fs::set_permissions(at.join("k"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::create_dir(at.join("jail")).unwrap();
        fs::write(at.join("up"), "").unwrap();
        fs::set_permissions(at.join("up"), fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(said(at, "status s\nwritepid p\nchroot jail\n"), Vec::<String>::new(), "these can be made");
        assert_eq!(said(at, "up up\n"), ["a:4: `up`: 'up' cannot be run: permission denied"]);
        fs::set_permissions(at.join("up"), fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(said(at, "up \"up with words\"\n"), Vec::<String>::new());
        assert_eq!(
            said(at, "down /up\nchroot jail\n"),
            [format!(
                "a:4: `down`: '{}' cannot be run: No such file or directory (errno=2)",
                at.join("jail/up").display()
            )]
        );
        let lost = said(at, "status no/s\nchroot gone\nmanagement m unix pw\n");
        assert_eq!(lost.len(), 3, "{lost:?}");
        assert!(lost.iter().all(|line| line.ends_with("No such file or directory (errno=2)")), "{lost:?}");
        fs::set_permissions(at.join("k"), fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(said(at, ""), ["a:2: `secret`: 'k' is group or others accessible"]);
    }
}

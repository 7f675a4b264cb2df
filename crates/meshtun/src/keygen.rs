//! `meshtun keygen`

use std::os::unix::fs::PermissionsExt;

use crate::{
    exit::{Failure, Outcome},
    output,
};

/// Print a new private key
///
/// In wg(8)'s format: keys of `wg genkey` serve as well. Keep it in a file that only its owner can read:
/// (umask 077; meshtun keygen > /etc/meshtun/private.key)
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

pub(crate) fn run(Args {}: Args) -> Outcome {
    if stdout_is_a_file_for_others() {
        output::complain(
            "meshtun: warning: other users can read the file that this key goes to: make a new key with `umask 077`",
        );
    }
    let key = meshtun_daemon::generate_key().map_err(|error| Failure::new(format_args!("no randomness: {error}")))?;
    Ok(output::print(&format!("{}\n", key.to_base64().as_str()))?)
}

fn stdout_is_a_file_for_others() -> bool {
    let metadata = std::fs::metadata("/proc/self/fd/1");
    metadata.is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o077 != 0)
}

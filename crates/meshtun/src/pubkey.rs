//! `meshtun pubkey`

use std::{io::Read, path::PathBuf};

use meshtun_config::SecretKey;
use zeroize::Zeroizing;

use crate::{
    exit::{Failure, Outcome},
    output,
};

/// Print the public key that belongs to a private key
///
/// The private key is read from standard input, or from the file given.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// File of the private key
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

pub(crate) fn run(args: Args) -> Outcome {
    let secret = match args.key {
        Some(file) => SecretKey::load(&file).map_err(Failure::configuration)?,
        None => from_stdin()?,
    };
    Ok(output::print(&format!("{}\n", meshtun_daemon::public_key(&secret)))?)
}

fn from_stdin() -> Result<SecretKey, Failure> {
    let mut text = Zeroizing::new(String::new());
    let unusable = |error: &dyn std::fmt::Display| Failure::configuration(format_args!("standard input: {error}"));
    std::io::stdin().take(LONGEST).read_to_string(&mut text).map_err(|error| unusable(&error))?;
    text.trim().parse().map_err(|error| unusable(&error))
}

/// A key has 44 characters.
const LONGEST: u64 = 4096;

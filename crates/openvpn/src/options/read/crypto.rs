//! Keys, cipher, HMAC and replays.

use std::time::Duration;

use super::{
    super::{Cipher, Digest, KeyDirection, Secret, SecretSource},
    draft::Draft,
    entry::{Entry, set, set_inline},
    values,
};
use crate::directive::Directive;

pub(super) const ENTRIES: &[Entry] = &[
    set_inline("secret", 1, 2, secret),
    set("key-direction", 1, 1, |draft, d| {
        draft.options.key_direction = direction(&d.parameters[0])?;
        Ok(())
    }),
    set("cipher", 1, 1, cipher),
    set("data-ciphers-fallback", 1, 1, cipher),
    set("auth", 1, 1, auth),
    set("keysize", 1, 1, |draft, d| {
        // Compared with the cipher's when that is known.
        draft.keysize = Some(values::number(&d.parameters[0], 1..=512)?);
        draft.note(d, "`keysize` changes nothing: each cipher has one length of keys (OpenVPN dropped it in 2.6)");
        Ok(())
    }),
    set("replay-window", 1, 2, replay_window),
    set("replay-persist", 1, 1, |draft, d| {
        draft.options.replay_persist = Some(d.parameters[0].clone());
        Ok(())
    }),
    set("mute-replay-warnings", 0, 0, |draft, _| {
        draft.options.mute_replay_warnings = true;
        Ok(())
    }),
];

fn secret(draft: &mut Draft, directive: &Directive) -> Result<(), String> {
    let source = match &directive.inline {
        Some(text) => SecretSource::Inline(text.clone()),
        None => SecretSource::File(directive.parameters[0].clone()),
    };
    if let Some(text) = directive.parameter(1) {
        draft.options.key_direction = direction(text)?;
    }
    draft.secret = Some(Secret { source, place: directive.place.clone() });
    Ok(())
}

fn direction(text: &str) -> Result<KeyDirection, String> {
    match text {
        "0" => Ok(KeyDirection::Zero),
        "1" => Ok(KeyDirection::One),
        _ => Err(format!("`{text}` should be 0 at one end and 1 at the other")),
    }
}

/// Names are OpenSSL's, in either case.
fn cipher(draft: &mut Draft, directive: &Directive) -> Result<(), String> {
    let name = &directive.parameters[0];
    let known = Cipher::ALL.into_iter().find(|cipher| cipher.name().eq_ignore_ascii_case(name));
    draft.options.cipher = match (name.to_ascii_uppercase().as_str(), known) {
        ("NONE", _) => Cipher::None,
        (_, Some(known)) => known,
        // Other names that OpenSSL has for them.
        ("AES128", None) => Cipher::Aes128Cbc,
        ("AES192", None) => Cipher::Aes192Cbc,
        ("AES256", None) => Cipher::Aes256Cbc,
        ("BF" | "BLOWFISH", None) => Cipher::BfCbc,
        ("DES3", None) => Cipher::DesEde3Cbc,
        (upper, None) if upper.ends_with("-GCM") || upper.contains("CHACHA20") => {
            return Err(format!("`{name}` cannot be used with a static key, by OpenVPN neither: AES-256-CBC can"));
        }
        (upper, None) if ["-CFB", "-OFB", "-CFB1", "-CFB8"].iter().any(|mode| upper.ends_with(mode)) => {
            return Err(format!("`{name}` cannot be used with a static key, only CBC can: AES-256-CBC"));
        }
        _ => {
            let all = Cipher::ALL.iter().skip(1).map(|cipher| cipher.name()).collect::<Vec<_>>().join(", ");
            return Err(format!("meshtun does not have the cipher `{name}`: change both ends to one of {all}"));
        }
    };
    Ok(())
}

fn auth(draft: &mut Draft, directive: &Directive) -> Result<(), String> {
    let name = &directive.parameters[0];
    let bare = name.to_ascii_uppercase();
    let bare = bare.strip_prefix("RSA-").unwrap_or(&bare).replace("SHA-", "SHA").replace("SHA2-", "SHA");
    draft.options.digest = match Digest::ALL.into_iter().find(|digest| digest.name() == bare) {
        _ if bare == "NONE" => Digest::None,
        Some(known) => known,
        None => {
            let all = Digest::ALL.iter().skip(1).map(|digest| digest.name()).collect::<Vec<_>>().join(", ");
            return Err(format!("meshtun does not have the hash `{name}`: change both ends to one of {all}"));
        }
    };
    Ok(())
}

fn replay_window(draft: &mut Draft, directive: &Directive) -> Result<(), String> {
    let packets = values::number(&directive.parameters[0], 0..=65_536)?;
    draft.options.replay_window.packets = u32::try_from(packets).expect("the range allows no other");
    if let Some(text) = directive.parameter(1) {
        let seconds = values::number(text, 0..=600)?;
        draft.options.replay_window.time =
            Duration::from_secs(u64::try_from(seconds).expect("the range allows no other"));
    }
    Ok(())
}

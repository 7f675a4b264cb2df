//! The process: who it is, where it logs, who may talk to it.

use std::time::Duration;

use super::{
    super::{Daemon, LogFile, Management, ManagementAddress, UserSignal},
    draft::Draft,
    entry::{Entry, set},
    values,
};
use crate::directive::Directive;

pub(super) const ENTRIES: &[Entry] = &[
    set("config", 1, 1, |draft, d| {
        draft.options.config.get_or_insert_with(|| d.parameters[0].clone());
        Ok(())
    }),
    set("cd", 1, 1, cd),
    set("chroot", 1, 1, |draft, d| text(&mut draft.options.chroot, d)),
    set("user", 1, 1, |draft, d| text(&mut draft.options.user, d)),
    set("group", 1, 1, |draft, d| text(&mut draft.options.group, d)),
    set("writepid", 1, 1, |draft, d| text(&mut draft.options.writepid, d)),
    set("nice", 1, 1, |draft, d| {
        let nice = values::number(&d.parameters[0], -20..=19)?;
        draft.options.nice = Some(i32::try_from(nice).expect("the range allows no other"));
        Ok(())
    }),
    set("mlock", 0, 0, |draft, _| {
        draft.options.mlock = true;
        Ok(())
    }),
    set("daemon", 0, 1, daemon),
    set("syslog", 0, 1, |draft, d| {
        draft.options.syslog = Some(d.parameter(0).unwrap_or("openvpn").to_owned());
        Ok(())
    }),
    set("log", 1, 1, |draft, d| {
        draft.options.log = Some(LogFile { path: d.parameters[0].clone(), append: false });
        Ok(())
    }),
    set("log-append", 1, 1, |draft, d| {
        draft.options.log = Some(LogFile { path: d.parameters[0].clone(), append: true });
        Ok(())
    }),
    set("suppress-timestamps", 0, 0, |draft, _| {
        draft.options.suppress_timestamps = true;
        Ok(())
    }),
    set("machine-readable-output", 0, 0, |draft, _| {
        draft.options.machine_readable_output = true;
        Ok(())
    }),
    set("errors-to-stderr", 0, 0, |draft, _| {
        draft.options.errors_to_stderr = true;
        Ok(())
    }),
    set("verb", 1, 1, |draft, d| {
        draft.options.verb = u8::try_from(values::count(&d.parameters[0])?.min(15)).expect("15 is the most");
        Ok(())
    }),
    set("mute", 1, 1, |draft, d| {
        draft.options.mute = values::count_or_none(&d.parameters[0])?;
        Ok(())
    }),
    set("status", 1, 2, |draft, d| {
        let every = d.parameter(1).map_or(Ok(Duration::from_secs(60)), values::seconds)?;
        draft.status = Some((d.parameters[0].clone(), every));
        Ok(())
    }),
    set("status-version", 1, 1, |draft, d| {
        draft.status_version =
            u8::try_from(values::number(&d.parameters[0], 1..=3)?).expect("the range allows no other");
        Ok(())
    }),
    set("remap-usr1", 1, 1, |draft, d| {
        draft.options.remap_usr1 = Some(match d.parameters[0].as_str() {
            "SIGHUP" => UserSignal::Hup,
            "SIGTERM" => UserSignal::Term,
            other => return Err(format!("`{other}` should be SIGHUP or SIGTERM")),
        });
        Ok(())
    }),
    set("management", 2, 3, management),
    set("management-client", 0, 0, |draft, d| wants(draft, d, |draft| draft.management_extra.client = true)),
    set("management-hold", 0, 0, |draft, d| wants(draft, d, |draft| draft.management_extra.hold = true)),
    set("management-signal", 0, 0, |draft, d| wants(draft, d, |draft| draft.management_extra.signal = true)),
    set("management-up-down", 0, 0, |draft, d| wants(draft, d, |draft| draft.management_extra.up_down = true)),
    set("management-log-cache", 1, 1, |draft, d| {
        let lines = values::number(&d.parameters[0], 1..=i64::from(i32::MAX))?;
        draft.management_extra.log_cache = u32::try_from(lines).ok();
        wants(draft, d, |_| {})
    }),
    set("management-client-user", 1, 1, |draft, d| {
        text(&mut draft.management_extra.client_user, d)?;
        wants(draft, d, |_| {})
    }),
    set("management-client-group", 1, 1, |draft, d| {
        text(&mut draft.management_extra.client_group, d)?;
        wants(draft, d, |_| {})
    }),
    set("ignore-unknown-option", 1, 15, |draft, d| {
        draft.ignored.extend(d.parameters.iter().map(|name| name.trim_start_matches("--").to_owned()));
        Ok(())
    }),
    set("mode", 1, 1, |draft, d| match d.parameters[0].as_str() {
        "p2p" => Ok(()),
        "server" => {
            draft.server.push(("mode server".to_owned(), d.place.clone()));
            Ok(())
        }
        other => Err(format!("`{other}` should be p2p")),
    }),
];

fn text(place: &mut Option<String>, directive: &Directive) -> Result<(), String> {
    *place = Some(directive.parameters[0].clone());
    Ok(())
}

/// A second `cd` counts from where the first one led.
fn cd(draft: &mut Draft, directive: &Directive) -> Result<(), String> {
    let to = &directive.parameters[0];
    draft.options.cd = match draft.options.cd.take() {
        Some(from) if !to.starts_with('/') => Some(format!("{}/{to}", from.trim_end_matches('/'))),
        _ => Some(to.clone()),
    };
    Ok(())
}

/// The first one counts: init scripts add one of their own.
fn daemon(draft: &mut Draft, directive: &Directive) -> Result<(), String> {
    let name = directive.parameter(0).map(str::to_owned);
    match (&draft.options.daemon, &name) {
        (None, _) => draft.options.daemon = Some(Daemon { name }),
        (Some(_), None) => {}
        (Some(_), Some(name)) => {
            draft.warn(directive, format!("`daemon` is given more than once: the first one counts, not `{name}`"));
        }
    }
    Ok(())
}

fn management(draft: &mut Draft, directive: &Directive) -> Result<(), String> {
    let (host, port) = (directive.parameters[0].clone(), directive.parameters[1].as_str());
    let address = match port {
        "unix" => ManagementAddress::Unix(host),
        _ => ManagementAddress::Tcp(host, values::port(port, draft.services)?),
    };
    let password_file = directive.parameter(2).map(str::to_owned);
    draft.management = Some(Management {
        address,
        password_file,
        client: false,
        hold: false,
        signal: false,
        up_down: false,
        log_cache: 250,
        client_user: None,
        client_group: None,
    });
    Ok(())
}

/// Does what a `management-…` directive says, and remembers that there must be a `management`.
fn wants(draft: &mut Draft, directive: &Directive, act: fn(&mut Draft)) -> Result<(), String> {
    draft.management_wants.push((directive.name.clone(), directive.place.clone()));
    act(draft);
    Ok(())
}

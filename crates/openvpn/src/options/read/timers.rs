//! When a connection counts as broken, and when to exit.

use std::time::Duration;

use super::{
    super::{Inactivity, PingTimeout},
    draft::Draft,
    entry::{Entry, set},
    values,
};
use crate::directive::Directive;

/// The longest ping time, a day (`PING_TIMEOUT_MAX`, options.h).
const DAY: i64 = 86_400;

pub(super) const ENTRIES: &[Entry] = &[
    set("ping", 1, 1, |draft, d| {
        draft.ping = ping_time(&d.parameters[0], 0)?;
        Ok(())
    }),
    set("ping-restart", 1, 1, |draft, d| {
        draft.ping_timeout = Some(PingTimeout::Restart(ping_time(&d.parameters[0], 0)?));
        Ok(())
    }),
    set("ping-exit", 1, 1, |draft, d| {
        draft.ping_timeout = Some(PingTimeout::Exit(ping_time(&d.parameters[0], 0)?));
        Ok(())
    }),
    set("ping-timer-rem", 0, 0, |draft, _| {
        draft.options.ping_timer_remote = true;
        Ok(())
    }),
    set("keepalive", 2, 2, |draft, d| {
        draft.keepalive = Some((ping_time(&d.parameters[0], 1)?, ping_time(&d.parameters[1], 1)?));
        Ok(())
    }),
    set("inactive", 1, 2, inactive),
    set("session-timeout", 1, 1, |draft, d| {
        draft.options.session_timeout = Some(values::seconds(&d.parameters[0])?).filter(|time| !time.is_zero());
        Ok(())
    }),
    set("explicit-exit-notify", 0, 1, |draft, d| {
        draft.options.explicit_exit_notify = d.parameter(0).map_or(Ok(Some(1)), values::count_or_none)?;
        Ok(())
    }),
    set("disable-occ", 0, 0, |draft, _| {
        draft.options.occ = false;
        Ok(())
    }),
];

fn ping_time(text: &str, least: i64) -> Result<Duration, String> {
    let seconds = values::number(text, least..=DAY)?;
    Ok(Duration::from_secs(u64::try_from(seconds).expect("the range allows no other")))
}

fn inactive(draft: &mut Draft, directive: &Directive) -> Result<(), String> {
    let time = values::seconds(&directive.parameters[0])?;
    let bytes = directive.parameter(1).map_or(Ok(0), |text| values::number(text, 0..=i64::MAX))?;
    let bytes = u64::try_from(bytes).expect("the range allows no other");
    draft.options.inactive = Some(Inactivity { time, bytes }).filter(|inactivity| !inactivity.time.is_zero());
    Ok(())
}

//! Programs that are run, and what they find in their environment.

use super::{
    super::{GatewayRedirect, Options, Script, ScriptSecurity},
    draft::Draft,
    entry::{Entry, set},
    values,
};
use crate::directive::{self, Directive, MAX_WORDS};

pub(super) const ENTRIES: &[Entry] = &[
    set("up", 0, 15, |draft, d| script(draft, d, |options| &mut options.up)),
    set("down", 0, 15, |draft, d| script(draft, d, |options| &mut options.down)),
    set("ipchange", 0, 15, |draft, d| {
        // A comma stands for a space (options.c).
        let d = Directive { parameters: d.parameters.iter().map(|p| p.replace(',', " ")).collect(), ..d.clone() };
        script(draft, &d, |options| &mut options.ipchange)
    }),
    set("route-up", 0, 15, |draft, d| script(draft, d, |options| &mut options.route_up)),
    set("route-pre-down", 0, 15, |draft, d| script(draft, d, |options| &mut options.route_pre_down)),
    set("up-delay", 0, 0, |draft, _| {
        draft.options.up_delay = true;
        Ok(())
    }),
    set("down-pre", 0, 0, |draft, _| {
        draft.options.down_pre = true;
        Ok(())
    }),
    set("up-restart", 0, 0, |draft, _| {
        draft.options.up_restart = true;
        Ok(())
    }),
    set("script-security", 1, 1, |draft, d| {
        draft.options.script_security = match values::number(&d.parameters[0], 0..=3)? {
            0 => ScriptSecurity::None,
            1 => ScriptSecurity::BuiltIn,
            2 => ScriptSecurity::Scripts,
            _ => ScriptSecurity::Passwords,
        };
        Ok(())
    }),
    set("setenv", 1, 2, setenv),
    set("setenv-safe", 1, 2, |draft, d| {
        draft.set_variable(&format!("OPENVPN_{}", d.parameters[0]), value(d));
        Ok(())
    }),
    set("dhcp-option", 1, 2, |draft, d| {
        draft.foreign_options += 1;
        let name = format!("foreign_option_{}", draft.foreign_options);
        draft.set_variable(&name, format!("dhcp-option {}", d.parameters.join(" ")));
        Ok(())
    }),
    set("redirect-gateway", 0, 15, redirect_gateway),
    set("redirect-private", 0, 15, redirect_gateway),
];

/// A command is one parameter, which is split once more; what cannot be split is the program's name (argv.c).
fn script(
    draft: &mut Draft,
    directive: &Directive,
    place: fn(&mut Options) -> &mut Option<Script>,
) -> Result<(), String> {
    let text = match directive.parameters.as_slice() {
        [] => return Err("it takes one parameter, not 0".to_owned()),
        [text] => text,
        _ => {
            let text = "a program with arguments of its own is one parameter: put quotation marks around it";
            return Err(text.to_owned());
        }
    };
    let words = directive::split(text.as_bytes(), MAX_WORDS).map(|found| found.words).unwrap_or_default();
    let argv = if words.is_empty() { vec![text.clone()] } else { words };
    let script = Script { argv, text: text.clone(), place: directive.place.clone() };
    if let Some(before) = place(&mut draft.options).replace(script) {
        draft.warn(directive, format!("`{}` is given more than once: `{}` is not run", directive.name, before.text));
    }
    Ok(())
}

/// The value of a variable, which need not be text.
fn value(directive: &Directive) -> &[u8] {
    let text = directive.parameter(1).unwrap_or_default();
    directive.raw_value.as_deref().unwrap_or(text.as_bytes())
}

fn setenv(draft: &mut Draft, directive: &Directive) -> Result<(), String> {
    let (name, value) = (directive.parameters[0].as_str(), directive.parameter(1));
    match (name, value) {
        ("GENERIC_CONFIG", _) => return Err("this is a pattern for configurations and none itself".to_owned()),
        ("REMOTE_RANDOM_HOSTNAME", None) => {
            return Err("names with random parts cannot be used: leave the line out".to_owned());
        }
        ("PUSH_PEER_INFO", None) => draft.note(directive, "`setenv PUSH_PEER_INFO` is of use with TLS alone"),
        ("SERVER_POLL_TIMEOUT", Some(text)) => draft.options.connect_timeout = values::seconds(text)?,
        _ => {
            draft.forward_compatible |= (name, value) == ("FORWARD_COMPATIBLE", Some("1"));
            draft.set_variable(name, self::value(directive));
        }
    }
    Ok(())
}

/// With both directives, or one twice, their words add up.
fn redirect_gateway(draft: &mut Draft, directive: &Directive) -> Result<(), String> {
    let mut flags = draft.options.redirect_gateway.unwrap_or_default();
    flags.ipv4 |= directive.name == "redirect-gateway";
    for word in &directive.parameters {
        match word.as_str() {
            "local" => flags.local = true,
            "autolocal" => flags.autolocal = true,
            "def1" => flags.def1 = true,
            "block-local" => flags.block_local = true,
            "ipv6" => flags.ipv6 = true,
            "!ipv4" => flags.ipv4 = false,
            "bypass-dhcp" | "bypass-dns" => {
                draft.note(directive, format!("`{}`: `{word}` is for Windows alone", directive.name));
            }
            other => return Err(format!("`{other}` should be local, autolocal, def1, block-local, ipv6 or !ipv4")),
        }
    }
    set_redirect(draft, flags);
    Ok(())
}

fn set_redirect(draft: &mut Draft, flags: GatewayRedirect) {
    draft.options.redirect_gateway = Some(flags);
    let value = if flags.block_local { "2" } else { "1" };
    if flags.ipv4 {
        draft.set_variable("route_redirect_gateway_ipv4", value);
    }
    if flags.ipv6 {
        draft.set_variable("route_redirect_gateway_ipv6", value);
    }
}

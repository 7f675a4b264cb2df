//! A process in the place of OpenVPN's: the same files, scripts, signals, log lines and wire, over our data plane.
//!
//! | module | what it does |
//! |---|---|
//! | `question` | `--version` and others that run nothing |
//! | `boot` | from the command line to a process, everything before there are threads |
//! | `process` | sessions one after the other, until a signal ends it |
//! | `path`, `wire` | the way of packets, what seals and opens them |
//! | `link`, `device` | sockets and names; the tun device, addresses, routes |
//! | `script`, `environment` | programs and what they are told |
//! | `log`, `status`, `management`, `notify` | what people and programs are told |
#![forbid(unsafe_code)]

mod boot;
mod configuration;
mod device;
mod environment;
mod fatal;
mod link;
mod log;
mod management;
mod notify;
mod path;
mod privileges;
mod process;
mod question;
mod script;
mod signals;
mod status;
mod wire;

pub use boot::run;

/// What the program calls itself where OpenVPN tells its version.
pub(crate) const TITLE: &str =
    concat!("OpenVPN 2.6 stand-in: meshtun ", env!("CARGO_PKG_VERSION"), " [static key] [EPOLL]");

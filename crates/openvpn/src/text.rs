//! OpenVPN's words: log lines, the status file, replies of the management interface. Text in, text out.
//!
//! Monitoring greps for these, so they are OpenVPN's to the letter; the comment names the source file of each.

mod address;
mod level;
mod management;
mod packets;
mod signal;
mod stamp;
mod statistics;

pub use address::{ip_and_port, link_name, socket_address};
pub use level::{Kind, Level};
pub use management::{Command, History, Notice, Thrown, VERSION as MANAGEMENT_VERSION, help, parse_command};
pub use packets::{bad_length, rejected, replayed, socket_error};
pub use signal::{Ending, Origin, Signal};
pub use stamp::stamp;
pub use statistics::{Statistics, statistics};

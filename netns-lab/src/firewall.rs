//! Faults that are on or off: nftables rules in a gateway, which leave the fast plain cable in place.
//!
//! What is blocked is dropped where it comes in, before the gateway's kernel looks at it: a rule at the sender would tell
//! it so by `EPERM`, which no network does. A channel's direction is known by the UDP port that it arrives at.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use thiserror::Error;

use crate::{LabError, Node};

/// The table in which the rules stand.
const TABLE: &str = "netns_lab_faults";

/// The rules of one gateway. Dropping it leaves them; they go with the namespace.
#[derive(Debug)]
pub struct Firewall {
    node: Node,
    device: String,
}

/// Why a rule cannot be set.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FirewallError {
    /// Something in the lab.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// nft was not content.
    #[error("{node}: `nft {command}`: {said}; tests/prepare installs it")]
    Nft {
        /// The node.
        node: String,
        /// What was asked for.
        command: String,
        /// What it answered.
        said: String,
    },
}

impl Firewall {
    /// Prepares a gateway, whose device into the underlay is given; everything passes.
    ///
    /// # Errors
    /// [`FirewallError`].
    pub fn new(node: &Node, device: &str) -> Result<Firewall, FirewallError> {
        let firewall = Firewall { node: node.clone(), device: device.to_owned() };
        // Earlier than connection tracking and everything else (NF_IP_PRI_RAW is -300).
        firewall.nft(&format!(
            "table inet {TABLE} {{
               counter dropped {{ }}
               set shut_ports {{ type inet_service; }}
               set shut_devices {{ type ifname; }}
               chain arrival {{
                 type filter hook prerouting priority -400; policy accept;
                 iifname \"{device}\" udp dport @shut_ports counter name dropped drop
                 iifname @shut_devices counter name dropped drop
               }}
             }}"
        ))?;
        Ok(firewall)
    }

    /// Drops what arrives at these UDP ports, or lets it pass again. Both may be said twice.
    ///
    /// # Errors
    /// [`FirewallError`].
    pub fn block_ports(&self, ports: &[u16], blocked: bool) -> Result<(), FirewallError> {
        if ports.is_empty() {
            return Ok(());
        }
        let list: Vec<_> = ports.iter().map(u16::to_string).collect();
        self.change("shut_ports", &list.join(", "), blocked)
    }

    /// Drops all that arrives from the underlay, or lets it pass again. Both may be said twice.
    ///
    /// # Errors
    /// [`FirewallError`].
    pub fn block_all(&self, blocked: bool) -> Result<(), FirewallError> {
        self.change("shut_devices", &format!("{:?}", self.device), blocked)
    }

    /// How many packets were dropped so far; a train that the device passes as one counts as one.
    ///
    /// # Errors
    /// [`FirewallError`].
    pub fn dropped(&self) -> Result<u64, FirewallError> {
        let said = self.nft(&format!("list counter inet {TABLE} dropped"))?;
        let mut words = said.split_ascii_whitespace().skip_while(|word| *word != "packets");
        words.nth(1).and_then(|count| count.parse().ok()).ok_or_else(|| self.failed("list counter", said.clone()))
    }

    fn change(&self, set: &str, elements: &str, add: bool) -> Result<(), FirewallError> {
        // An element must be there to be deleted; adding one that is there changes nothing. One transaction.
        let mut script = format!("add element inet {TABLE} {set} {{ {elements} }}\n");
        if !add {
            script += &format!("delete element inet {TABLE} {set} {{ {elements} }}\n");
        }
        self.nft(&script).map(drop)
    }

    fn nft(&self, script: &str) -> Result<String, FirewallError> {
        let mut command = Command::new("nft");
        command.arg("-f").arg("-").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.node.start(command)?;
        let io = |source| self.failed(script, format!("{source}"));
        let process = child.pipes();
        if let Some(mut stdin) = process.stdin.take() {
            // A program that reads nothing says why on its standard error.
            let _unread = stdin.write_all(script.as_bytes());
        }
        let (mut out, mut err) = (String::new(), String::new());
        if let Some(mut stdout) = process.stdout.take() {
            std::io::Read::read_to_string(&mut stdout, &mut out).map_err(io)?;
        }
        if let Some(mut stderr) = process.stderr.take() {
            std::io::Read::read_to_string(&mut stderr, &mut err).map_err(io)?;
        }
        if child.wait().map_err(io)?.success() { Ok(out) } else { Err(self.failed(script, err)) }
    }

    fn failed(&self, command: &str, said: String) -> FirewallError {
        let command = command.lines().next().unwrap_or_default().trim().to_owned();
        FirewallError::Nft { node: self.node.name().to_owned(), command, said: said.trim().to_owned() }
    }
}

//! Programs that are asked something in a node.

use std::process::Command;

use anyhow::ensure;
use netns_lab::Node;

/// Runs a program in a node, which must succeed, and gives what it wrote.
pub(super) fn ask(node: &Node, program: &str, arguments: &str) -> anyhow::Result<String> {
    let mut command = Command::new(program);
    command.args(arguments.split_ascii_whitespace());
    let output = node.output(command)?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    ensure!(output.status.success(), "{}: `{program} {arguments}`: {}", node.name(), said(&output.stderr));
    Ok(said(&output.stdout))
}

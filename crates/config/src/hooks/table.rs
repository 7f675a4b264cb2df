//! Hooks as one place of the file gives them, and how places add up.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::{HookEvent, Hooks, Program, TIMEOUT};

/// What one place says: for each event a command line, or an empty one, which means that nothing is run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HookTable {
    pub(crate) commands: BTreeMap<HookEvent, Vec<String>>,
    pub(crate) timeout: Option<Duration>,
}

impl HookTable {
    /// This place's word where it has one, else the other's.
    #[must_use]
    pub fn over(&self, other: &HookTable) -> HookTable {
        let mut commands = other.commands.clone();
        commands.extend(self.commands.clone());
        HookTable { commands, timeout: self.timeout.or(other.timeout) }
    }

    /// The programs to run, those of the gateway or those of a link.
    pub(crate) fn programs(&self, of_gateway: bool) -> Hooks {
        let timeout = self.timeout.unwrap_or(TIMEOUT);
        let program = |(event, command): (&HookEvent, &Vec<String>)| {
            let (path, arguments) = command.split_first()?;
            Some((*event, Program { path: path.into(), arguments: arguments.to_vec(), timeout }))
        };
        let commands = self.commands.iter().filter(|(event, _)| event.is_of_gateway() == of_gateway);
        commands.filter_map(program).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(commands: &[(HookEvent, &[&str])], timeout: Option<u64>) -> HookTable {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        HookTable {
            commands: commands.iter().map(|(event, command)| (*event, words(command))).collect(),
            timeout: timeout.map(Duration::from_secs),
        }
    }

    #[test]
    fn the_nearer_place_wins_event_by_event_and_an_empty_command_runs_nothing() {
        let far = table(
            &[(HookEvent::LinkUp, &["/a", "x"]), (HookEvent::LinkDown, &["/b"]), (HookEvent::Up, &["/u"])],
            Some(5),
        );
        let near = table(&[(HookEvent::LinkUp, &["/c"]), (HookEvent::LinkDown, &[])], None);
        let hooks = near.over(&far).programs(false);
        assert_eq!(hooks.keys().copied().collect::<Vec<_>>(), [HookEvent::LinkUp]);
        assert_eq!(hooks[&HookEvent::LinkUp].path, std::path::Path::new("/c"));
        assert_eq!(hooks[&HookEvent::LinkUp].timeout, Duration::from_secs(5));
        assert_eq!(near.over(&far).programs(true).len(), 1);
        assert_eq!(near.programs(false)[&HookEvent::LinkUp].timeout, TIMEOUT);
    }
}

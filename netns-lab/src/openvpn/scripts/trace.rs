//! How scripts were called.

use std::collections::BTreeMap;

/// What tells nothing but when, and by which process, it was called.
const PASSING: [&str; 2] = ["daemon_pid", "daemon_start_time"];

/// One call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Call {
    script: String,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
}

impl Call {
    pub(super) fn script(&self) -> &str {
        &self.script
    }

    /// For people.
    pub(super) fn words(&self) -> String {
        let signal = self.environment.get("signal").map_or(String::new(), |signal| format!(" ({signal})"));
        format!("{} {}{signal}", self.script, self.arguments.join(" "))
    }
}

/// Reads what `record` wrote. Devices are called by the order in which the kernel made them, which tells nothing: each is
/// called `tunN`; and the lab's folder is left out.
pub(super) fn read(text: &str, folder: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    for line in text.lines() {
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.replace(folder, "FOLDER");
        match (kind, calls.last_mut()) {
            ("call", _) => calls.push(Call { script: rest, ..Call::default() }),
            ("argument", Some(call)) => call.arguments.push(nameless(&rest)),
            ("variable", Some(call)) => {
                let (name, value) = rest.split_once('=').unwrap_or((&rest, ""));
                if !PASSING.contains(&name) {
                    call.environment.insert(name.to_owned(), nameless(value));
                }
            }
            // A value that goes on in the next line is compared by its first.
            _ => {}
        }
    }
    calls
}

fn nameless(word: &str) -> String {
    let is_device =
        word.strip_prefix("tun").is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()));
    if is_device { "tunN".to_owned() } else { word.to_owned() }
}

/// What one sequence of calls has other than the other, in words.
pub(super) fn differences(ours: &[Call], theirs: &[Call]) -> Vec<String> {
    let words = |calls: &[Call]| calls.iter().map(Call::words).collect::<Vec<_>>().join("; ");
    if ours.iter().map(Call::words).ne(theirs.iter().map(Call::words)) {
        return vec![format!("calls are [{}], and with OpenVPN [{}]", words(ours), words(theirs))];
    }
    let mut differing = Vec::new();
    for (number, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        let names: std::collections::BTreeSet<_> = ours.environment.keys().chain(theirs.environment.keys()).collect();
        for name in names {
            let [here, there] = [ours, theirs].map(|call| call.environment.get(name));
            if here != there {
                let say = |value: Option<&String>| value.map_or("unset".to_owned(), |value| format!("{value:?}"));
                let words = theirs.words();
                differing.push(format!(
                    "call {} ({words}): {name} is {}, and with OpenVPN {}",
                    number + 1,
                    say(here),
                    say(there)
                ));
            }
        }
    }
    differing
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: &str = "call up\nargument tun3\nargument 1500\nargument init\nvariable daemon_pid=17\nvariable dev=tun3\n\
                      variable config=/tmp/lab1/nq1.conf\n";

    #[test]
    fn calls_are_equal_but_for_process_device_and_folder() {
        let other = UP.replace("tun3", "tun0").replace("=17", "=99").replace("lab1", "lab2");
        let [ours, theirs] = [read(UP, "/tmp/lab1"), read(&other, "/tmp/lab2")];
        assert_eq!(differences(&ours, &theirs), [""; 0]);
        assert_eq!(ours[0].words(), "up tunN 1500 init");
    }

    #[test]
    fn another_argument_variable_or_call_is_told() {
        let ours = read(UP, "/tmp/lab1");
        let told = |text: &str| differences(&read(text, "/tmp/lab1"), &ours).join("\n");
        assert!(told("").contains("calls are []"));
        assert!(told(&UP.replace("1500", "1400")).contains("up tunN 1400 init"));
        assert!(
            told(&UP.replace("nq1", "nq2"))
                .contains("config is \"FOLDER/nq2.conf\", and with OpenVPN \"FOLDER/nq1.conf\"")
        );
        assert!(told(&UP.replace("variable dev=tun3\n", "")).contains("dev is unset"));
    }
}

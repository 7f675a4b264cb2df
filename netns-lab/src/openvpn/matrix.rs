//! The cases of a file: `[base]` says how they are, each `[[cases]]` what is other; a list stands for one case of each.

use serde::Deserialize;

/// One tunnel of two ends, and what happens to it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Case {
    /// Its own, or what is other than in `[base]`.
    pub(super) name: String,
    pub(super) cipher: String,
    pub(super) auth: String,
    /// Whether each direction has a key of its own.
    pub(super) key_direction: bool,
    pub(super) transport: Transport,
    /// What `ifconfig-ipv6` gives.
    pub(super) ipv6: bool,
    /// 0 for no such line.
    pub(super) fragment: u16,
    /// 0 for no such line.
    pub(super) mssfix: u16,
    /// Whether the first end takes the second from anywhere.
    pub(super) float: bool,
    pub(super) comp_lzo_no: bool,
    /// Which end is started first.
    pub(super) first: Side,
    pub(super) event: Event,
    /// For how many seconds datagrams go on.
    pub(super) seconds: u32,
    /// Whether a steady load of datagrams and TCP flows goes on meanwhile.
    pub(super) load: bool,
}

/// What carries the tunnel; over TCP the first end is the server or the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Transport {
    Udp4,
    Udp6,
    TcpServer,
    TcpClient,
}

/// An end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Side {
    A,
    B,
}

/// What happens once the tunnel carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Event {
    None,
    /// An end gets SIGTERM and is started again.
    RestartA,
    RestartB,
    /// An end is killed and started again.
    KillB,
    /// SIGUSR1, SIGHUP.
    ResetA,
    ResetB,
    HangupB,
    /// The second end gets another address; the first one floats.
    MoveB,
    /// The second end's clock goes back by an hour, while it runs.
    ClockBackB,
    /// And it is restarted.
    ClockBackRestartB,
}

impl Side {
    pub(super) fn index(self) -> usize {
        match self {
            Side::A => 0,
            Side::B => 1,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    about: String,
    base: toml::Table,
    cases: Vec<toml::Table>,
}

/// What the file shows, and its cases.
pub(super) fn read(text: &str) -> Result<(String, Vec<Case>), String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    let mut cases = Vec::new();
    for entry in &file.cases {
        for table in product(entry) {
            let mut whole = file.base.clone();
            whole.extend(table.clone());
            whole.insert("name".into(), name_of(&table).into());
            let case = whole.try_into().map_err(|error| format!("[[cases]] {}: {error}", name_of(&table)))?;
            cases.push(case);
        }
    }
    Ok((file.about.split_whitespace().collect::<Vec<_>>().join(" "), cases))
}

/// One table for each choice out of its lists.
fn product(entry: &toml::Table) -> Vec<toml::Table> {
    let mut tables = vec![toml::Table::new()];
    for (key, value) in entry {
        let choices = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        let with = |table: &toml::Table| {
            let table = table.clone();
            let choice = move |choice: &toml::Value| {
                let mut table = table.clone();
                table.insert(key.clone(), choice.clone());
                table
            };
            choices.iter().map(choice).collect::<Vec<_>>()
        };
        tables = tables.iter().flat_map(with).collect();
    }
    tables
}

/// Keys whose values tell what they are of.
const SPEAKING: [&str; 4] = ["auth", "cipher", "event", "transport"];

fn name_of(table: &toml::Table) -> String {
    if let Some(name) = table.get("name").and_then(toml::Value::as_str) {
        return name.to_owned();
    }
    let pair = |(key, value): (&String, &toml::Value)| match value {
        toml::Value::String(text) if SPEAKING.contains(&key.as_str()) && text != "none" => text.clone(),
        toml::Value::String(text) => format!("{key}={text}"),
        other => format!("{key}={other}"),
    };
    let words: Vec<_> = table.iter().map(pair).collect();
    if words.is_empty() { "base".into() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = r#"
        about = "x"
        [base]
        cipher = "AES-256-CBC"
        auth = "SHA256"
        key-direction = true
        transport = "udp4"
        ipv6 = false
        fragment = 0
        mssfix = 0
        float = false
        comp-lzo-no = false
        first = "a"
        event = "none"
        seconds = 0
        load = false
    "#;

    #[test]
    fn lists_stand_for_one_case_each() {
        let (_, cases) = read(&format!(
            "{BASE}[[cases]]\ncipher = [\"BF-CBC\", \"none\"]\nkey-direction = [true, false]\n[[cases]]\n[[cases]]\nname = \"long\"\nseconds = 60\n"
        ))
        .unwrap();
        let names: Vec<_> = cases.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "BF-CBC key-direction=true",
                "BF-CBC key-direction=false",
                "cipher=none key-direction=true",
                "cipher=none key-direction=false",
                "base",
                "long"
            ]
        );
        assert_eq!(
            (&cases[3].cipher[..], cases[3].key_direction, cases[3].transport),
            ("none", false, Transport::Udp4)
        );
    }

    #[test]
    fn what_is_not_known_is_told() {
        let error = read(&format!("{BASE}[[cases]]\nevent = \"flood\"\n")).unwrap_err();
        assert!(error.contains("flood") && error.contains("restart-a"), "{error}");
        let error = read(&format!("{BASE}[[cases]]\ncypher = \"none\"\n")).unwrap_err();
        assert!(error.contains("cypher"), "{error}");
    }

    #[test]
    fn the_built_in_matrix_has_no_case_twice() {
        let (_, cases) = read(super::super::interop::MATRIX).unwrap();
        let mut names: Vec<_> = cases.iter().map(|case| &case.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), cases.len());
    }
}

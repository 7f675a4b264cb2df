//! What a hook is told: as environment variables, and as a JSON object on its standard input.

use meshtun_config::HookEvent;
use serde_json::{Map, Value};

use super::unix;

/// What happened, and when.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(super) what: HookEvent,
    pub(super) facts: Facts,
    pub(super) time: u64,
    /// How many older events of the same channel or link were forgotten for this one.
    pub(super) folded: u64,
}

/// Names and values, in their order. What is unknown is left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Facts(Vec<(&'static str, Value)>);

impl Facts {
    /// With another fact, unless it is none.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Facts {
        let value = value.into();
        if !value.is_null() {
            self.0.push((name, value));
        }
        self
    }

    /// With a list of what can be written.
    #[must_use]
    pub(crate) fn with_list<T: ToString>(self, name: &'static str, items: impl IntoIterator<Item = T>) -> Facts {
        let items: Vec<Value> = items.into_iter().map(|item| Value::from(item.to_string())).collect();
        self.with(name, Value::Array(items))
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

impl Event {
    pub(super) fn new(what: HookEvent, facts: Facts) -> Event {
        Event { what, facts, time: unix(std::time::SystemTime::now()), folded: 0 }
    }

    /// What it is about: of two events about the same the newer is the one that counts.
    pub(super) fn subject(&self) -> (bool, Option<u64>) {
        let channel = self.facts.get("channel").and_then(Value::as_u64);
        (self.what.is_of_gateway(), channel)
    }

    fn all(&self) -> impl Iterator<Item = (&'static str, Value)> {
        let own = [
            ("event", Value::from(self.what.name())),
            ("time", Value::from(self.time)),
            ("folded", Value::from(self.folded)),
        ];
        own.into_iter().chain(self.facts.0.iter().cloned())
    }

    /// `MESHTUN_*`: the names in capitals, lists with blanks in between.
    pub(super) fn environment(&self) -> Vec<(String, String)> {
        self.all().map(|(name, value)| (format!("MESHTUN_{}", name.to_uppercase()), plain(&value))).collect()
    }

    /// The same as one line of JSON.
    pub(super) fn json(&self) -> String {
        let object: Map<String, Value> = self.all().map(|(name, value)| (name.to_owned(), value)).collect();
        Value::Object(object).to_string() + "\n"
    }
}

/// As a shell script likes it.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_is_told_the_same_by_its_environment_and_in_json() {
        let facts = Facts::default()
            .with("link", "nq")
            .with("channel", 2)
            .with("reason", None::<&str>)
            .with_list("networks", ["10.2.0.0/24", "fd00:2::/64"]);
        let event = Event { time: 1_800_000_000, ..Event::new(HookEvent::ChannelUp, facts) };
        let environment = event.environment();
        let expected = [
            ("MESHTUN_EVENT", "channel-up"),
            ("MESHTUN_TIME", "1800000000"),
            ("MESHTUN_FOLDED", "0"),
            ("MESHTUN_LINK", "nq"),
            ("MESHTUN_CHANNEL", "2"),
            ("MESHTUN_NETWORKS", "10.2.0.0/24 fd00:2::/64"),
        ];
        assert_eq!(environment, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let json: Value = serde_json::from_str(&event.json()).unwrap();
        assert_eq!(json["channel"], 2);
        assert_eq!(json["networks"][1], "fd00:2::/64");
        assert_eq!(json.get("reason"), None);
    }
}

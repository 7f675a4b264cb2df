//! Typed access to the tables of a parsed file, collecting what is wrong instead of stopping at it.
//!
//! This is why the file is not deserialized by serde: a `Deserialize` ends at the first unknown
//! key or wrong type, and a person would mend a file one error a run.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeArray, DeInteger, DeTable, DeValue};

use crate::findings::{Findings, Located, Span};
use crate::schema::{self, Key, Preset, Section};
use crate::suggest::nearest;

/// A value of the file, with its place.
pub(crate) type Value<'a> = Spanned<DeValue<'a>>;

/// One table of the file, read by the keys of its section.
pub(crate) struct Reader<'a, 'f> {
    section: &'static Section,
    table: &'a DeTable<'a>,
    findings: &'f mut Findings,
}

impl<'a, 'f> Reader<'a, 'f> {
    /// Opens a table: reports the keys that are unknown and the required ones that are not there.
    ///
    /// `owner` is how messages call the table, `header` where it begins.
    pub(crate) fn open(
        section: &'static Section,
        table: &'a DeTable<'a>,
        owner: &str,
        header: &Span,
        findings: &'f mut Findings,
    ) -> Self {
        let mut reader = Reader { section, table, findings };
        reader.refuse_unknown_keys();
        reader.require_keys(owner, header);
        reader
    }

    pub(crate) fn value(&self, name: &str) -> Option<&'a Value<'a>> {
        debug_assert!(self.section.key(name).is_some(), "`{name}` is not in the schema");
        self.table.get(name)
    }

    /// Whether the key is there, of whatever type.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    pub(crate) fn string(&mut self, name: &'static str) -> Option<Located<String>> {
        let value = self.value(name)?;
        self.string_of(name, value)
    }

    pub(crate) fn boolean(&mut self, name: &'static str) -> Option<Located<bool>> {
        let value = self.value(name)?;
        match value.get_ref() {
            DeValue::Boolean(boolean) => Some(Located::new(*boolean, value.span())),
            _ => self.wrong_type(name, value),
        }
    }

    pub(crate) fn integer(&mut self, name: &'static str) -> Option<Located<i64>> {
        let value = self.value(name)?;
        self.integer_of(name, value)
    }

    /// A list of strings; none if one of them is of another type.
    pub(crate) fn strings(&mut self, name: &'static str) -> Option<Located<Vec<Located<String>>>> {
        let (array, span) = self.array(name)?;
        let items: Vec<_> = array.iter().map(|item| self.string_of(name, item)).collect();
        Some(Located::new(items.into_iter().collect::<Option<_>>()?, span))
    }

    /// A list of integers; none if one of them is of another type.
    pub(crate) fn integers(&mut self, name: &'static str) -> Option<Located<Vec<Located<i64>>>> {
        let (array, span) = self.array(name)?;
        let items: Vec<_> = array.iter().map(|item| self.integer_of(name, item)).collect();
        Some(Located::new(items.into_iter().collect::<Option<_>>()?, span))
    }

    /// A table within this one.
    pub(crate) fn table(&mut self, name: &'static str) -> Option<(&'a DeTable<'a>, Span)> {
        let value = self.value(name)?;
        self.table_of(name, value)
    }

    /// A value that must be a table.
    pub(crate) fn table_of(&mut self, name: &'static str, value: &'a Value<'a>) -> Option<(&'a DeTable<'a>, Span)> {
        match value.get_ref() {
            DeValue::Table(table) => Some((table, value.span())),
            _ => self.wrong_type(name, value),
        }
    }

    pub(crate) fn array(&mut self, name: &'static str) -> Option<(&'a DeArray<'a>, Span)> {
        let value = self.value(name)?;
        match value.get_ref() {
            DeValue::Array(array) => Some((array, value.span())),
            _ => self.wrong_type(name, value),
        }
    }

    /// The place to report what else is wrong with this table.
    pub(crate) fn findings(&mut self) -> &mut Findings {
        self.findings
    }

    fn string_of(&mut self, name: &'static str, value: &Value<'_>) -> Option<Located<String>> {
        match value.get_ref() {
            DeValue::String(text) => Some(Located::new(text.clone().into_owned(), value.span())),
            _ => self.wrong_type(name, value),
        }
    }

    fn integer_of(&mut self, name: &'static str, value: &Value<'_>) -> Option<Located<i64>> {
        let DeValue::Integer(integer) = value.get_ref() else { return self.wrong_type(name, value) };
        let Some(number) = number(integer) else {
            let (usage, kind) = self.usage(name);
            self.findings.error(&value.span(), format!("`{name}` must be {kind}, not {integer}"), usage);
            return None;
        };
        Some(Located::new(number, value.span()))
    }

    fn wrong_type<T>(&mut self, name: &'static str, value: &Value<'_>) -> Option<T> {
        let (usage, kind) = self.usage(name);
        let found = type_name(value.get_ref());
        self.findings.error(&value.span(), format!("`{name}` must be {kind}, not {found}"), usage);
        None
    }

    /// How to write a key, and what it must be.
    fn usage(&self, name: &str) -> (String, String) {
        let usage = |key: &Key| (format!("write `{}`: {}", key.usage(), key.doc), key.kind_with_article());
        self.section.key(name).map(usage).unwrap_or_default()
    }

    fn refuse_unknown_keys(&mut self) {
        let section = self.section;
        for (key, value) in self.table.iter().filter(|(key, _)| section.key(key.get_ref()).is_none()) {
            let name = key.get_ref();
            if is_secret(name) {
                self.findings.secret(value.span());
            }
            let (what, hint) = self.unknown(name);
            self.findings.error(&key.span(), format!("{what} `{}` in {}", name, section.title), hint);
        }
    }

    /// What an unknown key is, and what to do about it.
    fn unknown(&self, name: &str) -> (&'static str, String) {
        let normal = normal(name);
        if let Some((_, advice)) = schema::FOREIGN.iter().find(|(foreign, _)| *foreign == normal) {
            return ("unknown key", (*advice).to_owned());
        }
        let homes = schema::SECTIONS.into_iter().filter(|home| home.key(name).is_some());
        let homes: Vec<_> = homes.map(|home| home.title).collect();
        if !homes.is_empty() {
            return ("misplaced key", format!("`{name}` is a key of {}", homes.join(" and ")));
        }
        let keys = || self.section.keys.iter().map(|key| key.name);
        let hint = match nearest(name, keys()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the keys of {} are {}", self.section.title, keys().collect::<Vec<_>>().join(", ")),
        };
        ("unknown key", hint)
    }

    fn require_keys(&mut self, owner: &str, header: &Span) {
        for key in self.section.keys.iter().filter(|key| matches!(key.preset, Preset::Required)) {
            if self.table.get(key.name).is_none() {
                self.findings.error(header, format!("{owner} lacks `{}`", key.name), missing(key));
            }
        }
    }
}

/// Whether a key of this name would hold what must not be shown.
pub(crate) fn is_secret(name: &str) -> bool {
    schema::SECRET.contains(&normal(name).as_ref())
}

fn missing(key: &Key) -> String {
    format!("add `{}`: {}", key.usage(), key.doc)
}

/// A key as this file writes keys, whatever another program's habits are.
fn normal(name: &str) -> Cow<'_, str> {
    match name {
        "PrivateKey" | "privatekey" | "private-key" => "private_key".into(),
        "PresharedKey" | "presharedkey" | "preshared-key" | "PreSharedKey" | "psk" => "preshared_key".into(),
        "AllowedIPs" | "allowedips" | "allowed-ips" => "allowed_ips".into(),
        "ListenPort" | "listenport" | "listen-port" => "listen_port".into(),
        "PersistentKeepalive" | "persistent-keepalive" | "keepalive" => "persistent_keepalive".into(),
        other => other.into(),
    }
}

fn number(integer: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

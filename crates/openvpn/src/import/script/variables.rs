//! Variables of a script, and the addresses that they are set to.

use std::collections::{BTreeMap, BTreeSet};

use super::lines::Line;

/// Words that each variable is set to anywhere in the script.
pub(super) struct Variables {
    all: BTreeMap<String, Vec<String>>,
    /// Of tables: words that belong to a key.
    keyed: BTreeMap<(String, String), Vec<String>>,
    /// What the script is called with: of a table that has one of these as a key, only what belongs to it counts.
    hints: Vec<String>,
}

impl Variables {
    /// `arguments` is what the script is called with, `hints` is that and more that it knows itself by.
    pub(super) fn of(lines: &[Line], arguments: &[String], hints: &[String]) -> Self {
        let mut variables = Self { all: BTreeMap::new(), keyed: BTreeMap::new(), hints: hints.to_vec() };
        variables.all.insert("ARGV".to_owned(), arguments.to_vec());
        variables.all.extend((1..).zip(arguments).map(|(number, word)| (number.to_string(), vec![word.clone()])));
        let mut shifted = arguments.iter();
        let outside = lines.iter().take_while(|line| line.words.first().is_none_or(|word| word != "sub"));
        for (name, values) in outside.flat_map(|line| taken(line, arguments, &mut shifted)) {
            variables.all.entry(name).or_default().push(values);
        }
        for line in lines {
            if let Some((name, values)) = assignment(line) {
                for (key, values) in keyed(line) {
                    variables.keyed.entry((name.clone(), key)).or_default().extend(values);
                }
                variables.all.entry(name).or_default().extend(values);
            } else if let Some((name, values)) = looped(line) {
                variables.all.entry(name).or_default().extend(values);
            }
        }
        variables
    }

    /// Whether what the script is called with chooses from one of its tables.
    pub(super) fn chooses(&self) -> bool {
        self.keyed.keys().any(|(_, key)| self.hints.contains(key))
    }

    /// Every literal word that a word can stand for; itself when it refers to nothing.
    pub(super) fn literals(&self, word: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut seen = BTreeSet::new();
        self.follow(word, &mut seen, &mut found);
        found
    }

    fn follow(&self, word: &str, seen: &mut BTreeSet<String>, found: &mut BTreeSet<String>) {
        let Some(name) = reference(word) else {
            found.insert(word.to_owned());
            return;
        };
        if !seen.insert(name.to_owned()) {
            return;
        }
        let chosen = self.hints.iter().filter_map(|hint| self.keyed.get(&(name.to_owned(), hint.clone())));
        let mut values: Vec<&String> = chosen.flatten().collect();
        if values.is_empty() {
            values = self.all.get(name).into_iter().flatten().collect();
        }
        for value in values {
            self.follow(value, seen, found);
        }
    }
}

/// The name that a word refers to: `$net`, `@nets`, `$nets->`, `${net`.
pub(super) fn reference(word: &str) -> Option<&str> {
    let name = word.strip_prefix(['$', '@', '%'])?.trim_start_matches(['$', '@', '%', '{']);
    let end = name.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(name.len());
    Some(&name[..end])
}

/// `NAME=…`, `my $name = …`, `our @name = (…)`.
fn assignment(line: &Line) -> Option<(String, Vec<String>)> {
    let (left, right) = line.text.split_once('=')?;
    if right.starts_with(['=', '~']) || left.ends_with(['!', '<', '>', '=', '.']) {
        return None;
    }
    let mut words = left.split_whitespace().collect::<Vec<_>>();
    let name = words.pop()?;
    let declares =
        |word: &str| matches!(word, "my" | "our" | "local" | "export" | "readonly" | "declare" | "-a" | "-r");
    if !words.iter().all(|word| declares(word)) {
        return None;
    }
    let name = name.trim_start_matches(['$', '@', '%']).split(['{', '[', '+']).next()?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    let skip = super::lines::words_of(left).len();
    is_name.then(|| (name.to_owned(), line.words.iter().skip(skip).filter(|word| *word != "qw").cloned().collect()))
}

/// `my ($a, $b) = @ARGV` and `my $a = shift` in Perl, outside of functions.
fn taken(line: &Line, arguments: &[String], shifted: &mut std::slice::Iter<'_, String>) -> Vec<(String, String)> {
    let Some((left, right)) = line.text.split_once('=') else { return Vec::new() };
    let right = super::lines::words_of(right);
    let names: Vec<String> =
        super::lines::words_of(left).into_iter().filter(|word| word != "my" && word != "our").collect();
    let bare = |name: &String| name.trim_start_matches('$').to_owned();
    match (right.first().map(String::as_str), names.as_slice()) {
        (Some("@ARGV"), names) => names.iter().map(bare).zip(arguments.iter().cloned()).collect(),
        (Some("shift"), [name]) => shifted.next().map(|word| (bare(name), word.clone())).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// `key => values` of a table: the words between one `=>` and the key before the next.
fn keyed(line: &Line) -> Vec<(String, Vec<String>)> {
    let Some((_, right)) = line.text.split_once('=') else { return Vec::new() };
    let parts: Vec<Vec<String>> = right.split("=>").map(super::lines::words_of).collect();
    let pairs = parts.windows(2).enumerate().filter_map(|(number, pair)| {
        let last = number + 2 == parts.len();
        let values = if last { pair[1].as_slice() } else { pair[1].split_last()?.1 };
        Some((pair[0].last()?.clone(), values.iter().filter(|word| *word != "qw").cloned().collect()))
    });
    pairs.collect()
}

/// `for NAME in …`, `foreach my $name (…)`.
fn looped(line: &Line) -> Option<(String, Vec<String>)> {
    let at = line.words.iter().position(|word| matches!(word.as_str(), "for" | "foreach"))?;
    let mut words = line.words[at + 1..].iter().filter(|word| !matches!(word.as_str(), "my" | "our" | "in" | "qw"));
    let name = words.next()?.trim_start_matches('$').to_owned();
    Some((name, words.take_while(|word| *word != "do").cloned().collect()))
}

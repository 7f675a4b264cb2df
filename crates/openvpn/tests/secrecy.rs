//! Nothing that is said of a configuration has a part of the key in it, however the key came to stand there.

use std::io;

use meshtun_openvpn::{
    directive::{Reading, read_arguments, read_file},
    finding::Severity,
    import::{Source, Wishes, import},
    options::Options,
};

const KEY: &str = include_str!("golden/static.key");

/// Rows of this many digits of the key are looked for.
const WINDOW: usize = 8;

/// The key's lines of digits.
fn digits() -> impl Iterator<Item = &'static str> {
    KEY.lines().filter(|line| line.len() == 32)
}

fn bare() -> String {
    digits().map(|line| format!("{line}\n")).collect()
}

/// What is wrong with a configuration in which a key stands in the wrong way, and how many errors that makes.
fn cases() -> Vec<(&'static str, String, usize)> {
    let line = digits().next().unwrap();
    let sound = "dev tun\nremote 192.0.2.1\ncipher AES-256-CBC\n";
    let with_key = format!("{sound}secret k\n");
    let damaged = format!("{}x{}", &line[..15], &line[16..]);
    vec![
        ("it is the key file", KEY.to_owned(), 1),
        ("no file name before the text", format!("{sound}secret\n{KEY}ping 5\n"), 2),
        ("words behind the tag", format!("{sound}<secret> x\n{KEY}</secret>\nsecret k\n"), 1),
        ("words behind the tag, not closed", format!("{with_key}<secret> x\n{KEY}"), 2),
        ("no end", format!("{with_key}{}", KEY.replace("-----END", "")), 1),
        ("no line that begins it", format!("{with_key}{}", bare()), 1),
        ("in capitals", format!("{with_key}{}", bare().to_uppercase()), 1),
        ("damaged", format!("{with_key}{damaged}\n"), 1),
        ("behind two dashes", format!("{with_key}--{line}\n"), 1),
        ("in the tag", format!("{with_key}<secret>{line}\n{line}</secret>\n"), 1),
        ("not closed", format!("{with_key}<secret>\n{KEY}"), 1),
        ("as another's value", format!("{with_key}ping {line}\nverb {damaged}\n"), 2),
        ("in quotation marks", format!("{with_key}\"{line}\n"), 1),
        ("in a word that is too long", format!("{with_key}ping {}\n", bare().replace('\n', "")), 1),
        ("on a line that is too long", format!("{with_key}{} x\n", bare().replace('\n', "")), 1),
        ("with a byte that is no text", format!("{with_key}{line}LATIN\n"), 1),
        (
            "as an option's that may be unknown",
            format!("{with_key}setenv opt {line}\nignore-unknown-option {line}\n"),
            0,
        ),
    ]
}

fn nothing(name: &str) -> io::Result<Vec<u8>> {
    Err(io::Error::other(format!("nobody asked for {name}")))
}

fn assert_silent(case: &str, said: &str) {
    let key = bare().replace('\n', "");
    let said = said.to_lowercase();
    let shown = (0..=key.len() - WINDOW).map(|at| &key[at..at + WINDOW]).find(|part| said.contains(part));
    assert_eq!(shown, None, "{case}: {said}");
}

fn told(reading: &Reading) -> (Vec<String>, usize) {
    let parsed = Options::read(reading);
    let errors = parsed.findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    (parsed.findings.iter().map(ToString::to_string).collect(), errors)
}

#[test]
fn no_part_of_a_key_is_in_what_is_said_of_a_configuration() {
    for (case, text, errors) in cases() {
        let text: Vec<u8> = text.replace("LATIN", "\u{1}").bytes().map(|b| if b == 1 { 0xe9 } else { b }).collect();
        let (said, wrong) = told(&read_file("nq1.conf", &text, &mut nothing));
        assert_silent(case, &said.join("\n"));
        let missing = said.iter().filter(|line| line.contains("is missing: ")).count();
        assert_eq!(wrong - missing, errors, "{case}: {said:?}");
    }
}

#[test]
fn nor_in_what_is_said_of_a_command_line() {
    let line = digits().next().unwrap();
    for arguments in [vec!["--config", "a", line], vec!["--config", "a", "--secret", "k", &format!("--{line}")]] {
        let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
        let (said, wrong) = told(&read_arguments(&arguments, &mut |_| Ok(KEY.into())));
        assert!(wrong > 0);
        assert_silent("a command line", &said.join("\n"));
    }
}

#[test]
fn nor_in_what_becomes_of_each_line_in_a_mesh() {
    for (case, text, _) in cases() {
        let source = Source { name: "nq1.conf".to_owned(), text: text.into_bytes().into() };
        let imported = import(&Wishes { here: vec![source], ..Wishes::default() }, &mut |_, name| nothing(name));
        let mut said: String = imported.explained.iter().map(|line| format!("{line}\n")).collect();
        said.extend(imported.decisions.iter().map(|decision| format!("{decision}\n")));
        said.extend(imported.mesh);
        assert_silent(case, &said);
    }
}

#[test]
fn a_key_file_in_the_place_of_a_configuration_is_called_one() {
    let (said, _) = told(&read_file("nq.key", KEY.as_bytes(), &mut nothing));
    assert!(said[0].starts_with("nq.key:5: a static key begins here, where options should be"), "{said:?}");
}

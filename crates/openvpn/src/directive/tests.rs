use std::io;

use proptest::prelude::*;

use super::*;

fn words(line: &str) -> Result<Vec<String>, WordError> {
    split(line.as_bytes(), MAX_WORDS).map(|found| found.words)
}

fn text(directives: &[Directive]) -> Vec<String> {
    directives.iter().map(|d| format!("{} {d}", d.place)).collect()
}

fn read(content: &str) -> Reading {
    read_file("a.conf", content.as_bytes(), &mut |name| Err(io::Error::other(format!("nobody asked for {name}"))))
}

fn arguments(line: &[&str], open: &mut dyn FnMut(&str) -> io::Result<Vec<u8>>) -> Reading {
    let line: Vec<String> = line.iter().map(|&word| word.to_owned()).collect();
    read_arguments(&line, open)
}

fn no_file(name: &str) -> io::Result<Vec<u8>> {
    Err(io::Error::new(io::ErrorKind::NotFound, format!("no {name}")))
}

/// What OpenVPN 2.6.14 makes of the same lines.
#[test]
fn a_line_splits_as_openvpn_splits_it() {
    for (line, expected) in [
        ("", &[][..]),
        ("   \t\r\n", &[]),
        ("# comment", &[]),
        ("; comment", &[]),
        ("ping 5\r\n", &["ping", "5"]),
        ("ping\t5 # why", &["ping", "5"]),
        ("ping 5#6;7", &["ping", "5#6;7"]),
        ("up \"/etc/up.sh one two\"", &["up", "/etc/up.sh one two"]),
        ("up '/etc/up \"x\" \\ y'", &["up", "/etc/up \"x\" \\ y"]),
        ("setenv a it's", &["setenv", "a", "it's"]),
        ("setenv a b\"c d\"", &["setenv", "a", "b\"c", "d\""]),
        ("setenv \"a\"b", &["setenv", "a", "b"]),
        ("setenv a \"\" ''", &["setenv", "a", "", ""]),
        (r#"log "c:\\a \"b\".log""#, &["log", r#"c:\a "b".log"#]),
        (r"log a\ b", &["log", "a b"]),
        ("log a\\\nnext", &["log", "a\nnext"]),
        (r"\# nothing", &[]),
        ("\u{b}ping\u{c}5", &["ping", "5"]),
    ] {
        assert_eq!(
            words(line).as_deref(),
            Ok(&expected.iter().map(|&w| w.to_owned()).collect::<Vec<_>>()[..]),
            "{line}"
        );
    }
}

#[test]
fn a_line_that_openvpn_refuses_is_refused() {
    for (line, expected) in [
        ("up \"a b", WordError::OpenDoubleQuote),
        ("up \"a b\\\"", WordError::OpenDoubleQuote),
        ("up 'a b", WordError::OpenSingleQuote),
        (r"log c:\windows", WordError::Backslash),
        (r"log \'", WordError::Backslash),
        ("log a\\", WordError::BackslashAtEnd),
    ] {
        assert_eq!(words(line), Err(expected), "{line}");
    }
    assert!(matches!(words(&"x".repeat(MAX_WORD + 1)), Err(WordError::TooLong)));
    assert!(words(&"x".repeat(MAX_WORD)).is_ok());
    assert!(matches!(split(b"log \xff", MAX_WORDS), Err(WordError::NotText)));
    assert!(split(b"log a # \xff", MAX_WORDS).is_ok(), "nobody reads a comment");
}

#[test]
fn words_behind_the_sixteenth_are_left_out_with_a_word() {
    let line = (0..17).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
    let found = split(line.as_bytes(), MAX_WORDS).expect("the line is sound");
    assert_eq!((found.words.len(), found.more), (16, true));
    assert!(!split(b"a b # c", 2).expect("the line is sound").more);
    let reading = read(&line);
    assert_eq!(reading.directives.len(), 1);
    assert_eq!(
        reading.findings[0].to_string(),
        "a.conf:1: only the first 16 words of a line count: put what follows on another line"
    );
}

#[test]
fn a_file_gives_its_directives_with_their_lines() {
    let reading = read("\u{feff}dev tun\r\n\r\n# four channels\r\n--ping 5\r\nup \"a b\"");
    assert_eq!(reading.findings, []);
    assert_eq!(text(&reading.directives), ["a.conf:1 dev tun", "a.conf:4 ping 5", "a.conf:5 up \"a b\""]);
}

#[test]
fn inline_text_is_kept_as_it_is_and_lines_go_on_behind_it() {
    let reading = read("<secret>\n# key\n 00ff\n  </secret> behind\nping 5\n<ca>\nx\n");
    assert_eq!(text(&reading.directives), ["a.conf:1 <secret>", "a.conf:5 ping 5"]);
    assert_eq!(reading.directives[0].inline.as_ref().map(|t| t.as_str()), Some("# key\n 00ff\n"));
    assert_eq!(reading.findings.len(), 1);
    assert_eq!(reading.findings[0].to_string(), "a.conf:6: <ca> is not closed: </ca> is missing");
    assert!(!format!("{:?}", reading.directives).contains("00ff"), "a key is never printed");
}

#[test]
fn a_bad_line_is_told_with_its_number_and_the_others_are_read() {
    let long = "x".repeat(255);
    let reading = read(&format!("dev tun\nup \"a\n{long}\nlog a\0b\n{}\nping 5\n", &long[..254]));
    assert_eq!(
        text(&reading.directives),
        ["a.conf:1 dev tun".to_owned(), format!("a.conf:5 {}", &long[..254]), "a.conf:6 ping 5".into()]
    );
    let lines: Vec<_> = reading.findings.iter().map(|f| f.place.as_ref().map(|p| p.line)).collect();
    assert_eq!(lines, [Some(2), Some(3), Some(4)]);
}

#[test]
fn arguments_are_cut_where_two_dashes_begin_a_word() {
    let reading = arguments(&["--dev", "tun", "--remote", "a", "1194", "--up", "b c"], &mut no_file);
    assert_eq!(text(&reading.directives), ["argument 1 dev tun", "argument 3 remote a 1194", "argument 6 up \"b c\""]);
    let reading = arguments(&["dev", "tun"], &mut no_file);
    assert_eq!(reading.findings[0].to_string(), "argument 1: `dev` should be an option, but does not begin with `--`");
    assert_eq!(arguments(&[], &mut no_file), Reading::default());
}

#[test]
fn files_are_read_where_they_are_named_and_from_where_cd_led() {
    let mut asked = Vec::new();
    let mut open = |name: &str| {
        asked.push(name.to_owned());
        match name {
            "/etc/openvpn/nq1.conf" => Ok(b"dev nq1\nconfig common\nping 5\n".to_vec()),
            "/etc/openvpn/common" => Ok(b"proto udp\ncd sub\nconfig third\n".to_vec()),
            _ => no_file(name),
        }
    };
    let reading = arguments(&["--cd", "/etc/openvpn/", "--config", "nq1.conf", "--verb", "3"], &mut open);
    assert_eq!(asked, ["/etc/openvpn/nq1.conf", "/etc/openvpn/common", "/etc/openvpn/sub/third"]);
    let names: Vec<_> = reading.directives.iter().map(|d| d.name.as_str()).collect();
    assert_eq!(names, ["cd", "config", "dev", "config", "proto", "cd", "config", "ping", "verb"]);
    assert_eq!(reading.findings.len(), 1);
    assert!(reading.findings[0].to_string().starts_with("common:3: the configuration file `third` cannot be read: "));
}

#[test]
fn one_argument_without_dashes_is_a_file() {
    let reading = arguments(&["nq1.conf"], &mut |_| Ok(b"dev tun".to_vec()));
    assert_eq!(text(&reading.directives), ["argument 1 config nq1.conf", "nq1.conf:1 dev tun"]);
}

#[test]
fn a_file_that_names_itself_is_read_ten_times_and_then_told() {
    let reading = arguments(&["a.conf"], &mut |_| Ok(b"config a.conf".to_vec()));
    assert_eq!(reading.directives.len(), 11);
    assert_eq!(
        reading.findings[0].to_string(),
        "a.conf:1: `a.conf` is not read: files name each other more than 10 deep"
    );
}

proptest! {
    #[test]
    fn a_directive_that_is_written_reads_back(name in "[a-z-]{1,12}", parameters in prop::collection::vec("[ -~äé]{0,12}", 0..4)) {
        prop_assume!(!name.starts_with("--"));
        let place = Place { file: Some("a.conf".into()), line: 1 };
        let written = Directive { place, name, parameters, raw_value: None, inline: None };
        let reading = read(&written.to_string());
        prop_assert_eq!(reading.findings, vec![]);
        prop_assert_eq!(reading.directives, vec![written]);
    }

    #[test]
    fn any_bytes_are_read_to_the_end(content in prop::collection::vec(prop::sample::select(b"ab-<>/\"'\\#; \r\n\0\xff".to_vec()), 0..400)) {
        let reading = read_file("a.conf", &content, &mut no_file);
        let lines = u32::try_from(content.split(|&b| b == b'\n').count()).expect("the content is short");
        let places: Vec<u32> = reading.directives.iter().map(|d| d.place.line).collect();
        prop_assert!(places.is_sorted());
        prop_assert!(places.iter().all(|&line| (1..=lines).contains(&line)));
    }

    #[test]
    fn no_word_is_longer_or_more_than_allowed(line in prop::collection::vec(any::<u8>(), 0..600), limit in 1_usize..20) {
        if let Ok(found) = split(&line, limit) {
            prop_assert!(found.words.len() <= limit);
            prop_assert!(found.words.iter().all(|word| word.len() <= MAX_WORD));
        }
    }
}

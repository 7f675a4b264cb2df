use super::*;

/// A file that is right, and to which a test adds something.
const PLAIN: &str = "about = \"a test\"\n[[steps]]\nphase = \"quiet\"\nlasts = \"1s\"\n";

fn parse(text: &str) -> Result<Scenario, String> {
    Scenario::parse("test", "test.toml", text).map_err(|problem| problem.to_string())
}

fn complaint(text: &str) -> String {
    parse(text).expect_err(text)
}

#[test]
fn every_built_in_scenario_is_right_and_is_found_by_its_name() {
    for (name, text) in BUILT_IN {
        let scenario = Scenario::parse(name, name, text).unwrap_or_else(|problem| panic!("{problem}"));
        assert!(!scenario.about.is_empty() && !scenario.expect.is_empty(), "{name}");
        assert_eq!(find(name), Some(*text));
    }
    assert_eq!(find("no-such-one"), None);
}

#[test]
fn every_built_in_scenario_stands_in_the_folder_and_the_other_way_round() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<_> = files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    let mut known: Vec<_> = BUILT_IN.iter().map(|(name, _)| (*name).to_owned()).collect();
    known.sort();
    assert_eq!(names, known);
}

#[test]
fn what_is_wrong_is_told_with_file_line_and_column() {
    let with = |more: &str| complaint(&format!("{PLAIN}{more}"));
    let table = [
        ("[[steps]]\nblok = {}\n", "test.toml:6:1: unknown field `blok`, expected one of"),
        ("[[steps]]\nlasts = \"1h\"\n", "test.toml:6:9: \"1h\" is no length of time: write it as \"250ms\", \"3s\""),
        ("[[steps]]\nkill = \"g3\"\n", "test.toml:6:8: there is no gateway \"g3\": say g1, g2 or \"all\""),
        ("[[steps]]\nblock = { from = \"g1\", to = \"g1\" }\n", "test.toml:6:9: from and to are the same gateway"),
        ("[[steps]]\nblock = { channels = [16] }\n", "test.toml:6:9: there is no channel 16: the last is 15"),
        ("[[steps]]\nkill = \"g1\"\nstart = \"g1\"\n", "test.toml:5:1: a step does one thing"),
        ("[[steps]]\nphase = \"quiet\"\n", "test.toml:6:9: a phase is called \"quiet\": give each a name of its own"),
        (
            "[[steps]]\npath = { loss = 0.1 }\n",
            "test.toml:6:8: a plain cable has no such faults: say cable = \"faulty\"",
        ),
        (
            "[[steps]]\nflap = { channels = [1], down = \"1s\", up = \"2s\" }\n",
            "test.toml:6:8: it goes on as long as the step lasts: say how long",
        ),
        (
            "[[steps]]\nrun = { at = \"host3\", command = \"true\" }\n",
            "test.toml:6:7: there is no node \"host3\": there are g1, host1, g2, host2, internet",
        ),
        ("[[expect]]\nfigure = \"tcp_dead\"\n", "test.toml:5:1: say what tcp_dead must be: at-most or at-least"),
        ("[[expect]]\nfigure = \"quite.train_lost\"\nat-most = 0\n", "test.toml:5:1: there is no phase \"quite\""),
        (
            "[[expect]]\nfigure = \"quiet.lost\"\nat-most = 0\n",
            "test.toml:5:1: there is no figure quiet.lost: there are",
        ),
        ("[[expect]]\nfigure = \"tcp_dead\"\nat-most = 0\nrun = \"x\"\n", "test.toml:5:1: there is no run \"x\""),
        ("[load]\ntcp-flows = 300\n", "test.toml:6:13: tcp-flows must be from 0 to 256, not 300"),
        ("[[runs]]\nname = \"a\"\n[[runs]]\nname = \"a\"\n", "test.toml:8:8: two runs are called \"a\""),
        ("[[runs]]\nname = \"a\"\nslower = 0\n", "test.toml:7:10: slower must be more than 0"),
        ("[[runs]\n", "test.toml:5:8: "),
    ];
    for (more, expected) in table {
        let told = with(more);
        assert!(told.starts_with(expected), "{more:?} gave {told:?}, and not {expected:?}");
        assert!(!told.contains('\n'), "{told:?} is one line");
    }
}

#[test]
fn what_is_wrong_with_the_whole_file_is_told_too() {
    assert_eq!(complaint("about = \"nothing\"\n"), "test.toml: it has no [[steps]]");
    assert!(complaint("about = \"many\"\nsites = 4\n").starts_with("test.toml:2:9: sites must be from 2 to 3, not 4"));
    let missing = Scenario::open(std::path::Path::new("/nowhere/x.toml")).unwrap_err().to_string();
    assert!(missing.starts_with("/nowhere/x.toml: No such file"), "{missing}");
}

#[test]
fn connections_cannot_be_made_before_anything_runs() {
    let blocked = format!("begin = \"blocked\"\n{PLAIN}");
    assert!(complaint(&blocked).contains("say tcp-flows = 0"), "{}", complaint(&blocked));
    parse(&format!("begin = \"blocked\"\n{PLAIN}[load]\ntcp-flows = 0\n")).unwrap();
}

#[test]
fn a_run_has_its_own_settings_over_those_of_the_file() {
    let text = format!(
        "{PLAIN}[defaults]\nmtu = 1400\nprobe = {{ interval = \"1s\" }}\n\
         [[runs]]\nname = \"a\"\n[[runs]]\nname = \"b\"\nslower = 2\ndefaults = {{ probe = {{ interval = \"50ms\" }} }}\n"
    );
    let scenario = parse(&text).unwrap();
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(scenario.runs[0].defaults, [pair("mtu", "1400"), pair("probe", "{ interval = \"1s\" }")]);
    assert_eq!(scenario.runs[1].defaults, [pair("mtu", "1400"), pair("probe", "{ interval = \"50ms\" }")]);
    assert_eq!(scenario.duration(), std::time::Duration::from_secs(3));
    assert_eq!(scenario.clone().only(&["b".into()]).unwrap().runs.len(), 1);
    let refused = scenario.only(&["c".into()]).unwrap_err();
    assert_eq!(refused, "test has no run \"c\": it has a, b");
}

#[test]
fn a_place_without_a_direction_is_both_and_with_one_end_all_that_it_leaves_open() {
    let ways = |sites: u8, place: &str| {
        let text = format!("sites = {sites}\n{PLAIN}[[steps]]\nblock = {place}\n");
        match &parse(&text).unwrap().steps[1].action {
            action::Action::Block { place, blocked: true } => place.ways.clone(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ways(2, "{}"), [(0, 1), (1, 0)]);
    assert_eq!(ways(2, "{ from = \"g2\" }"), [(1, 0)]);
    assert_eq!(ways(3, "{ to = \"g1\" }"), [(1, 0), (2, 0)]);
    assert_eq!(ways(3, "{ from = \"g3\", to = \"g1\" }"), [(2, 0)]);
}

#[test]
fn a_figure_beyond_its_bound_or_not_there_fails_and_clear_packets_always_do() {
    let text = format!(
        "{PLAIN}[[expect]]\nfigure = \"quiet.train_lost\"\nat-most = 3\nwhy = \"so\"\n\
         [[expect]]\nfigure = \"quiet.train_sent\"\nat-least = 10\n"
    );
    let scenario = parse(&text).unwrap();
    let judged = |lost: u64, sent: Option<u64>, clear: u64| {
        let mut figures = Figures::from([("train_lost".to_owned(), lost.into())]);
        figures.extend(sent.map(|sent| ("train_sent".to_owned(), sent.into())));
        let phases = vec![("quiet".to_owned(), figures)];
        let whole = Figures::from([("clear_packets".to_owned(), clear.into())]);
        let mut run = Run { name: "meshtun".into(), figures: whole, phases, failed: Vec::new() };
        run.judge(&scenario, &scenario.runs[0]);
        run.failed
    };
    assert!(judged(3, Some(10), 0).is_empty());
    assert_eq!(judged(4, Some(10), 0), ["quiet.train_lost is 4, expected at most 3 (so)"]);
    assert_eq!(judged(0, None, 0), ["quiet.train_sent: expected at least 10, and there is no such figure"]);
    assert_eq!(judged(0, Some(10), 1), ["clear_packets is 1, expected at most 0 (nothing leaves in clear)"]);
}

#[test]
fn the_outcome_is_one_object_with_scenario_pass_and_figures() {
    let phases = vec![("quiet".to_owned(), Figures::from([("train_lost".to_owned(), 1.into())]))];
    let run = Run { name: "a".into(), figures: Figures::new(), phases, failed: vec!["bad".into()] };
    let outcome = Outcome { scenario: "test".into(), seed: 7, seconds: 1.5, runs: vec![run] };
    let json = outcome.json();
    assert_eq!((&json["scenario"], &json["pass"], &json["seed"]), (&"test".into(), &false.into(), &7.into()));
    assert_eq!(json["runs"]["a"]["phases"]["quiet"]["train_lost"], 1);
    assert_eq!(json["runs"]["a"]["failed"][0], "bad");
}

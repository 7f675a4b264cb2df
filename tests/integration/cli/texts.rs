//! Help, manual pages, completions; and readers that go away.

use std::{fs::File, process::Stdio};

use super::{COMMANDS, complaint, meshtun, printed, run};

#[test]
fn help_lists_every_command_and_the_exit_codes() {
    let said = printed(run(&["--help"]));
    let commands = said.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = commands.filter_map(|line| line.strip_prefix("  ")?.split(' ').next().filter(|name| !name.is_empty()));
    let names: Vec<_> = names.filter(|name| *name != "help").collect();
    assert_eq!(names, COMMANDS, "{said}");
    for code in ["0", "1", "2", "69", "78"] {
        assert!(said.contains(&format!(" {code} ")), "{said}");
    }
}

#[test]
fn every_command_has_a_help_a_summary_and_a_manual_page() {
    for command in COMMANDS {
        let [short, long] = ["-h", "--help"].map(|option| printed(run(&[command, option])));
        assert!(short.contains(&format!("Usage: meshtun {command}")), "{short}");
        assert!(long.len() >= short.len(), "{long}");
        let page = printed(run(&["man", command]));
        assert!(page.starts_with(".ie") && page.contains(&format!(".TH meshtun-{command} ")), "{page}");
    }
}

#[test]
fn the_manual_page_mentions_every_command_and_every_exit_code() {
    let page = printed(run(&["man"]));
    for command in COMMANDS {
        assert!(page.contains(&format!("meshtun\\-{command}(")), "{command}: {page}");
    }
    for code in ["0", "1", "2", "69", "78"] {
        assert!(page.lines().any(|line| line == code), "{code}: {page}");
    }
}

#[test]
fn completions_know_every_command_in_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = printed(run(&["completions", shell]));
        for command in COMMANDS {
            assert!(script.contains(command), "{command} for {shell}");
        }
    }
}

#[test]
fn wrong_usage_ends_with_exit_code_2() {
    for arguments in [
        &[][..],
        &["bring-up"],
        &["up"],
        &["up", "mesh.toml"],
        &["check"],
        &["status", "--yaml"],
        &["up", "nq2"],
        &["down", "nq2"],
        &["down", "nq/2", "--unprotect"],
        &["reload", "mesh.toml"],
        &["completions", "dos"],
        &["up", "mesh.toml", "--key", "key", "--workers", "0"],
        &["up", "mesh.toml", "--key", "key", "--cpus", "0,one"],
        &["up", "mesh.toml", "--key", "key", "--cpus", "0", "--workers", "1"],
    ] {
        let said = complaint(run(arguments), 2);
        assert!(said.contains("Usage: meshtun") || said.contains("try '--help'"), "{arguments:?}: {said}");
    }
}

#[test]
fn a_failure_ends_with_exit_code_1_and_one_line() {
    let said = complaint(run(&["man", "bring-up"]), 1);
    assert_eq!(said, "meshtun: there is no command bring-up\n");
}

#[test]
fn a_reader_that_has_had_enough_is_no_failure() {
    for arguments in
        [&["completions", "bash"][..], &["man"], &["--help"], &["up", "--help"], &["keygen"], &["--version"]]
    {
        let mut child =
            meshtun(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("cargo built it");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it can be waited for");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{arguments:?}: {}: {said}", output.status);
    }
}

#[test]
fn an_output_that_cannot_be_written_is_told() {
    for arguments in [&["completions", "bash"][..], &["man"], &["keygen"]] {
        let full = File::options().write(true).open("/dev/full").expect("Linux has it");
        let output = meshtun(arguments).stdout(full).output().expect("cargo built it");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("cannot write the output") && !said.contains("panic"), "{said}");
    }
}
